"""The log tells all that moved, in order, in exact canonical bytes, or nothing happened (contract §8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import rfc8785
from django.db import transaction
from django.db.transaction import TransactionManagementError

from actions import log, outbox, reconcile, settle
from actions.outcomes import Applied, Found, Refused, RetryLater, Unknown
from actions.states import EFFECT_MOVES, OPERATION_MOVES
from tests.contracts.inside import Still, ban, lift

Names = Callable[[], str]

REASONS = [
    'says "quoted" and \\ backslash / slash',
    "tab\tline\nreturn\rfeed\fback\b",
    "".join(chr(code) for code in range(1, 32)) + "x",
    "\x7f\x80\x9f and \xa0 and \xad",
    "emoji 🔥👩‍🚒 and a flag 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "line\u2028and paragraph\u2029separators, \ufeff and \uffff",
    "Кириллица, 漢字, עברית, e\u0301 and é",
    "<script>alert('&amp;')</script>",
    "number 1e400 and null and \ud7ff\ue000",
]


def events(still: Still, operation: int) -> list[dict[str, Any]]:
    """An operation's events by its own running number, each as its body tells it."""
    sql = "SELECT number, kind, body FROM log_event WHERE operation_id = %s ORDER BY number"
    rows = still.rows(sql, operation)
    assert [number for number, _, _ in rows] == list(range(1, len(rows) + 1)), "gapless"
    told = [json.loads(body) for _, _, body in rows]
    assert [(event["number"], event["kind"]) for event in told] == [row[:2] for row in rows]
    return told


def replayed(still: Still, operation: int) -> tuple[str, dict[tuple[str, str], str]]:
    """The state of an operation and of its effects, as nothing but its events tell them."""
    first, *rest = events(still, operation)
    assert first["kind"] == "operation.requested"
    state = "approved"
    plan = first["body"]["plan"]
    effects = {(effect["realm"], effect["step"]): "ready" for effect in plan["effects"]}
    for event in rest:
        body = event["body"]
        if event["kind"] == "operation.moved":
            assert body["from"] == state, event
            state = body["to"]
        elif event["kind"] == "effect.moved":
            effect = body["realm"], body["step"]
            assert body["from"] == effects[effect], event
            effects[effect] = body["to"]
    return state, effects


def actual(still: Still, operation: int) -> tuple[str, dict[tuple[str, str], str]]:
    rows = still.rows(
        "SELECT realm_id::text, step, state FROM effect WHERE operation_id = %s", operation
    )
    return still.state(operation), {(realm, step): state for realm, step, state in rows}


def carried_out(still: Still, operation: int, outcome: Any) -> None:
    """Take up each effect that is ready, and settle it so."""
    ready = "SELECT id FROM effect WHERE operation_id = %s AND state = 'ready' ORDER BY id"
    with still.acting("worker"):
        for (effect,) in still.rows(ready, operation):
            attempt = outbox.claim(effect, "test")
            assert attempt is not None
            settle.settle(attempt, outcome, verified=True, settle_seconds=0)


@pytest.mark.usefixtures("second_realm")
def test_what_every_operation_and_effect_went_through_can_be_replayed(
    still: Still, networks: Names
) -> None:
    seen = set()
    applied = Applied(Found.CHANGED)
    for outcomes in (
        [applied],
        [Refused("no")],
        [RetryLater("not now", after=0), applied],
        [Unknown("no answer")],
    ):
        name = networks()
        operation = still.submit(ban(name)).operation["id"]
        for outcome in outcomes:
            with still.database() as at:
                at.execute("UPDATE effect SET run_at = now() WHERE operation_id = %s", [operation])
            carried_out(still, operation, outcome)
        with still.acting("worker"):
            reconcile.reconcile_due()
        assert replayed(still, operation) == actual(still, operation)
        told = still.submit(ban(name))
        if told.disposition == "resumed":
            still.deliver(operation)
        still.submit(lift(name, seen=1))
        assert replayed(still, operation) == actual(still, operation)
        seen |= {
            (event["kind"], event["body"]["from"], event["body"]["to"])
            for event in events(still, operation)
            if event["kind"].endswith(".moved")
        }
    legal = {("operation.moved", str(m.old), str(m.new)) for m in OPERATION_MOVES}
    legal |= {("effect.moved", str(m.old), str(m.new)) for m in EFFECT_MOVES}
    assert seen <= legal
    assert len(seen) >= 12, "a flow worth replaying"


def test_every_operation_that_any_test_made_can_be_replayed(still: Still, name: str) -> None:
    still.made(ban(name))
    for (operation,) in still.rows("SELECT id FROM operation ORDER BY id"):
        assert events(still, operation)[0]["kind"] == "operation.requested"
        count = "SELECT event_count FROM operation WHERE id = %s"
        assert len(events(still, operation)) == still.value(count, operation)


