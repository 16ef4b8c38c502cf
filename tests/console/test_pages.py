"""The pages, as people without JavaScript see them."""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator

import httpx2 as httpx
import pytest

from tests.console_process import Api, Browser, Console, eventually

FORM = re.compile(r"<form\b[^>]*>.*?</form>", re.DOTALL)
BUTTON = re.compile(r"<button\b[^>]*>(.*?)</button>", re.DOTALL)
COPY = '<button type="button" data-copy="" hidden>Copy link</button>'
KEY = re.compile(r'name="key" value="([^"]+)"')


@pytest.fixture
def admin(console: Console) -> Browser:
    """Sam, who may ask and reads the log."""
    given = console.credentials["people"]["sam"]
    return Browser(console.url, given["username"], given["password"])


@pytest.fixture
def stranger(console: Console) -> Iterator[httpx.Client]:
    """Somebody who has not signed in."""
    with httpx.Client(base_url=console.url, timeout=60) as client:
        yield client


@pytest.fixture
def incident(runbook: Api, network: str) -> str:
    """An incident with a ban of `network`, asked for twice, and lifted."""
    ref = runbook.incident("Phishing, finance")
    key = uuid.uuid4().hex
    for _ in range(2):
        runbook.ban(network, incident=ref, key=key, wait=10)
    runbook.lift(network, incident=ref, wait=10)
    return ref


@pytest.fixture
def pages(incident: str, network: str) -> list[str]:
    """Every page that a person without a right to the log may read."""
    return [
        "/",
        "/actions",
        "/actions/ban-network",
        "/actions/lift-ban",
        f"/incidents/{incident}",
        "/subjects",
        f"/subjects/network/{network}/32",
        "/lists",
    ]


def show(browser: Browser, path: str, **params: str) -> str:
    """The page at `path`, which must be there."""
    page = browser.http.get(path, params=params or None)
    assert page.status_code == 200, f"{path}: {page.status_code} {page.text[-900:]}"
    return page.text


def test_a_responder_and_an_auditor_can_read_every_page(
    responder: Browser, auditor: Browser, pages: list[str]
) -> None:
    for path in pages:
        for person in (responder, auditor):
            assert "</html>" in show(person, path)
    assert "</html>" in show(auditor, "/log")


def test_no_page_holds_inline_script_or_style(responder: Browser, pages: list[str]) -> None:
    for path in pages:
        text = show(responder, path)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=", text), path


def test_an_auditor_finds_nothing_to_press(
    auditor: Browser, runbook: Api, network: str, pages: list[str]
) -> None:
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    for path in [*pages, "/log", "/operations", f"/operations/{ref}"]:
        # Copying the address changes nothing, and is shown only where there is script for it.
        text = show(auditor, path).replace(COPY, "")
        assert "/new" not in text, path
        posting = [form for form in FORM.findall(text) if 'method="post"' in form]
        assert [form for form in posting if "/sign-out" not in form] == [], path
        # Sign out, and what only looks: find, and the filters of a table.
        assert set(BUTTON.findall(text)) <= {"Find", "Sign out", "Show"}, path


def test_an_auditor_cannot_open_an_incident(auditor: Browser) -> None:
    assert auditor.http.get("/incidents/new").status_code == 404
    board = show(auditor, "/")
    sent = auditor.submit("/incidents/new", board, title="Mine", key="inc_" + "x" * 20)
    assert sent.status_code == 404


