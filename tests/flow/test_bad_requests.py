"""Whatever is sent, it is told in words what is wrong with it, and the console never fails."""

from __future__ import annotations

import contextlib
import http.client
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
import rfc8785
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from tests.console_process import Api, Console
from tests.flow.test_dispositions import assert_problem

GOOD = {
    "action": "ban-network",
    "subject": {"kind": "network", "name": "198.51.100.1"},
    "params": {"for": "1h"},
    "reason": "a test asks",
}


class Raw:
    """Sends bytes and headers as they are, with the runbook's token unless another is given."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def __call__(
        self,
        body: bytes | None = None,
        headers: Sequence[tuple[str, str | bytes]] = (),
        *,
        path: str = "/api/v1/operations",
        method: str = "POST",
        leave_out: str = "",
        host: str = "",
    ) -> tuple[int, dict[str, str], Any]:
        line = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        body = json.dumps(GOOD).encode() if body is None else body
        line.putrequest(method, path, skip_host=bool(host))
        given = {name.lower() for name, _ in headers} | {leave_out}
        usual = [
            ("Authorization", f"Bearer {self.token}"),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", uuid.uuid4().hex),
            *([("Host", host)] if host else []),
        ]
        for name, value in [*(u for u in usual if u[0].lower() not in given), *headers]:
            line.putheader(name, value)
        line.putheader("Content-Length", str(len(body)))
        line.endheaders()
        line.send(body)
        response = line.getresponse()
        told = response.read()
        line.close()
        kept = {name.lower(): value for name, value in response.getheaders()}
        return response.status, kept, json.loads(told) if told else None


@pytest.fixture(scope="module")
def raw(console: Console) -> Raw:
    return Raw(console.url, console.token)


def assert_told(told: tuple[int, dict[str, str], Any], *statuses: int) -> dict[str, Any]:
    """A problem of one of these statuses, in words, saying that nothing changed."""
    status, headers, body = told
    assert status in statuses, body
    assert headers["content-type"] == "application/problem+json"
    assert (body["status"], body["changed"]) == (status, False)
    assert body["detail"] and body["code"] and body["title"]
    return dict(body)


def body(**change: Any) -> bytes:
    return json.dumps({**GOOD, **change}).encode()


def text(change: str) -> bytes:
    """The good body with one more member, written out by hand."""
    return json.dumps(GOOD).encode()[:-1] + b"," + change.encode() + b"}"


NO_JSON = {
    "nothing": b"",
    "half of it": b'{"action":',
    "a word": b"ban",
    "the same member twice": text('"reason":"another"'),
    "the same member twice, deeper": text('"x":{"a":1,"a":1}'),
    "NaN": text('"seen":NaN'),
    "Infinity": text('"seen":-Infinity'),
    "a number beyond any double": text('"seen":1e400'),
    "a number of 5000 digits": text('"seen":' + "9" * 5000),
    "a number of 64 bits and one": text(f'"seen":{2**64}'),
    "200000 brackets": b"[" * 60_000,
    "many brackets that close": b"[" * 30_000 + b"]" * 30_000,
    "seventeen levels": text('"params":' + "[" * 16 + "]" * 16),
    "more than 64 KiB": body(reason="x" * 70_000),
    "more than Django takes": body(reason="x" * 300_000),
    "Latin-1": body(reason="caf\xe9").decode().encode("latin-1").replace(b"\\u00e9", b"\xe9"),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "a NUL in the reason": text('"x":"a\\u0000b"'),
    "a NUL as it is": json.dumps(GOOD).encode().replace(b"a test", b"a\x00test"),
    "half a surrogate pair": body(reason="\ud800"),
    "half a surrogate pair in a name": text('"\\udfff":1'),
    "a comment": b"/* */" + json.dumps(GOOD).encode(),
    "more after it": json.dumps(GOOD).encode() + b"{}",
    "single quotes": b"{'action': 'ban-network'}",
}


@pytest.mark.parametrize("sent", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_is_told_so(raw: Raw, sent: bytes) -> None:
    told = assert_told(raw(sent), 400)
    assert told["code"] == "bad_json"


NO_REQUEST = {
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "nothing in it": b"{}",
    "an unknown member": body(force=True),
    "state": body(state="succeeded"),
    "requested_by": body(requested_by="ana"),
    "__class__": body(__class__="x"),
    "no action": body(action=None),
    "a number as action": body(action=7),
    "no subject": body(subject=None),
    "a subject in a list": body(subject=["network", "198.51.100.1"]),
    "a subject with more": body(subject={"kind": "network", "name": "198.51.100.1", "x": 1}),
    "a subject without a name": body(subject={"kind": "network"}),
    "an unknown kind": body(subject={"kind": "account", "name": "ana"}),
    "a kind with a NUL's neighbour": body(subject={"kind": "network\x01", "name": "198.51.100.1"}),
    "no reason": body(reason=None),
    "a reason of spaces": body(reason=" \t\r\n "),
    "a reason too long": body(reason="x" * 2001),
    "a reason that is a number": body(reason=1),
    "seen below zero": body(seen=-1),
    "seen of 2**31": body(seen=2**31),
    "seen of 2**53": body(seen=2**53),
    "seen of 2**63-1": body(seen=2**63 - 1),
    "seen as text": body(seen="1"),
    "seen as true": body(seen=True),
    "seen as a fraction": body(seen=1.5),
    "again as text": body(again="yes"),
    "again, seen nothing": body(again=True),
    "an incident by its number": body(incident=7),
    "an incident of another form": body(incident="7"),
    "an incident with a line end": body(incident="INC-7\n"),
    "an incident zero": body(incident="INC-0"),
    "an incident in other digits": body(incident="INC-\u0661"),
    "params in a list": body(params=[]),
    "no length": body(params={}),
    "two ends": body(params={"for": "1h", "until": None}),
    "an unknown parameter": body(params={"for": "1h", "force": True}),
    "a parameter of a strange name": body(params={"for": "1h", "\x1b[31m": 1}),
    "a number beyond 2**53": body(params={"for": "1h", "n": 2**53 + 1}),
    "a number below it": body(params={"for": -(2**63)}),
    "a length of nothing": body(params={"for": "0h"}),
    "a length below zero": body(params={"for": "-1h"}),
    "a length of ages": body(params={"for": "999999999d"}),
    "a length with spaces": body(params={"for": " 1h"}),
    "a length with a line end": body(params={"for": "1h\n"}),
    "a length in other digits": body(params={"for": "\u0661h"}),
    "a length in a list": body(params={"for": ["1h"]}),
    "an end that has passed": body(params={"until": "2001-01-01T00:00:00Z"}),
    "an end without a zone": body(params={"until": "2126-01-01T00:00:00"}),
    "an end in a hundred years": body(params={"until": "2126-01-01T00:00:00Z"}),
    "an end in the year 9999": body(params={"until": "9999-12-31T23:59:59-23:59"}),
    "an end in no year": body(params={"until": "0000-01-01T00:00:00Z"}),
    "an end at second 60": body(params={"until": "2026-12-31T23:59:60Z"}),
    "an end at 24 o'clock": body(params={"until": "2026-12-31T24:00:00Z"}),
    "an end in infinity": body(params={"until": "infinity"}),
    "an end tomorrow": body(params={"until": "tomorrow"}),
    "a draft and more": body(draft="dr_x"),
    "a draft that is a number": json.dumps({"draft": 1}).encode(),
    "a draft too long": json.dumps({"draft": "x" * 65}).encode(),
}


@pytest.mark.parametrize("sent", NO_REQUEST.values(), ids=NO_REQUEST.keys())
def test_what_is_no_request_is_told_so(raw: Raw, sent: bytes) -> None:
    told = assert_told(raw(sent), 422)
    # Nothing of what was sent can drive a terminal or a log.
    assert all(ord(letter) > 31 for letter in told["detail"])


def test_what_there_is_not_is_told_so(raw: Raw) -> None:
    assert_told(raw(body(action="ban-nothing")), 404)
    assert_told(raw(body(action="BAN-NETWORK")), 404)
    assert_told(raw(body(action="ban-network\x01")), 404)
    assert_told(raw(json.dumps({"draft": "dr_unknown"}).encode()), 404)
    assert_told(raw(path="/api/v1/nothing"), 404)
    assert_told(raw(path="/api/v1/operations/op_x/launch"), 404)


def test_a_reason_is_kept_as_it_was_given_whatever_letters_it_has(
    runbook: Api, fresh_network: Callable[[], str]
) -> None:
    for reason in (
        "\x01\x02\x1b[31m\x7f", "\x0b\x1e\x85\u2028\u2029", "\u202eevil\u200b\U000e0041",
        '"; DROP TABLE operation; --', "{{7*7}} {% debug %} <script>", "%s %(x)s %% \\x00 \\u0000",
        "\U0001f480" * 2000, "=cmd|'/c calc'!A1", "\ufeff\ufffe\uffff",
    ):  # fmt: skip
        key = uuid.uuid4().hex
        made = runbook.ban(fresh_network(), reason=f"x{reason}x"[:2000], key=key)
        assert made.status_code == 201, reason
        ref = made.json()["operation"]["ref"]
        told = runbook.get(f"/operations/{ref}").json()["operation"]["reason"]
        assert told == f"x{reason}x"[:2000]


def test_a_logged_reason_is_the_canonical_json_of_what_was_given(
    console: Console, runbook: Api, network: str
) -> None:
    reason = 'x\x01\x08\x1f\x7f"\\/\u2028\U0001f480\u00e9x'
    ref = runbook.ban(network, reason=reason).json()["operation"]["ref"]
    logged = console.value(
        "SELECT body FROM log_event e JOIN operation o ON o.id = e.operation_id"
        " WHERE o.ref = %s AND e.number = 1",
        ref,
    )
    event = json.loads(bytes(logged))
    assert event["body"]["reason"] == reason
    assert rfc8785.dumps(event) == bytes(logged)


NETWORKS = (
    "", " ", "010.0.0.1", "127.1", "1.2.3", "1", "2130706433", "0x7f.0.0.1", "1.2.3.4/24",
    "1.2.3.4/0.0.0.255", "1.2.3.0/255.255.255.0", "1.2.3.0/024", "1.2.3.4/33", "1.2.3.4/-1",
    "1.2.3.4/", "/24", "256.1.1.1", "1.2.3.4\n", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4,5.6.7.8",
    "fe80::1%eth0", "fe80::1%25eth0", "fe80::1%\x01", "[::1]", "::1/129", ":::", "1::2::3",
    "::ffff:1.2.3.4/24", "::ffff:999.1.1.1", "\uff11.2.3.4", "\u0661.2.3.4", "1.2.3.4\u200b",
    "localhost", "example.org", "1.2.3.4:80", "http://1.2.3.4", "1.2.3.4;drop", "0" * 5000, "*",
    2130706433, True, None, 1.5, [], ["1.2.3.4"], {}, {"name": "1.2.3.4"},
)  # fmt: skip


def test_what_is_no_network_is_never_guessed_at(runbook: Api) -> None:
    for name in NETWORKS:
        told = runbook.ban(name)  # type: ignore[arg-type]
        assert_problem(told, 422, "bad_network")
        assert all(ord(letter) > 31 for letter in told.json()["detail"])
        assert runbook.get("/subjects", kind="network", name=str(name)).status_code in {200, 422}


def test_no_spelling_reaches_more_than_may_be_reached(runbook: Api) -> None:
    # What holds something protected is told so first, by the order of contract §4.
    held = ("0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "::ffff:0:0/96", "64:ff9b::/96",
            "::/96", "2002::/16", "64:ff9b:1::/48")  # fmt: skip
    wide = ("11.0.0.0/8", "10.0.0.0/15", "2001:db8::/31", "2002:b00::/31")
    told = {name: runbook.ban(name).json()["code"] for name in held + wide}
    assert told == dict.fromkeys(held, "protected") | dict.fromkeys(wide, "too_wide")


def test_an_address_has_one_name_however_it_is_written(
    runbook: Api, fresh_network: Callable[[], str]
) -> None:
    name = fresh_network()
    low, high = (int(part) for part in name.split(".")[2:])
    hexadecimal = f"::ffff:c612:{low:02x}{high:02x}"
    mapped = (f"::FFFF:{name}", f"{hexadecimal}/128", f"0:0:0:0:0:ffff:{name}")
    for spelling in (name, f"{name}/32", *mapped):
        told = runbook.ban(spelling).json()["operation"]
        assert told["subject"]["name"] == f"{name}/32"
        assert told["generation"] == 1
    v6 = f"2001:db8:a{low:x}::{high:x}"
    for spelling in (v6, v6.upper(), f"{v6}/128", f"2001:0db8:a{low:x}:0:0:0:0:{high:04x}"):
        told = runbook.ban(spelling).json()["operation"]
        assert (told["subject"]["name"], told["generation"]) == (f"{v6}/128", 1)


# --- headers

KEYS = {
    "none": (),
    "an empty one": ("",),
    "fifteen letters": ("k" * 15,),
    "129 letters": ("k" * 129,),
    "8000 letters": ("k" * 8000,),
    "quotes around too little": ('"' + "k" * 15 + '"',),
    "half quoted": ('"' + "k" * 20,),
    "quoted twice": ('""' + "k" * 20 + '""',),
    "two": ("k" * 20, "l" * 20),
    "the same one twice": ("k" * 20, "k" * 20),
    "a space within": ("k" * 10 + " " + "k" * 10,),
    "a slash": ("k" * 20 + "/",),
    "Latin-1": (b"\xe9" * 20,),
    "UTF-8": ("ключ-ключ-ключ-ключ".encode(),),
    "parameters": ('"' + "k" * 20 + '";a=1',),
}


@pytest.mark.parametrize("sent", KEYS.values(), ids=KEYS.keys())
def test_a_key_that_is_none_is_told_so(raw: Raw, sent: tuple[str | bytes, ...]) -> None:
    headers = [("Idempotency-Key", value) for value in sent]
    told = assert_told(raw(None, headers, leave_out="idempotency-key"), 400)
    assert told["code"] == "bad_key"


def test_a_key_may_be_quoted_or_bare_and_is_the_same_key(
    console: Console, runbook: Api, fresh_network: Callable[[], str]
) -> None:
    name, key = fresh_network(), f"A_z.:-{uuid.uuid4().hex}"
    assert runbook.ban(name, key=key).status_code == 201
    assert runbook.ban(name, key=f'"{key}"').headers["Idempotency-Replayed"] == "true"
    assert runbook.ban(fresh_network(), key=key.ljust(128, "x")).status_code == 201
    # A key is told from another by the case of its letters.
    assert "Idempotency-Replayed" not in runbook.ban(name, key=key.swapcase()).headers


@pytest.mark.parametrize(
    "sent",
    [("x",), ("*",), ("-1",), ("1.5",), ('"1', '"'), ("1", "2"), ("9" * 10,), ("9" * 5000,),
     ("\u0661".encode(),), ("",)],
)  # fmt: skip
def test_an_if_match_that_names_no_generation_is_told_so(
    raw: Raw, sent: tuple[str | bytes, ...]
) -> None:
    told = assert_told(raw(None, [("If-Match", value) for value in sent]), 422)
    assert told["code"] == "bad_if_match"


def test_an_if_match_that_says_otherwise_than_the_body_is_told_so(raw: Raw) -> None:
    assert_told(raw(body(seen=2), [("If-Match", '"1"')]), 422)


@pytest.mark.parametrize(
    "sent",
    ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/json-seq", "application/xml"],
)  # fmt: skip
def test_another_content_type_is_told_so(raw: Raw, sent: str) -> None:
    assert_told(raw(None, [("Content-Type", sent)]), 415)


def test_a_preference_that_makes_no_sense_is_passed_over(
    runbook: Api, raw: Raw, network: str
) -> None:
    sent = body(subject={"kind": "network", "name": network})
    for preference in (
        "wait=",
        "wait=-1",
        "wait=1e9",
        "wait=9999999999",
        "wait=x; y",
        "=;,",
    ):
        assert raw(sent, [("Prefer", preference)])[0] in {200, 201}


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "PATCH", "BREW"])
def test_a_method_that_is_not_taken_is_told_so(raw: Raw, runbook: Api, method: str) -> None:
    for path in ("/api/v1/operations", "/api/v1/actions/ban-network", "/api/v1/subjects"):
        status, headers, told = raw(b"", path=path, method=method)
        assert_told((status, headers, told), 405)
        assert "GET" in headers["allow"]


def test_a_method_cannot_be_disguised(raw: Raw, network: str, runbook: Api) -> None:
    sent = body(subject={"kind": "network", "name": network})
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        raw(sent, [(header, "POST")], method="GET")
    assert runbook.get("/subjects", kind="network", name=network).json()["lanes"] == []


def test_another_host_is_not_answered(raw: Raw) -> None:
    assert_told(raw(None, host="evil.example"), 400)


@pytest.mark.parametrize(
    "path",
    [
        "/operations?name=%00", "/operations?action=a%00b", "/operations/%00", "/operations/op_%00",
        "/lists/%00.txt", "/drafts/%00", "/incidents/%00", "/requests/%00", "/actions/%00",
        "/subjects?kind=network&name=1.2.3.4%00", "/requests/short", "/incidents/7", "/incidents/INC-0",
        "/lists/nothing.txt", "/drafts/dr_nothing", "/operations/op_nothing", "/subjects",
        "/subjects?kind=network", "/subjects?kind=x&name=y", "/operations?limit=many",
        "/operations?incident=7", "/operations/../../etc/passwd", "/operations/%2e%2e%2f",
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_told_so(raw: Raw, path: str) -> None:
    assert_told(raw(b"", path=f"/api/v1{path}", method="GET"), 400, 404, 422)


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=0", f"limit={'9' * 30}", "cursor=x", "cursor=-1", f"cursor={'9' * 30}",
     "cursor=%D9%A1", "state=%ED%A0%80", "state='", "name=%FF", "incident=INC-999999999"],
)  # fmt: skip
def test_a_strange_filter_finds_what_it_finds(runbook: Api, query: str) -> None:
    assert runbook.http.get(f"/api/v1/operations?{query}").status_code == 200


def test_an_incident_s_title_is_looked_at(runbook: Api) -> None:
    for title in ("", " \t\n ", "x" * 201, "x" * 401, None, 7, ["x"]):
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        told = runbook.http.post("/api/v1/incidents", json={"title": title}, headers=headers)
        assert told.status_code == 422, title
    told = runbook.http.post("/api/v1/incidents", json={"title": "no key"})
    assert_problem(told, 400, "bad_key")


def test_an_incident_is_opened_once_per_key(runbook: Api) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}

    def opened(title: str) -> Any:
        return runbook.http.post("/api/v1/incidents", json={"title": title}, headers=headers)

    first, again = opened("scanning"), opened("  scanning ")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["incident"]["ref"] == again.json()["incident"]["ref"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert_problem(opened("something else"), 422, "key_reused")


# --- who asks


def test_nobody_is_told_anything(raw: Raw, console: Console) -> None:
    unknown = "sh_000000000000_" + "a" * 43
    prefix = console.token[:16]
    for sign in (
        "", "Bearer", "Bearer ", f"Bearer {unknown}", f"Bearer {prefix}{'a' * 43}", f"Basic {console.token}",
        console.token, f"Bearer  {console.token}", f"Bearer {console.token}x",
        f"Bearer {console.token}, Bearer {console.token}", "Bearer " + "x" * 5000,
    ):  # fmt: skip
        headers = [("Authorization", sign)]
        for sent in (
            None,
            b"",
            b"[]",
            body(params={"n": 2**60}),
            body(action="x"),
            body(reason=" "),
        ):
            status, kept, told = raw(sent, headers)
            assert_told((status, kept, told), 401)
            assert told["code"] == "unauthenticated"
            assert kept["www-authenticate"] == 'Bearer realm="steadyhand"'
        assert_told(raw(b"", headers, path="/api/v1/operations", method="GET"), 401)
        assert_told(raw(b"", headers, path="/api/v1/lists/blocked-networks.txt", method="GET"), 401)
    assert_told(raw(leave_out="authorization"), 401)
    twice = [("Authorization", f"Bearer {console.token}")] * 2
    assert_told(raw(None, twice), 401)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE api_token SET revoked_at = now() WHERE caller_id = %s",
        "UPDATE api_token SET created_at = now() - interval '2 days',"
        " expires_at = now() - interval '1 second' WHERE caller_id = %s",
        "UPDATE caller SET is_active = false WHERE id = %s",
    ],
    ids=["revoked", "expired", "closed account"],
)
def test_a_token_that_is_over_is_worth_nothing_from_that_moment_on(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str, change: str
) -> None:
    name, runbook = somebody("runbooks")
    key = uuid.uuid4().hex
    assert runbook.ban(network, key=key).status_code == 201
    with console.database() as owner:
        owner.execute(change, [console.value("SELECT id FROM caller WHERE username = %s", name)])
    assert_problem(runbook.ban(network, key=key), 401, "unauthenticated")
    assert_problem(runbook.ban("no network"), 401, "unauthenticated")
    for path in ("/operations", f"/requests/{key}", "/actions", "/lists/blocked-networks.txt"):
        assert runbook.get(path).status_code == 401


def test_each_door_needs_its_scope(somebody: Callable[..., tuple[str, Api]], network: str) -> None:
    _, asker = somebody("runbooks", scopes=["ask:ban-network"])
    assert asker.ban(network).status_code == 201
    for path in ("/operations", "/actions", "/incidents", "/requests/" + "k" * 20):
        assert_problem(asker.get(path), 403, "token_scope")
    assert_problem(asker.get("/lists/blocked-networks.txt"), 403, "token_scope")
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    told = asker.http.post("/api/v1/incidents", json={"title": "x"}, headers=headers)
    assert_problem(told, 403, "token_scope")
    _, reader = somebody("runbooks", scopes=["read"])
    assert_problem(reader.ban(network), 403, "token_scope")


# --- anything at all

FEW = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = st.sampled_from(
    [*GOOD, "incident", "seen", "again", "draft", "kind", "name", "for", "until"]
)
NEARLY = st.builds(
    lambda change, deeper: {**GOOD, **change, **({"params": deeper} if deeper else {})},
    st.dictionaries(NAMES, ANYTHING, max_size=2),
    st.dictionaries(NAMES, ANYTHING, max_size=2),
)


@settings(FEW, max_examples=60)
@given(sent=NEARLY | ANYTHING | st.binary(max_size=60))
def test_nothing_that_is_sent_makes_the_console_fail(raw: Raw, sent: Any) -> None:
    written = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    status, headers, told = raw(written)
    assert status < 500, told
    if status >= 400:
        assert_told((status, headers, told), status)


def test_the_api_s_own_description_holds_no_way_to_make_it_fail(console: Console) -> None:
    """A short run of schemathesis over what the API says of itself."""
    schema = schemathesis.openapi.from_url(f"{console.url}/api/v1/openapi.json")
    headers = {"Authorization": f"Bearer {console.token}"}
    tried = 0
    for found in schema.get_all_operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            with contextlib.suppress(hypothesis.errors.Unsatisfiable):
                attack(found.ok().as_strategy(generation_mode=mode), headers)
                tried += 1
    assert tried >= 15


def attack(strategy: Any, headers: dict[str, str]) -> None:
    """Send a few cases of one operation."""

    @FEW
    @given(case=strategy)
    def send(case: Any) -> None:
        response = case.call(headers=headers, timeout=20)
        case.validate_response(response, checks=[not_a_server_error])

    send()