def test_each_request_that_arrives_has_its_event(still: Still, name: str) -> None:
    asked = ban(name)
    operation = still.made(asked)
    still.submit(asked)
    still.submit(ban(name), "raj")
    told = [event["body"] for event in events(still, operation) if "arrival" in event["body"]]
    assert [body["disposition"] for body in told] == ["created", "existing", "existing"]
    assert [body["by"] for body in told] == ["ana", "ana", "raj"]
    arrived = still.rows("SELECT id::text FROM arrival WHERE operation_id = %s", operation)
    assert {body["arrival"] for body in told} == {id for (id,) in arrived}


def test_a_refused_request_has_its_event_too(still: Still, name: str) -> None:
    asked = ban(name)
    assert still.submit(asked, "noor").disposition == "refused"
    body = still.value(
        "SELECT body FROM log_event WHERE operation_id IS NULL"
        " AND convert_from(body, 'UTF8')::jsonb #>> '{body,key}' = %s",
        asked.key,
    )
    told = json.loads(body)["body"]
    assert (told["by"], told["disposition"], told["subject"]) == (
        "noor",
        "refused",
        f"network/{name}",
    )


@pytest.mark.parametrize("reason", REASONS)
def test_the_bytes_are_canonical_whatever_was_typed(still: Still, name: str, reason: str) -> None:
    operation = still.submit(ban(name, reason=reason)).operation["id"]
    with still.acting("worker"):
        effect = still.value("SELECT id FROM effect WHERE operation_id = %s", operation)
        attempt = outbox.claim(effect, "test")
        assert attempt is not None
        settle.settle(attempt, Refused(reason), verified=False, settle_seconds=0)
        with transaction.atomic():
            log.append(
                "ends.held", {"note": reason, reason: [1.5, -0.0, 1e21, None, True]}, operation
            )
    told = events(still, operation)
    assert told[0]["body"]["reason"] == reason
    assert {event["body"].get("message", reason) for event in told} >= {reason}
    assert told[-1]["body"]["note"] == reason
    for (body,) in still.rows("SELECT body FROM log_event WHERE operation_id = %s", operation):
        assert rfc8785.dumps(json.loads(body)) == body


def test_every_event_of_the_log_is_canonical(still: Still) -> None:
    rows = still.rows("SELECT at, kind, number, operation_id, body FROM log_event")
    assert rows
    for at, kind, number, operation, body in rows:
        told = json.loads(body)
        assert rfc8785.dumps(told) == body
        assert set(told) == {"at", "body", "kind"} | (
            {"number", "operation"} if operation else set()
        )
        assert (told["kind"], told.get("number")) == (kind, number)
        assert told["at"] == at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_events_name_their_operation_by_its_ref(still: Still, name: str) -> None:
    operation = still.made(ban(name))
    ref = still.value("SELECT ref FROM operation WHERE id = %s", operation)
    assert {event["operation"] for event in events(still, operation)} == {ref}


def test_an_event_is_refused_outside_a_transaction(still: Still) -> None:
    count = "SELECT count(*) FROM log_event WHERE kind = 'incident.opened'"
    before = still.value(count)
    with still.acting("web"), pytest.raises(TransactionManagementError):
        log.append("incident.opened", {})
    assert still.value(count) == before


def test_what_is_rolled_back_leaves_no_event_and_no_number(still: Still, name: str) -> None:
    operation = still.made(ban(name))
    before = events(still, operation)
    with still.acting("web"), transaction.atomic():
        log.append("incident.opened", {}, operation)
        transaction.set_rollback(True)
    assert events(still, operation) == before
    with still.acting("web"), transaction.atomic():
        log.append("incident.opened", {}, operation)
    assert events(still, operation)[-1]["number"] == len(before) + 1


def test_two_who_append_at_once_take_turns(still: Still, name: str) -> None:
    operation = still.made(ban(name))

    def append() -> None:
        with transaction.atomic():
            log.append("incident.opened", {}, operation)

    with still.acting("web"), transaction.atomic():
        log.append("incident.opened", {}, operation)
        second = still.meanwhile("web", append)
        assert second.until_it_waits()
    second.result()
    assert [event["kind"] for event in events(still, operation)[-2:]] == ["incident.opened"] * 2


def test_an_event_of_no_operation_there_is_refused(still: Still) -> None:
    with still.database(role="web") as at, pytest.raises(psycopg.errors.NoDataFound):
        at.execute("SELECT log_append(-1, 'incident.opened', '{}')")