def test_a_stranger_is_sent_to_sign_in(stranger: httpx.Client, pages: list[str]) -> None:
    for path in [*pages, "/log", "/incidents/new"]:
        answer = stranger.get(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/sign-in?next="), path


def test_the_log_does_not_exist_for_who_may_not_read_it(
    responder: Browser, auditor: Browser
) -> None:
    assert responder.http.get("/log").status_code == 404
    assert 'href="/log"' not in show(responder, "/")
    assert 'href="/log"' in show(auditor, "/")


def test_what_is_not_there_is_a_page_in_words(responder: Browser) -> None:
    for path in (
        "/incidents/INC-999999",
        "/incidents/7",
        "/incidents/INC-0",
        "/actions/no-such-action",
        "/subjects/network/nonsense",
        "/subjects/account/ana",
        "/nowhere",
    ):
        answer = responder.http.get(path)
        assert answer.status_code == 404, path
        assert "There is nothing at this address" in answer.text, path


# The board


def test_the_board_shows_what_just_happened(
    responder: Browser, incident: str, network: str
) -> None:
    text = show(responder, "/")
    assert network in text
    assert f"{incident} Phishing, finance" in text
    assert "2 operations: 2 done" in text
    assert 'href="/actions/ban-network/new"' in text


def test_the_board_tells_how_the_console_does(responder: Browser) -> None:
    text = show(responder, "/")
    for words in ("Recording", "Works", "Keepers", "Alive", "Oldest due effect", "Not held"):
        assert words in text, words


def test_the_board_says_what_to_do_about_held_ends(console: Console, responder: Browser) -> None:
    with console.database() as owner:
        owner.execute(
            "INSERT INTO ends_hold (seconds, noticed_at) VALUES (-120, clock_timestamp())"
        )
        try:
            text = show(responder, "/")
        finally:
            owner.execute("UPDATE ends_hold SET released_at = clock_timestamp()")
    assert "manage.py release_ends" in text
    assert "jumped by -120 seconds" in text
    assert "release_ends" not in show(responder, "/")


def test_what_could_not_be_read_is_never_shown_as_nothing(
    console: Console, responder: Browser, incident: str
) -> None:
    with console.database() as owner:
        owner.execute("REVOKE SELECT ON heartbeat, operation_facts FROM steadyhand_web")
        try:
            text = show(responder, "/")
        finally:
            owner.execute("GRANT SELECT ON heartbeat, operation_facts TO steadyhand_web")
    assert text.count("This does not mean that there are none") == 3
    assert "No operation has failed" not in text
    assert incident in text  # what could be read is there


def test_the_board_asked_again_tells_only_what_changed(
    responder: Browser, runbook: Api, fresh_network: Callable[[], str]
) -> None:
    def ask(path: str) -> httpx.Response:
        return responder.http.get(path, headers={"HX-Request": "true"})

    def again(text: str) -> str:
        found = re.search(r'data-hx-get="([^"]+)"', text)
        assert found
        return found[1]

    runbook.ban(fresh_network(), wait=10)
    whole = show(responder, "/")
    same = ask(again(whole))
    assert same.headers["HX-Retarget"] == "#as-of"
    assert "Just happened" not in same.text
    name = fresh_network()
    runbook.ban(name, wait=10)
    changed = ask(again(whole))
    assert name in changed.text
    assert "<html" not in changed.text
    assert "HX-Retarget" not in changed.headers


# The catalogue


def test_a_datasheet_has_the_four_answers_and_a_call_that_works(
    console: Console, responder: Browser, runbook: Api, incident: str
) -> None:
    text = show(responder, "/actions/ban-network")
    for words in ("identifies the intent?", "recorded durably?", "partial success?", "duplicate?"):
        assert words in text, words
    assert "D3-ITF" in text
    assert "Edge block list" in text
    assert "natural" in text
    assert "Idempotency-Key" in text
    assert f"{console.url}/api/v1/operations" in text
    used = runbook.get("/operations", action="ban-network").json()["operations"]
    assert used[0]["ref"] in text


# Incidents


def incident_form(browser: Browser) -> tuple[str, str, str]:
    """The address of a form for a new incident, the form, and its key."""
    sent_on = browser.http.get("/incidents/new")
    assert sent_on.status_code == 302
    address = sent_on.headers["Location"]
    form = show(browser, address)
    key = KEY.search(form)
    assert key
    assert address == f"/incidents/new?key={key[1]}"
    return address, form, key[1]


def test_an_incident_form_sent_twice_opens_one(responder: Browser) -> None:
    address, form, key = incident_form(responder)
    first = responder.submit("/incidents/new", form, title="Leaked CI key", key=key)
    back = show(responder, address)
    assert KEY.search(back)[1] == key  # type: ignore[index]
    second = responder.submit("/incidents/new", back, title="Leaked  CI key", key=key)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    assert "Leaked CI key" in show(responder, first.headers["Location"])


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 129, "<script>alert(1)</script>", '"' + "x" * 20 + '"']
)
def test_a_form_s_key_that_cannot_be_one_is_replaced(responder: Browser, key: str) -> None:
    sent_on = responder.http.get("/incidents/new", params={"key": key})
    assert sent_on.status_code == 302
    assert re.fullmatch(r"/incidents/new\?key=inc_[\w-]{32}", sent_on.headers["Location"])


