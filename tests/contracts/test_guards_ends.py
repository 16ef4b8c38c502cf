"""Ends: what was asked for until a moment is undone then, once, and only if it still stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from actions import ends, outbox
from actions.models import Operation
from tests.contracts.inside import Still, age, ask, ban, lift, tampering


def due_ban(still: Still, name: str) -> int:
    """A ban in force whose time is over."""
    operation = still.made(ask("ban-network", name, {"for": "1h"}))
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute(
            "UPDATE operation SET ends_at = now() - interval '1 s' WHERE id = %s", [operation]
        )
    return operation


def end_note(still: Still, operation: int) -> str:
    return str(still.value("SELECT end_note FROM operation WHERE id = %s", operation))


def end_now(still: Still, operation: int) -> object:
    """Issue the end of one operation, as the keeper does; what `issue_end` answered."""
    with still.acting("worker"):
        whole = Operation.objects.select_related("subject").get(id=operation)
        params = ends._params(
            whole, ends.Caller.objects.only("id").get(kind="console"), ("lift-ban", {})
        )
        return ends.database.value(ends._ISSUE_END, params)


def test_an_end_is_issued_once_and_only_when_it_is_due(still: Still, name: str) -> None:
    operation = still.made(ask("ban-network", name, {"for": "1h"}))
    assert end_now(still, operation) == "not_due"
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [operation])
    assert (end_now(still, operation), end_now(still, operation)) == ("written", "not_due")
    lift = still.value("SELECT max(id) FROM operation")
    still.deliver(lift)
    assert (end_now(still, operation), end_note(still, operation)) == ("not_due", "issued")


def test_an_end_is_void_once_the_lane_has_moved_on(still: Still, name: str) -> None:
    operation = due_ban(still, name)
    later = still.made(ban(name, "48h"))
    assert end_now(still, operation) == "void"
    assert end_note(still, operation) == "void"
    assert still.state(later) == "succeeded" and still.listed(name)
    kinds = "SELECT kind FROM log_event WHERE operation_id = %s ORDER BY number DESC LIMIT 1"
    assert still.value(kinds, operation) == "end.void"


def test_an_end_waits_for_a_later_generation_that_has_not_begun(still: Still, name: str) -> None:
    operation = due_ban(still, name)
    later, _ = still.issued(lift(name))
    assert end_now(still, operation) == "not_due"
    assert end_note(still, operation) == ""
    age(still, later, "16 minutes")
    with still.acting("worker"):
        outbox.expire_unbegun()
    assert still.state(later) == "expired"
    assert end_now(still, operation) == "written", "what came to nothing has not moved the lane"


def test_an_end_of_what_was_never_sent_is_void(still: Still, name: str) -> None:
    operation, _ = still.issued(ask("ban-network", name, {"for": "1h"}))
    age(still, operation, "16 minutes")
    with still.acting("worker"):
        outbox.expire_unbegun()
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [operation])
    assert end_now(still, operation) == "void"


def test_ends_are_held_while_the_clock_is_in_doubt(still: Still, name: str) -> None:
    operation = due_ban(still, name)
    with still.database() as at:
        at.execute("INSERT INTO ends_hold (seconds, noticed_at) VALUES (61, now())")
        try:
            with still.acting("worker"):
                assert ends.end_due() == 0
            assert end_note(still, operation) == ""
        finally:
            at.execute("UPDATE ends_hold SET released_at = now()")
    with still.acting("worker"):
        assert ends.end_due() >= 1
    assert end_note(still, operation) == "issued"


def test_only_a_clock_that_jumped_holds_ends(still: Still) -> None:
    clock, now = ends.Clock(), datetime.now(UTC)
    assert clock.jump(now) == 0
    assert abs(clock.jump(now + timedelta(seconds=29))) < ends.MAY_JUMP
    assert abs(clock.jump(now + timedelta(seconds=120))) > ends.MAY_JUMP
    assert abs(clock.jump(now + timedelta(seconds=121))) < ends.MAY_JUMP
