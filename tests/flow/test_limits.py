"""Limits at the doors: bad and wide networks, rates and ceilings, protected subjects, one's own address."""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.console_process import Api, Browser, Console, eventually, running
from tests.contracts.limits import (
    NEVER,
    NO_NETWORK,
    NOT_TEXT,
    TOO_WIDE,
    everybody_pulls,
    limit,
    loopback_is_like_any_other,
    protected,
    seated,
)

KEY = re.compile(r'name="(?:key|proof)" value="([^"]+)"')


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer tells, which must be this one."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text[:300]
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["code"], told["changed"]) == (status, code, False), told
    return told


def test_every_bad_or_wide_network_is_refused_by_the_api(runbook: Api) -> None:
    for name in (*NO_NETWORK, *NOT_TEXT):
        nul = isinstance(name, str) and "\0" in name  # no JSON of ours holds one
        wrong = (400, "bad_json") if nul else (422, "bad_network")
        problem(runbook.ban(name), *wrong)  # type: ignore[arg-type]
    said = {}
    for name in TOO_WIDE:
        answer = runbook.ban(name)
        assert (answer.status_code, answer.json()["changed"]) == (403, False), name
        said[name] = answer.json()["code"]
    # What is protected is judged first, and all that is very wide takes in some of it.
    assert set(said.values()) == {"protected", "too_wide"}
    assert (said["11.0.0.0/8"], said["2001:db8::/31"]) == ("too_wide", "too_wide")
    for name in NEVER:
        assert problem(runbook.ban(name), 403, "protected")["disposition"] == "refused"


def test_every_bad_or_wide_network_is_refused_by_the_page(
    console: Console, responder: Browser
) -> None:
    page = responder.http.get("/actions/ban-network/new").text
    drafts = console.value("SELECT count(*) FROM draft")
    # The form strips what stands around a text, and what is left is an address.
    bad = [name for name in NO_NETWORK if name == name.strip()]
    for name in (*bad, *TOO_WIDE, *NEVER):
        answer = responder.submit(
            "/actions/ban-network/new", page, subject=name, length="1h", reason="a test"
        )
        assert answer.status_code == 422, name
        assert "There is a problem" in answer.text
    assert console.value("SELECT count(*) FROM draft") == drafts


def drafted(browser: Browser, name: str, length: str = "1h") -> str:
    """The path of a draft of a ban that may be confirmed: it was shown, and there was time to read it."""
    page = browser.http.get("/actions/ban-network/new").text
    fields = {"subject": name, "length": length, "reason": "it scans us"}
    made = browser.submit("/actions/ban-network/new", page, **fields)
    assert made.status_code == 302, made.text
    path = made.headers["Location"]
    browser.http.get(path)
    time.sleep(0.9)
    return str(path)


def pressed(browser: Browser, path: str, **fields: str) -> httpx.Response:
    return browser.submit(f"{path}/run", browser.http.get(path).text, **fields)


def test_who_confirms_something_wide_types_it_beside_a_live_count(
    console: Console, responder: Browser, runbook: Api
) -> None:
    inside = "198.24.0.9"
    runbook.ban(inside, wait=10)
    with seated(console, "raj", "198.25.0.1"):
        path = drafted(responder, "198.24.0.0/18")
        page = responder.http.get(path).text
        assert "Type 198.24.0.0/18 to confirm" in page
        assert "<strong>16,384</strong> addresses" in page
        assert "<strong>1</strong> is blocked already" in page
        no = pressed(responder, path)
        assert no.status_code == 403
        assert "type what you mean to hit" in no.text
        with seated(console, "ana", "198.24.0.77"):
            assert "<strong>1</strong> person works" in responder.http.get(f"{path}/reach").text
        assert pressed(responder, path, confirm="198.24.0.0").status_code == 403
        assert pressed(responder, path, confirm="198.24.0.0/18").status_code == 303


def test_a_runbook_sends_the_same_text_to_confirm_something_wide(runbook: Api) -> None:
    key = uuid.uuid4().hex
    told = problem(runbook.ban("198.24.64.0/18", key=key), 403, "type_to_confirm")
    assert "198.24.64.0/18" in told["detail"]
    assert runbook.ban("198.24.64.0/18", key=key, confirm="198.24.64.0/18").status_code == 201
    body = {"action": "ban-network", "subject": {"kind": "network", "name": "198.24.128.0/18"}}
    body |= {"params": {"for": "1h"}, "reason": "a test"}
    draft = runbook.http.post("/api/v1/drafts", json=body).json()["draft"]
    send = {"headers": {"Idempotency-Key": draft}}
    problem(
        runbook.http.post("/api/v1/operations", json={"draft": draft}, **send),
        403,
        "type_to_confirm",
    )
    confirmed = {"draft": draft, "confirm": "198.24.128.0/18"}
    assert runbook.http.post("/api/v1/operations", json=confirmed, **send).status_code == 201