def test_a_form_already_used_says_so_and_keeps_what_was_typed(responder: Browser) -> None:
    _, form, key = incident_form(responder)
    opened = responder.submit("/incidents/new", form, title="One", key=key)
    refused = responder.submit("/incidents/new", form, title="Another one", key=key)
    assert refused.status_code == 422
    assert (
        f"This form opened {opened.headers['Location'].removeprefix('/incidents/')}" in refused.text
    )
    assert 'value="Another one"' in refused.text
    assert "<title>Error: " in refused.text
    fresh = KEY.search(refused.text)
    assert fresh
    assert fresh[1] != key
    # Sent once more, as going back does, it offers the same form, which opens one incident.
    again = responder.submit("/incidents/new", form, title="Another one", key=key)
    assert KEY.search(again.text)[1] == fresh[1]  # type: ignore[index]
    other = {
        responder.submit("/incidents/new", again.text, title="Another one", key=fresh[1]).headers[
            "Location"
        ]
        for _ in range(2)
    }
    assert len(other) == 1
    assert other != {opened.headers["Location"]}


@pytest.mark.parametrize("title", ["", "   ", "x" * 201, "a\x00b"])
def test_a_title_that_cannot_be_kept_is_refused_in_words(responder: Browser, title: str) -> None:
    _, form, key = incident_form(responder)
    refused = responder.submit("/incidents/new", form, title=title, key=key)
    assert refused.status_code == 422
    assert "There is a problem" in refused.text
    assert KEY.search(refused.text)[1] == key  # type: ignore[index]


def test_an_incident_shows_what_is_still_in_force(
    responder: Browser, incident: str, network: str
) -> None:
    text = show(responder, f"/incidents/{incident}")
    assert "No; generation 2 came after" in text  # the ban, lifted since
    assert "2, from 3 requests" in text
    assert f"/actions/ban-network/new?incident={incident}" in text
    assert "Changed nothing" in text  # the repeat, in the list of requests


# Subjects


@pytest.mark.parametrize(
    "typed, words",
    [
        ("203.0.113.300", "is no network"),
        ("203.0.113.7/24", "perhaps 203.0.113.0/24 was meant"),
        ("010.0.0.1", "octal"),
        ("<b>bold</b>", "is no network"),
    ],
)
def test_find_refuses_what_it_cannot_read_in_words(
    responder: Browser, typed: str, words: str
) -> None:
    text = show(responder, "/subjects", q=typed)
    assert words in text
    assert "Accepted: one IPv4 or IPv6 address" in text
    assert "<b>bold" not in text
    kept = typed.replace("<", "&lt;").replace(">", "&gt;")
    assert f'id="q" type="search" name="q" value="{kept}"' in text


def test_find_leads_to_one_page_however_it_is_written(
    responder: Browser, network: str, incident: str
) -> None:
    for typed in (network, f"{network}/32", f"::ffff:{network}", f" {network} "):
        found = responder.http.get("/subjects", params={"q": typed})
        assert found.headers["Location"] == f"/subjects/network/{network}/32"
    found = responder.http.get("/subjects", params={"q": incident.lower()})
    assert found.headers["Location"] == f"/incidents/{incident}"


