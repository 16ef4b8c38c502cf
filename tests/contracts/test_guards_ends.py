"""Ends: what was asked for until a moment is undone then, once, and only if it still stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from actions import ends, outbox, settle
from actions.models import Operation
from actions.outcomes import Refused
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
    assert end_note(still, operation) == ""
    still.deliver(lift)
    assert (end_now(still, operation), end_note(still, operation)) == ("ended", "issued")
    assert end_now(still, operation) == "not_due"


def test_an_end_that_was_superseded_unsent_is_issued_again(still: Still, name: str) -> None:
    operation = due_ban(still, name)
    assert end_now(still, operation) == "written"
    later, _ = still.issued(ask("ban-network", name, {"for": "1h"}, seen=2))
    age(still, later, "16 minutes")
    with still.acting("worker"):
        outbox.expire_unbegun()
    assert still.state(later) == "expired" and still.listed(name)
    assert end_now(still, operation) == "written"
    still.deliver(still.value("SELECT max(id) FROM operation"))
    assert not still.listed(name)


def test_an_end_waits_for_a_lift_under_way_and_is_issued_if_it_fails(
    still: Still, name: str
) -> None:
    operation = due_ban(still, name)
    lifting, effect = still.issued(lift(name))
    with still.acting("worker"):
        attempt = outbox.claim(effect, "test")
        assert attempt is not None
    assert end_now(still, operation) == "not_due"
    with still.acting("worker"):
        settle.settle(attempt, Refused("no"), verified=False, settle_seconds=0)
    assert still.state(lifting) == "failed"
    assert end_now(still, operation) == "written"


def test_the_end_of_a_ban_outlives_a_longer_one_that_failed(still: Still, name: str) -> None:
    operation = due_ban(still, name)
    longer, effect = still.issued(ask("ban-network", name, {"until": None}))
    with still.acting("worker"):
        attempt = outbox.claim(effect, "test")
        assert attempt is not None
        settle.settle(attempt, Refused("no"), verified=False, settle_seconds=0)
    assert still.state(longer) == "failed"
    assert end_now(still, operation) == "written"


def test_the_end_of_a_ban_that_failed_lifts_nothing(still: Still, name: str) -> None:
    still.made(ask("ban-network", name, {"until": None}))
    short, effect = still.issued(
        ask("ban-network", name, {"for": "1h"}, seen=1, again=True, reason="once more")
    )
    with still.acting("worker"):
        attempt = outbox.claim(effect, "test")
        assert attempt is not None
        settle.settle(attempt, Refused("no"), verified=False, settle_seconds=0)
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [short])
    assert end_now(still, short) == "void"
    assert still.listed(name)


def test_one_end_that_cannot_be_issued_keeps_no_other_from_it(
    still: Still, name: str, networks: Callable[[], str]
) -> None:
    strange = due_ban(still, networks())
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute(
            "UPDATE operation SET action = 'gone', ends_at = now() - interval '1 day' WHERE id = %s",
            [strange],
        )
    operation = due_ban(still, name)
    with still.acting("worker"):
        assert ends.end_due() >= 1
    lifted = (
        "SELECT count(*) FROM operation o JOIN operation n USING (subject_id, lane)"
        " WHERE o.id = %s AND n.generation = 2"
    )
    assert still.value(lifted, operation) == 1
    with still.database() as at:
        at.execute("UPDATE operation SET ended_at = now() WHERE id = %s", [strange])


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
    newest = still.value("SELECT max(id) FROM operation")
    assert still.value("SELECT because FROM operation WHERE id = %s", newest) == "end of @1"


def test_only_a_clock_that_jumped_holds_ends(still: Still) -> None:
    clock, now = ends.Clock(), datetime.now(UTC)
    assert clock.jump(now) == 0
    assert abs(clock.jump(now + timedelta(seconds=29))) < ends.MAY_JUMP
    assert abs(clock.jump(now + timedelta(seconds=120))) > ends.MAY_JUMP
    assert abs(clock.jump(now + timedelta(seconds=121))) < ends.MAY_JUMP