def test_who_asks_for_too_much_is_told_when_to_come_again(
    console: Console, runbook: Api, responder: Browser, fresh_network: Callable[[], str]
) -> None:
    with limit(console, "token", 1):
        first, kept = fresh_network(), uuid.uuid4().hex
        assert runbook.ban(first, key=kept).status_code == 201
        answer = runbook.ban(fresh_network())
        told = problem(answer, 429, "limit_per_token")
        assert 0 < int(answer.headers["Retry-After"]) == told["retry_after"] <= 3600
        assert told["disposition"] == "refused"
        again = runbook.ban(first, key=kept)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
        assert runbook.ban(first).status_code == 200, "what stands is told under a new key too"
    with limit(console, "person", 0):
        path = drafted(responder, fresh_network())
        no = pressed(responder, path)
        assert (no.status_code, int(no.headers["Retry-After"]) > 0) == (429, True)
        assert "as much as one person may" in no.text
    assert pressed(responder, path).status_code == 303, "the same draft, later"


def test_the_api_is_read_and_written_only_so_often(console: Console, network: str) -> None:
    somebody = console.new_caller(f"reader-{uuid.uuid4().hex[:8]}", "runbooks")
    ref = somebody.ban(network, wait=10).json()["operation"]["ref"]
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with limit(console, "api_read", 2, 600):
        assert [somebody.get("/actions").status_code for _ in range(2)] == [200, 200]
        answer = somebody.get("/actions")
        problem(answer, 429, "too_often")
        assert int(answer.headers["Retry-After"]) > 0
        # Others read on; and whoever knows a token's prefix cannot use it up.
        assert console.api().get("/actions").status_code == 200
        assert somebody.ban(network).status_code == 200, "asking is not counted as reading"
    with limit(console, "api_write", 1, 600):
        undo = {"reason": "a test"}
        made = somebody.http.post(f"/api/v1/operations/{ref}/undo", json=undo, headers=key)
        assert made.status_code == 201
        new = {"Idempotency-Key": uuid.uuid4().hex}
        late = somebody.http.post(f"/api/v1/operations/{ref}/undo", json=undo, headers=new)
        problem(late, 429, "too_often")
        again = somebody.http.post(f"/api/v1/operations/{ref}/undo", json=undo, headers=key)
        assert again.headers["Idempotency-Replayed"] == "true", "a repeat is told, however often"
    with limit(console, "api_read", 1, 600):
        prefix = somebody.token[:16]
        thief = console.api(f"{prefix}{'x' * 43}")
        assert [thief.get("/actions").status_code for _ in range(3)] == [401, 429, 429]
        assert somebody.get("/actions").status_code == 200


def test_bad_tokens_are_answered_only_so_often(console: Console, network: str) -> None:
    with limit(console, "bad_token", 2, 600):
        thief = console.api(f"sh_{'0' * 12}_{'x' * 43}")
        assert [thief.ban(network).status_code for _ in range(3)] == [401, 401, 429]
        assert "Retry-After" in thief.get("/actions").headers


def test_who_tries_to_sign_in_too_often_waits_though_the_password_is_right(
    console: Console,
) -> None:
    given = console.credentials["people"]["raj"]

    def tries(password: str, address: str = "") -> httpx.Response:
        with httpx.Client(base_url=console.url, timeout=60) as client:
            page = client.get("/sign-in").text
            token = page.split('name="csrfmiddlewaretoken" value="', 1)[1].split('"', 1)[0]
            fields = {"username": given["username"], "password": password}
            headers = {"X-Forwarded-For": address} if address else {}
            form = {"csrfmiddlewaretoken": token, **fields}
            return client.post("/sign-in", data=form, headers=headers)

    with limit(console, "sign_in", 3, 600):
        for _ in range(5):
            assert tries(given["password"]).status_code == 302, "who comes in did not try in vain"
        # Another address each time, if headers were believed.
        wrong = [tries(f"wrong {n}", f"198.51.100.{n}").status_code for n in range(4)]
        assert wrong == [200, 200, 200, 429]
        late = tries(given["password"])
        assert (late.status_code, int(late.headers["Retry-After"]) > 0) == (429, True)
        assert "Your password was not looked at" in late.text
    assert tries(given["password"]).status_code == 302