def test_a_subject_that_was_never_seen_says_so(responder: Browser) -> None:
    text = show(responder, "/subjects/network/198.19.255.254/32")
    assert "nothing was ever done to it here" in text
    assert "/actions/ban-network/new?subject=198.19.255.254" in text


def test_a_subject_shows_every_generation_and_what_is_so_now(
    responder: Browser, runbook: Api, network: str
) -> None:
    runbook.ban(network, "2h", wait=10, reason="it scans")
    text = show(responder, f"/subjects/network/{network}/32")
    assert "Blocked until" in text
    assert "it scans" in text
    assert '"1"' in text.replace("&quot;", '"')  # for If-Match
    runbook.lift(network, wait=10, reason="a customer")
    text = show(responder, f"/subjects/network/{network}/32")
    assert "Not blocked" in text
    assert text.index("a customer") < text.index("it scans")


def test_a_lift_under_a_wider_ban_says_still_blocked(responder: Browser, runbook: Api) -> None:
    runbook.ban("100.66.7.0/24", wait=10)
    runbook.ban("100.66.7.9", wait=10)
    runbook.lift("100.66.7.9", wait=10)
    text = show(responder, "/subjects/network/100.66.7.9/32")
    assert "Blocked, by a ban of a wider network" in text
    assert 'href="/subjects/network/100.66.7.0/24"' in text
    assert "No, a wider ban stands" in text
    around = show(responder, "/subjects/network/100.66.7.0/24")
    assert "Blocked until" in around
    never = show(responder, "/subjects/network/100.66.7.200/32")
    assert "Blocked, by a ban of a wider network" in never


def test_a_network_too_wide_to_act_on_can_be_looked_at(responder: Browser) -> None:
    text = show(responder, "/subjects/network/10.0.0.0/8")
    assert "too wide to act on" in text
    assert "/actions/ban-network/new?subject" not in text


# Lists


def test_a_list_shows_who_has_it_as_it_is_now(
    responder: Browser, runbook: Api, network: str
) -> None:
    for name in ("100.68.0.9", "100.68.0.10", "2001:db8:68::1", "2001:db8:68::/64"):
        runbook.ban(name, wait=10)
    listed = runbook.listed()
    assert listed.index("100.68.0.9") < listed.index("100.68.0.10")
    assert "Has it as it is now" in show(responder, "/lists")
    runbook.ban(network, wait=10)
    text = show(responder, "/lists")
    assert "Has an earlier one" in text
    assert "/lists/blocked-networks.txt" in text
    assert f"{len(runbook.listed())} network" in text


# The log


def test_the_log_is_searched_on_the_server(
    auditor: Browser, runbook: Api, network: str, incident: str
) -> None:
    asked = runbook.ban(network, "3h", wait=10, reason="Ünïque ‘reason’ 50%_off")
    ref = asked.json()["operation"]["ref"]
    assert "nothing is sampled" in show(auditor, "/log")
    found = show(auditor, "/log", text="ünïque ‘REASON’ 50%_OFF".lower())
    assert ref in found
    assert "No record matches" in show(auditor, "/log", text="50%no_such-text")
    mine = show(auditor, "/log", operation=ref)
    assert set(re.findall(r"op_[0-9A-Z]{12}", mine)) == {ref}
    opened = show(auditor, "/log", kind="incident.opened")
    assert f"Opened {incident}: Phishing, finance" in opened
    assert "operation.moved, the exact record" not in opened


def test_the_log_shows_the_exact_bytes(console: Console, auditor: Browser, runbook: Api) -> None:
    import html

    title = f"R&D <{uuid.uuid4().hex}>"
    runbook.incident(title)
    body = console.value(
        "SELECT convert_from(body, 'UTF8') FROM log_event ORDER BY id DESC LIMIT 1"
    )
    text = show(auditor, "/log", text=title)
    assert html.escape(body).replace("&#x27;", "&#39;").replace("&#34;", "&quot;") in text.replace(
        "&#34;", "&quot;"
    ).replace("&#x27;", "&#39;")


