"""Whatever is typed or sent: each parser reads it, or refuses it in its own words, and never fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actions import history, keys, records
from actions.catalogue import _ends
from actions.errors import ParamsRefused, Refusal
from actions.registry import registry
from console import waiting
from console.api import operations, shapes
from tests.console_process import Api, Browser
from tests.contracts.inside import Still, ban

SOME = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FEW = settings(SOME, max_examples=15)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXT = st.text(max_size=24)
DIGITS = st.text("0123456789٣²", max_size=24)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
LENGTHS = st.builds("{}{}".format, DIGITS, st.sampled_from(["s", "m", "h", "d", "w", "", " h"]))
MOMENTS = st.builds(
    "{}T{}{}".format,
    st.dates().map(str) | st.from_regex(r"\d{4}-\d\d-\d\d", fullmatch=True),
    st.times().map(str) | st.from_regex(r"\d\d:\d\d:\d\d(\.\d{1,9})?", fullmatch=True),
    st.sampled_from(["Z", "z", "", "+02:00", "-00:00", "+24:00", "+99:99", "-23:59"]),
)
HEADERS = st.from_regex(r'\A(W/)?"?[0-9٣]{0,12}"?\Z') | st.text(
    st.characters(max_codepoint=255), max_size=24
)


@SOME
@given(value=JSON | LENGTHS | MOMENTS, field=st.sampled_from(["for", "until"]))
def test_an_end_is_in_the_future_and_whole_or_refused(value: object, field: str) -> None:
    try:
        until, span = _ends.resolve({field: value}, NOW)
    except ParamsRefused as no:
        assert no.facts["field"] in {"for", "until"}
        return
    if until is None:
        assert (field, value, span) == ("until", None, None)
        return
    assert NOW < until <= NOW + _ends.LONGEST and until.microsecond % 1000 == 0
    assert _ends.instant(_ends.moment(until), "until") == until
    if span is not None:
        assert until == NOW + timedelta(seconds=span)


NAMES = sorted({param.name for action in registry.actions() for param in action.params})


@SOME
@given(params=st.dictionaries(st.sampled_from(NAMES) | TEXT, JSON | LENGTHS | MOMENTS, max_size=4))
def test_parameters_make_an_intent_or_are_refused_by_every_action(params: dict[str, Any]) -> None:
    for action in registry.actions():
        try:
            intent = action.resolve(params, NOW)
        except ParamsRefused as no:
            assert isinstance(no.facts.get("field"), str) and no.message
            continue
        json.dumps(dict(intent.desired), allow_nan=False)
        assert action.steps(intent)


@SOME
@given(header=st.none() | HEADERS | st.from_regex(r'\A"?[A-Za-z0-9_.:;-]{10,130}"?\Z'))
def test_a_key_is_one_or_none(header: str | None) -> None:
    try:
        key = keys.request_key(header)
    except Refusal as no:
        assert no.code == "bad_key"
        return
    assert 16 <= len(key) <= 128 and key.isascii() and keys.request_key(f'"{key}"') == key


def _request(**headers: str) -> Any:
    return SimpleNamespace(META={f"HTTP_{name.upper()}": value for name, value in headers.items()})


@SOME
@given(header=HEADERS, seen=st.none() | st.integers(0, 10))
def test_if_match_is_a_generation_or_refused(header: str, seen: int | None) -> None:
    try:
        found = operations.seen_of(_request(if_match=header), seen)
    except ParamsRefused as no:
        assert no.code == "bad_if_match"
        return
    assert found is not None and 0 <= found < 10**9 and found == (found if seen is None else seen)


@SOME
@given(header=HEADERS | st.from_regex(r"\A[a-z ;,]{0,9}wait ?=[ 0-9.-]{0,8}[;,]?\Z"))
def test_prefer_waits_no_longer_than_there_is_patience(header: str) -> None:
    assert 0 <= waiting.asked(_request(prefer=header)) <= waiting.LONGEST


@SOME
@given(ref=TEXT | st.builds("INC-{}".format, DIGITS))
def test_an_incident_is_a_number_that_fits_or_refused(ref: str) -> None:
    try:
        number = shapes.incident_number(ref)
    except ParamsRefused as no:
        assert no.code == "bad_incident"
        return
    assert (number is None) == (ref == "") and 0 <= (number or 0) < 2**31


@FEW
@given(
    texts=st.lists(st.text(max_size=12), min_size=6, max_size=6),
    cursor=TEXT | DIGITS,
    limit=st.integers(-(2**70), 2**70),
    before=st.none() | st.integers(1, 2**63 - 1),
)
def test_any_filter_and_cursor_lead_to_a_page(
    still: Still, texts: list[str], cursor: str, limit: int, before: int | None
) -> None:
    # What PostgreSQL cannot hold is kept from here by the doors, as the next test shows.
    action, state, kind, name, who, text = (word.replace("\0", "") for word in texts)
    with still.acting("web"):
        wanted = history.Filter(action, state, None, kind, name, who)
        assert len(history.operations(["ban-network"], wanted, cursor, limit).facts) <= history.MOST
    with still.acting("auditor"):
        found = records.read(records.Filter(kind, action, text, before))
        assert len(found.records) <= records.PAGE


PATHS = (
    "/operations?action={0}&state={1}&who={2}&cursor={3}",
    "/subjects?q={0}&kind={1}",
    "/subjects/network/{0}?before={1}",
    "/subjects/{0}/{1}",
    "/incidents/{0}?before={1}",
    "/log?kind={0}&operation={1}&text={2}&before={3}",
    "/operations/{0}?record={1}&requests={2}&after={3}",
    "/actions/{0}/new?draft={1}&subject={2}&incident={3}",
    "/actions/ban-network/new?draft={0}&subject={1}&incident={2}&again={3}",
    "/drafts/{0}",
    "/lists/{0}.txt",
    "/?seen={0}",
)
CALLS = (
    "/operations?action={0}&state={1}&incident={2}&cursor={3}",
    "/operations?kind={0}&name={1}&limit={2}",
    "/operations/{0}",
    "/subjects?kind={0}&name={1}",
    "/subjects/{0}",
    "/requests/{0}",
    "/incidents/{0}",
    "/actions/{0}",
    "/lists/{0}.txt",
)
WORDS = (
    st.text(st.characters(codec="utf-8"), max_size=10)
    | DIGITS
    | st.sampled_from(
        ["\0", "op_7QK2M0C4XW9E", "INC-1", "network", "a\0b", "%", "’", "203.0.113.7"]
    )
)
ODD = st.lists(WORDS, min_size=4, max_size=4)


@FEW
@given(path=st.sampled_from(CALLS), words=ODD)
def test_no_address_of_the_api_makes_it_fail(runbook: Api, path: str, words: list[str]) -> None:
    asked = "/api/v1" + path.format(*(quote(word, safe="") for word in words))
    assert runbook.http.get(asked).status_code < 500, asked


@FEW
@given(path=st.sampled_from(PATHS), words=ODD)
def test_no_address_of_a_page_makes_it_fail(
    responder: Browser, auditor: Browser, path: str, words: list[str]
) -> None:
    asked = path.format(*(quote(word, safe="") for word in words))
    for person in (responder, auditor):
        assert person.http.get(asked).status_code < 500, asked


@settings(SOME, max_examples=15)
@given(given_=st.dictionaries(st.sampled_from(["list", "token"]) | TEXT, JSON, max_size=3))
def test_a_realm_with_any_settings_stops_no_worker(
    still: Still, networks: Callable[[], str], given_: dict[str, Any]
) -> None:
    written = json.dumps(given_, allow_nan=True)
    if any(odd in written for odd in ("NaN", "Infinity", "\\u0000", "\\ud")):
        return  # no column of the database can hold it
    realm = still.value(_REALM, written)
    told = still.submit(ban(networks()))
    still.deliver(told.operation["id"])
    states = still.effects(told.operation["id"])
    still.rows("UPDATE realm SET enabled = false WHERE id = %s RETURNING 1", realm)
    assert len(states) >= 2 and set(states) <= {"ready", "succeeded", "failed", "in_doubt"}


_REALM = """
WITH made AS (INSERT INTO realm (id, name, title, connector, version, enabled)
       VALUES (gen_random_uuid(), 'odd-' || gen_random_uuid(), 'Odd', 'blocklist', 1, true)
       RETURNING id),
     set AS (INSERT INTO realm_version (realm_id, number, settings, created_at)
       SELECT id, 1, %s::jsonb, now() FROM made),
     may AS (INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)
       SELECT DISTINCT made.id, g.group_id, g.permission_id FROM made, realm_group_grant g)
SELECT id FROM made
"""


@pytest.fixture(autouse=True, scope="module")
def _odd_realms_are_done_with(still: Still) -> Any:
    yield
    still.rows(
        "UPDATE effect SET run_at = now() + interval '1 year' WHERE state = 'ready' AND realm_id IN"
        " (SELECT id FROM realm WHERE name LIKE 'odd-%%') RETURNING 1"
    )