def test_an_address_that_tries_many_names_waits(console: Console) -> None:
    codes = []
    with limit(console, "sign_in_address", 2, 600), httpx.Client(base_url=console.url) as client:
        for n in range(3):
            page = client.get("/sign-in").text
            token = page.split('name="csrfmiddlewaretoken" value="', 1)[1].split('"', 1)[0]
            form = {"csrfmiddlewaretoken": token, "username": f"name-{n}", "password": "x"}
            codes.append(client.post("/sign-in", data=form).status_code)
    assert codes == [200, 200, 429]


# What is protected, for admins.


def test_an_admin_lists_what_is_protected_and_an_auditor_only_reads_it(
    console: Console, responder: Browser, auditor: Browser, network: str, runbook: Api
) -> None:
    given = console.credentials["people"]["sam"]
    admin = Browser(console.url, given["username"], given["password"])
    page = admin.http.get("/protected").text
    assert "127.0.0.0/8" in page
    form = {"kind": "network", "name": network, "level": "never", "reason": "the pager's gateway"}
    assert responder.http.get("/protected").status_code == 404
    read = auditor.http.get("/protected").text
    assert "127.0.0.0/8" in read
    assert "Protect it" not in read and "Withdraw" not in read
    for person in (responder, auditor):
        assert person.submit("/protected", person.http.get("/").text, **form).status_code == 404
    assert [admin.submit("/protected", page, **form).status_code for _ in range(2)] == [303, 303]
    rows = console.rows("SELECT id FROM protected_subject WHERE name = %s", f"{network}/32")
    assert len(rows) == 1, "pressed twice, it is listed once"
    told = problem(runbook.ban(network), 403, "protected")
    assert "the pager&#x27;s gateway" in admin.http.get("/protected").text
    assert "the pager's gateway" in told["detail"]
    path = f"/protected/{rows[0][0]}/withdraw"
    assert responder.submit(path, responder.http.get("/").text, why="mine").status_code == 404
    assert admin.submit(path, page, why=" ").status_code == 422
    assert [admin.submit(path, page, why="moved").status_code for _ in range(2)] == [303, 303]
    assert runbook.ban(network).status_code == 201
    wrong = admin.submit("/protected", page, **{**form, "name": "1.2.3.4/24"})
    assert (wrong.status_code, "host bits" in wrong.text or "bits set" in wrong.text) == (422, True)


def test_the_page_says_why_nothing_protected_can_be_drafted(
    console: Console, responder: Browser, network: str
) -> None:
    with protected(console, f"{network}/32"):
        page = responder.http.get("/actions/ban-network/new").text
        fields = {"subject": network, "length": "1h", "reason": "a test"}
        answer = responder.submit("/actions/ban-network/new", page, **fields)
        assert answer.status_code == 422
        assert "never acted on" in answer.text


# One's own address.