def test_the_log_pages_by_cursor_without_a_gap(
    auditor: Browser, console: Console, runbook: Api
) -> None:
    for number in range(60):
        runbook.incident(f"Number {number}")
    total = console.value("SELECT count(*) FROM log_event")
    seen: list[int] = []
    path = "/log"
    while path:
        text = show(auditor, path)
        seen += [int(number) for number in re.findall(r'<details id="r(\d+)"', text)]
        older = re.search(r'href="(\?[^"]*)">Older', text)
        path = "/log" + older[1].replace("&amp;", "&") if older else ""
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) >= total


@pytest.mark.parametrize(
    "query",
    [
        {"before": "x"},
        {"before": "-1"},
        {"before": "9" * 30},
        {"kind": "k" * 100},
        {"operation": "op_NONE"},
        {"text": "'; DROP TABLE log_event; --"},
    ],
)
def test_the_log_answers_nonsense_in_words(auditor: Browser, query: dict[str, str]) -> None:
    text = show(auditor, "/log", **query)
    assert "Nothing was looked for" in text or "No record matches" in text


# Drafts and operations


def draft(browser: Browser, network: str, action: str = "ban-network", **fields: str) -> str:
    """The path of a new draft, which has been looked at for long enough."""
    form = show(browser, f"/actions/{action}/new")
    given = {"subject": network, "length": "24h", "reason": "it scans", **fields}
    made = browser.submit(f"/actions/{action}/new", form, **given)
    assert made.status_code == 302, made.text
    path = str(made.headers["Location"])
    show(browser, path)
    time.sleep(0.9)
    return path


def confirm(browser: Browser, path: str) -> httpx.Response:
    return browser.submit(f"{path}/run", show(browser, path))


def failed(console: Console, network: str, action: str = "ban-network") -> tuple[str, str]:
    """Who asked for it and its ref; it was refused when it was to be carried out."""
    name = f"asker-{uuid.uuid4().hex[:8]}"
    asker = console.new_caller(name, "runbooks")
    params = {"for": "96h"} if action == "ban-network" else {}
    with console.keeper_halted():
        ref = str(asker.ask(action, network, params).json()["operation"]["ref"])
        console.leave(name, "runbooks")
    state = "SELECT state FROM operation WHERE ref = %s"
    eventually(lambda: console.value(state, ref) == "failed", what="it fails")
    return name, ref


def test_a_page_names_who_asked_and_who_had_the_rest_run(
    console: Console, responder: Browser, second_responder: Browser, network: str
) -> None:
    name, ref = failed(console, network)
    assert "Failed: nothing is in place" in show(responder, f"/operations/{ref}")
    assert "Did the work" not in show(responder, f"/operations/{ref}")
    assert f"{name} asked for this at " in show(responder, f"/operations/{ref}")
    taken_up = confirm(
        second_responder, draft(second_responder, network, length="other", other="90h")
    )
    assert taken_up.headers["Location"] == f"/operations/{ref}"
    his = show(second_responder, f"/operations/{ref}")
    assert f"{name} asked for this at " in his
    assert "You had the rest run at " in his
    assert "You did this" not in his
    assert "You asked" not in his
    hers = show(responder, f"/operations/{ref}")
    assert f"{name} asked for this at " in hers
    assert "raj had the rest run at " in hers
    assert "Your" not in hers


@pytest.mark.parametrize("action", ["lift-ban", "ban-network"])
def test_what_failed_says_what_stands_all_the_same(
    console: Console, responder: Browser, runbook: Api, network: str, action: str
) -> None:
    stood = runbook.ban(network, wait=10).json()["operation"]["ref"]
    _, ref = failed(console, network, action)
    text = show(responder, f"/operations/{ref}")
    assert "Failed: this changed nothing" in text
    assert "nothing is in place" not in text
    assert re.search(
        rf"What stands is what was there before: [^<]* is banned until [^<]*{stood}", text
    )


def test_a_refused_opposite_does_not_count_as_having_asked(
    console: Console, responder: Browser, runbook: Api, network: str
) -> None:
    form = draft(responder, network, "lift-ban", length="")
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    refused = confirm(responder, form)
    assert refused.status_code == 412
    text = show(responder, f"/operations/{ref}")
    assert "Already done" not in text
    assert "runbook did this at" in text
    assert "Your click" not in text


MANY = """
INSERT INTO arrival (id, request_id, operation_id, at, via, disposition, code)
SELECT gen_random_uuid(), a.request_id, a.operation_id, a.at + n * interval '0.1 s', 'api',
       CASE n WHEN 5000 THEN 'key_reused' ELSE 'existing' END, ''
  FROM arrival a JOIN operation o ON o.id = a.operation_id, generate_series(1, %(many)s) n
 WHERE o.ref = %(ref)s
"""
EVENTS = """
INSERT INTO log_event (at, kind, operation_id, number, body)
SELECT clock_timestamp(), 'request.arrived', o.id, o.event_count + n, convert_to(
       '{"body":{"by":"runbook","disposition":"existing"}}', 'UTF8')
  FROM operation o, generate_series(1, %(many)s) n WHERE o.ref = %(ref)s
"""
COUNTS = """
UPDATE operation SET arrival_count = arrival_count + %(many)s, event_count = event_count + %(many)s
 WHERE ref = %(ref)s
"""


def test_ten_thousand_requests_are_counted_and_reached_and_slow_nothing_down(
    console: Console, responder: Browser, runbook: Api, network: str
) -> None:
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    # A storm comes while statistics still tell of a quiet day: one request for each operation.
    for number in range(60):
        runbook.ban(f"100.66.1.{number}")
        show(responder, f"/operations/{ref}/live")
    with console.database() as owner:
        owner.execute("ANALYZE")
    for sql in (MANY, EVENTS, COUNTS):
        with console.database() as owner:
            owner.execute(sql, {"many": 12_000, "ref": ref})
    path = f"/operations/{ref}"
    text = show(responder, path)
    assert "12001 requests, 1 effect" in text
    assert "12001 requests: 1 started it" in text
    assert "11980 more between" in text
    assert "all changed nothing, except those below" in text
    assert text.count("Not done: other content") == 1
    assert len(text) < 100_000
    assert text.count("<line") < 210
    took = []
    for _ in range(5):
        began = time.perf_counter()
        show(responder, f"{path}/live")
        took.append(time.perf_counter() - began)
    assert min(took) < 0.3, took
    rows = r'<td data-label="Who">runbook</td><td data-label="Came by">'
    seen, page, pages = 0, f"{path}?arrivals=all", 0
    while page:
        text = show(responder, page)
        seen, pages = seen + len(re.findall(rows, text)), pages + 1
        later = re.search(r'href="([^"]*)">Later requests', text)
        page = later[1].replace("&amp;", "&") if later else ""
    assert (seen, pages) == (12_001, 61)
    numbers, page = [], f"{path}?record=all"
    while page:
        text = show(responder, page)
        numbers += [int(n) for n in re.findall(r'data-label="No." class="num">(\d+)<', text)]
        later = re.search(r'href="([^"]*)">Later events', text)
        page = later[1].replace("&amp;", "&") if later else ""
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 12_000


def test_a_cursor_that_is_none_begins_at_the_first_request(
    responder: Browser, runbook: Api, network: str
) -> None:
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    for after in ("x", "-1", "9" * 40, str(uuid.uuid4())):
        for what in ("arrivals", "record"):
            text = show(responder, f"/operations/{ref}", **{what: "all", "after": after})
            assert "First request" in text
            assert "Asked for, generation 1" in text