def over_one_line(console: Console, token: str, path: str) -> tuple[dict[str, Any], bool]:
    """What the API answers, and whether the server then closed the line that was to be kept open."""
    with socket.create_connection(("127.0.0.1", int(console.state["port"])), timeout=20) as line:
        host = f"Host: 127.0.0.1:{console.state['port']}"
        line.sendall(
            f"GET {path} HTTP/1.1\r\n{host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        answer = b""
        while chunk := line.recv(65536):  # comes to an end only when the server hangs up
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return json.loads(body), b"connection: close" in head.lower()


def test_a_ban_of_ones_own_address_is_kept_only_by_a_new_connection(
    console: Console, runbook: Api
) -> None:
    with loopback_is_like_any_other(console), limit(console, "bad_token", 60):
        own = "127.0.0.1"
        problem(runbook.ask("ban-network", own, {"until": None}), 403, "own_address")
        told = runbook.ban(own, "15m", wait=10).json()["operation"]
        everybody_pulls(console)
        path = f"/api/v1/operations/{told['ref']}/keep"
        send = {"headers": {"Idempotency-Key": uuid.uuid4().hex}}
        problem(runbook.http.post(path, json={}, **send), 409, "new_connection")
        proof, closed = "", []
        for _ in range(7):
            answer, hung_up = over_one_line(console, runbook.token, f"{path}?proof={proof}")
            proof = answer["proof"]
            closed.append(hung_up)
            if answer["left"]:
                problem(
                    runbook.http.post(path, json={"proof": proof}, **send), 409, "new_connection"
                )
        assert (closed, answer["left"]) == ([True] * 7, 0)
        forged = {"proof": proof[:-2] + "xx"}
        problem(runbook.http.post(path, json=forged, **send), 409, "new_connection")
        kept = runbook.http.post(path, json={"proof": proof}, **send)
        assert (kept.status_code, kept.json()["disposition"], kept.json()["changed"]) == (
            200,
            "kept",
            True,
        )
        again = runbook.http.post(path, json={"proof": proof}, **send)
        assert again.headers["Idempotency-Replayed"] == "true"
        runbook.lift(own, wait=10)


def test_a_person_is_led_over_new_connections_to_keep_a_ban(
    console: Console, responder: Browser
) -> None:
    with loopback_is_like_any_other(console):
        form = responder.http.get("/actions/ban-network/new?subject=127.0.0.1").text
        assert 'value="15m"' in form, "an end is proposed"
        path = drafted(responder, "127.0.0.1")
        assert "This takes in the address that you work from" in responder.http.get(path).text
        where = pressed(responder, path).headers["Location"]
        shown = responder.http.get
        eventually(lambda: "keep it" in shown(where).text, what="it can be kept")
        page = shown(where).text
        everybody_pulls(console)
        assert "It ends by itself at" in page
        at, hops = f"{where}/keep", 0
        while (answer := responder.http.get(at)).status_code == 302:
            assert answer.headers["Connection"] == "close"
            at, hops = answer.headers["Location"], hops + 1
        assert (answer.status_code, hops) == (200, 7)
        key, proof = KEY.findall(answer.text)
        sent = responder.submit(f"{where}/keep", answer.text, key=key, proof="")
        assert sent.status_code == 409
        assert (
            responder.submit(f"{where}/keep", answer.text, key=key, proof=proof).status_code == 303
        )
        ref = where.rsplit("/", 1)[1]
        assert console.value("SELECT kept_at FROM operation WHERE ref = %s", ref) is not None
        console.api().lift("127.0.0.1", wait=10)


@pytest.fixture(scope="module")
def behind() -> Iterator[Console]:
    """A console behind a proxy that it trusts."""
    with running({"TRUSTED_PROXIES": "127.0.0.1", "WORKERS": "0", "WEB_WORKERS": "1"}) as console:
        yield console


def test_behind_a_trusted_proxy_its_word_alone_says_where_somebody_is(behind: Console) -> None:
    api = behind.api()
    # What the caller pretends stands before what the proxy saw.
    api.http.headers["X-Forwarded-For"] = "203.0.113.1, 203.0.113.77"
    assert behind.value("SELECT count(*) FROM operation WHERE keep_by IS NOT NULL") == 0
    assert api.ban("203.0.113.1", "15m").json()["operation"]["ref"]
    assert behind.value("SELECT count(*) FROM operation WHERE keep_by IS NOT NULL") == 0
    told = api.ban("203.0.113.77", "15m", wait=10).json()["operation"]
    row = "SELECT keep_by - requested_at FROM operation WHERE ref = %s"
    assert behind.value(row, told["ref"]).total_seconds() == 300
    path = f"/api/v1/operations/{told['ref']}/keep"
    problem(api.http.get(path), 409, "cannot_tell")
    behind.rewrite(
        "operation", "operation_keep_by_never_changes",
        "keep_by = clock_timestamp() WHERE ref = %s", told["ref"],
    )  # fmt: skip
    eventually(lambda: "203.0.113.77" not in api.listed(), what="it ends by itself")
    given = behind.credentials["people"]["ana"]
    ana = Browser(behind.url, given["username"], given["password"])
    ana.http.headers["X-Forwarded-For"] = "203.0.113.88"
    ana.http.get("/")
    problem(api.ban("203.0.113.88"), 403, "type_to_confirm")
    ana.submit("/sign-out", ana.http.get("/").text)
    assert api.ban("203.0.113.88").status_code == 201, "who signed out works there no more"


def test_what_nobody_vouches_for_is_not_believed(console: Console, network: str) -> None:
    liar = console.api()
    liar.http.headers["X-Forwarded-For"] = network
    liar.http.headers["X-Real-IP"] = network
    told = liar.ban(network, "15m").json()["operation"]
    keep_by = console.value("SELECT keep_by FROM operation WHERE ref = %s", told["ref"])
    assert keep_by is None