def test_times_of_another_day_are_shown_with_their_day(
    console: Console, responder: Browser, runbook: Api, network: str
) -> None:
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    today = show(responder, f"/operations/{ref}")
    assert re.search(r">\d\d:\d\d:\d\d\.\d{3}</time>", today)
    sql = MANY.replace("interval '0.1 s'", "interval '-1 day'")
    with console.database() as owner:
        owner.execute(sql, {"many": 60, "ref": ref})
    text = show(responder, f"/operations/{ref}")
    day = r"\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d"
    assert re.search(rf">{day}\.\d{{3}}</time>", text)
    assert re.search(rf"41 more between {day} UTC and {day} UTC", text)


def test_after_signing_in_anew_a_confirm_is_shown_its_draft_and_nothing_runs(
    console: Console, responder: Browser, stranger: httpx.Client, network: str
) -> None:
    path = draft(responder, network)
    token = responder.http.cookies["csrftoken"]
    stranger.cookies.set("csrftoken", token)
    signed_out = stranger.post(f"{path}/run", data={"csrfmiddlewaretoken": token})
    assert signed_out.headers["Location"] == f"/sign-in?next={path}/run"
    came_back = responder.http.get(f"{path}/run")
    assert (came_back.status_code, came_back.headers["Location"]) == (302, path)
    made = console.value(
        "SELECT count(*) FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s",
        f"{network}/32",
    )
    assert made == 0
    assert confirm(responder, path).status_code == 303


def test_another_s_draft_says_whose_it_is(
    responder: Browser, second_responder: Browser, network: str
) -> None:
    path = draft(responder, network)
    own, theirs = show(responder, path), show(second_responder, path)
    assert "Drafted by ana, not by you" not in own
    assert theirs.index("Drafted by ana, not by you") < theirs.index("<h1>")
    made = confirm(second_responder, path)
    text = show(responder, made.headers["Location"])
    assert re.search(r"Drafted by</th><td>ana<", text)
    assert "raj did this at" in text


@pytest.mark.parametrize(
    "given, kept",
    [
        ({"length": "7d"}, ['value="7d" id="id_length_3" checked']),
        ({"length": "none"}, ['value="none" id="id_length_4" checked']),
        ({"length": "other", "other": "45m"}, ['id="id_length_5" checked', 'value="45m"']),
        (
            {"length": "other", "other": "2029-11-25 02:14"},
            ['id="id_length_5" checked', 'value="2029-11-25 02:14:00 UTC"'],
        ),
    ],
)
def test_changing_what_is_asked_keeps_what_was_asked(
    responder: Browser, runbook: Api, network: str, given: dict[str, str], kept: list[str]
) -> None:
    runbook.ban(network, wait=10)
    path = draft(responder, network, again="1", reason="once more", **given)
    link = re.search(r'href="([^"]+)">Change what you ask', show(responder, path))
    assert link
    form = show(responder, link[1])
    for words in [*kept, network, "once more", 'name="again" value="1"']:
        assert words in form, words


def test_a_draft_fills_in_nothing_for_who_may_not_ask_for_it(
    console: Console, responder: Browser, network: str
) -> None:
    path = draft(responder, network, reason="a secret reason")
    with console.database() as owner:
        lifts = owner.execute(
            "DELETE FROM entry_group_grant g USING catalogue_entry e, auth_permission p WHERE"
            " g.content_object_id = e.id AND e.name = 'ban-network' AND p.id = g.permission_id"
            " AND p.codename = 'ask_entry' RETURNING g.group_id, g.permission_id, g.content_object_id"
        ).fetchall()
        try:
            form = show(responder, "/actions/lift-ban/new", draft=path.removeprefix("/drafts/"))
        finally:
            for row in lifts:
                owner.execute(
                    "INSERT INTO entry_group_grant (group_id, permission_id, content_object_id)"
                    " VALUES (%s, %s, %s)",
                    row,
                )
    assert "a secret reason" not in form
    assert network not in form


_HEADINGS = """
import django; django.setup()
import json
from console.wording import refused
print(json.dumps({code: refused("refused", "", code).heading for code in json.loads(CODES)}))
"""


def test_a_refusal_is_headed_by_what_it_is(
    console: Console, responder: Browser, network: str
) -> None:
    codes = ["again_needs_reason", "no_realm", "too_wide", "bad_end", "may_not_ask", "of_tomorrow"]
    told = json.loads(
        console.python(_HEADINGS.replace("CODES", repr(json.dumps(codes))), role="web")
    )
    assert len(set(told.values())) == len(codes), told
    assert [code for code in codes if "may not" in told[code]] == ["may_not_ask"]
    path = draft(responder, network, length="other", other="2s")
    time.sleep(2)
    late = confirm(responder, path)
    assert late.status_code == 412
    assert "Not done: this draft is too old" in late.text


# When the database is in trouble


@contextlib.contextmanager
def trouble(console: Console, how: str, back: str) -> Iterator[None]:
    """The web's database role is changed, and its lines cut, so that they begin anew."""
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'steadyhand_web'"
    with console.database(role="superuser") as root:
        root.execute(how)
        root.execute(cut)
        try:
            yield
        finally:
            root.execute(back)
            root.execute(cut)
    # Each of the web's threads notices on its own that its line was cut.
    ready = f"{console.url}/readyz"
    eventually(
        lambda: all(httpx.get(ready).status_code == 200 for _ in range(50)), what="it is ready"
    )


AWAY = ("ALTER ROLE steadyhand_web NOLOGIN", "ALTER ROLE steadyhand_web LOGIN")
READ_ONLY = (
    "ALTER ROLE steadyhand_web SET default_transaction_read_only = on",
    "ALTER ROLE steadyhand_web RESET default_transaction_read_only",
)


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize("how", [AWAY, READ_ONLY], ids=["away", "read only"])
def test_database_trouble_is_a_page_in_words(
    console: Console, responder: Browser, network: str, how: tuple[str, str], htmx: bool
) -> None:
    path = draft(responder, network)
    page = show(responder, path)
    if htmx:
        responder.http.headers["HX-Request"] = "true"
    with trouble(console, *how):
        # The first request on each line that was cut is told of trouble too.
        told = [(responder.http.get(path), responder.submit(f"{path}/run", page)) for _ in range(4)]
    for looked, sent in told:
        assert (looked.status_code, sent.status_code) == (503, 503)
        assert "We cannot show this just now" in looked.text
        assert re.search(
            "could not write this down, so we did not run it|We do not know", sent.text
        )
        assert ("<html" in sent.text) is not htmx
    if how is AWAY:
        assert not any("We do not know" in sent.text for _, sent in told)
    assert confirm(responder, path).headers.get("HX-Redirect" if htmx else "Location")


# What pages cost

_COUNT = """
import django; django.setup()
import json, sys, psycopg
from django.test import Client
from actions.models import Caller
real, count = psycopg.Cursor.execute, [0]
def counting(self, *args, **kwargs):
    count[0] += 1
    return real(self, *args, **kwargs)
psycopg.Cursor.execute = counting
client = Client(SERVER_NAME="127.0.0.1")
client.force_login(Caller.objects.get(username="sam"))
told = {}
for path in json.loads(PATHS) * 2:
    count[0] = 0
    assert client.get(path).status_code == 200, path
    told[path] = count[0]
print(json.dumps(told))
"""


def test_pages_ask_the_database_as_often_however_much_they_show(
    console: Console, runbook: Api, pages: list[str], incident: str, network: str
) -> None:
    paths = [*pages, "/log"]
    code = _COUNT.replace("PATHS", repr(json.dumps(paths)))
    before = json.loads(console.python(code, role="web"))
    for number in range(3):
        runbook.ban(f"100.67.{number}.1", incident=incident, wait=10)
        runbook.ban(network, incident=incident, wait=10)
        runbook.lift(network, incident=incident, wait=10)
    after = json.loads(console.python(code, role="web"))
    # One look-up may be left out where there is nothing to look up.
    assert all(abs(after[path] - before[path]) <= 1 for path in paths), (before, after)
    # The board asks for most: what waits, stands, is in trouble or told, each with a question or two.
    assert max(after.values()) <= 19
