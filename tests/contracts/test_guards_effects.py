"""Carrying out: the claim, the fence, the locks and the doubts, each guard on its own."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.db import transaction

from actions import adapters, deliver, issue, outbox, reconcile, settle
from actions.models import Attempt, Effect
from actions.outcomes import Applied, Found, Refused, RetryLater, Seen, Unknown
from tests.contracts.inside import Still, age, ban, lift, tampering, without_groups

SAID_YES = Applied(Found.CHANGED)
Names = Callable[[], str]


def claimed(still: Still, effect: int) -> Attempt:
    with still.acting("worker"):
        attempt = outbox.claim(effect, "test")
    assert attempt is not None
    return attempt


def settled(still: Still, attempt: Attempt, outcome: object, settle_seconds: float = 0) -> bool:
    with still.acting("worker"):
        return settle.settle(attempt, outcome, verified=True, settle_seconds=settle_seconds)


def effect_state(still: Still, effect: int) -> str:
    return str(still.value("SELECT state FROM effect WHERE id = %s", effect))


def fence(still: Still, effect: int) -> int:
    return int(still.value("SELECT fence FROM effect WHERE id = %s", effect))


def run_out(still: Still, effect: int, *, called: bool = True) -> None:
    """The lease of an effect is over; unless `called`, the call had not begun."""
    with still.database() as at:
        at.execute("UPDATE effect SET lease_until = now() - interval '1 s' WHERE id = %s", [effect])
        if not called:
            at.execute("UPDATE attempt SET call_started_at = NULL WHERE effect_id = %s", [effect])


def in_doubt(still: Still, name: str) -> tuple[int, int, Attempt]:
    operation, effect = still.issued(ban(name))
    attempt = claimed(still, effect)
    assert settled(still, attempt, Unknown("no answer"))
    assert effect_state(still, effect) == "in_doubt"
    return operation, effect, attempt


# The claim.
def test_an_effect_is_taken_up_once(still: Still, name: str) -> None:
    _, effect = still.issued(ban(name))
    claimed(still, effect)
    with still.acting("worker"):
        assert outbox.claim(effect, "another") is None
    assert (fence(still, effect), effect_state(still, effect)) == (1, "executing")


def test_two_who_take_up_one_effect_at_once_are_one(still: Still, name: str) -> None:
    _, effect = still.issued(ban(name))
    with still.acting("worker"), transaction.atomic():
        assert outbox.claim(effect, "one")
        second = still.meanwhile("worker", lambda: outbox.claim(effect, "another"))
        second.until_it_waits()
    assert second.result() is None
    assert still.value("SELECT count(*) FROM attempt WHERE effect_id = %s", effect) == 1


def test_an_effect_is_not_taken_up_before_it_is_due(still: Still, name: str) -> None:
    _, effect = still.issued(ban(name))
    with still.database() as at:
        at.execute("UPDATE effect SET run_at = now() + interval '1 hour' WHERE id = %s", [effect])
    with still.acting("worker"):
        assert outbox.claim(effect, "early") is None
        assert effect not in {one.id for one in outbox.due(1000)}


def test_an_effect_that_was_cancelled_is_not_taken_up(still: Still, name: str) -> None:
    _, effect = still.issued(ban(name))
    still.issued(lift(name, seen=1))
    with still.acting("worker"):
        assert outbox.claim(effect, "late") is None
        assert not deliver.deliver(effect, "late")
    assert not still.listed(name)


# The fence.
def test_an_attempt_that_lost_its_lease_settles_nothing(still: Still, name: str) -> None:
    _, effect = still.issued(ban(name))
    first = claimed(still, effect)
    run_out(still, effect, called=False)
    with still.acting("worker"):
        assert outbox.expire_leases()
    second = claimed(still, effect)
    assert fence(still, effect) > first.fence
    assert settled(still, first, Refused("no")) is False
    assert effect_state(still, effect) == "executing"
    assert settled(still, second, SAID_YES) is True
    late = still.rows("SELECT number, outcome, late FROM attempt WHERE effect_id = %s", effect)
    assert sorted(late) == [(1, "refused", True), (2, "applied", False)]


def test_an_attempt_settles_once(still: Still, name: str) -> None:
    # Not settled twice by its own state either: "not now" may not end a doubt that nobody read.
    _, effect, attempt = in_doubt(still, name)
    assert settled(still, attempt, RetryLater("not now")) is False
    assert effect_state(still, effect) == "in_doubt"
    assert still.value("SELECT late FROM attempt WHERE id = %s", attempt.id) is True


def test_a_late_yes_decides_its_own_doubt_and_no_other(still: Still, name: str) -> None:
    _, effect, first = in_doubt(still, name)
    with still.acting("worker"):
        reconcile.reconcile_due()
    assert effect_state(still, effect) == "ready", "read back: not there"
    second = claimed(still, effect)
    assert settled(still, second, Unknown("no answer"))
    assert settled(still, first, SAID_YES) is False
    assert effect_state(still, effect) == "in_doubt", "the answer to another call"
    assert settled(still, second, SAID_YES) is False
    assert effect_state(still, effect) == "succeeded"


# The locks: the operation first, then its effects; each verb takes them in this order.
def _claim(effect: int, _: Attempt | None) -> object:
    return outbox.claim(effect, "test")


def _settle(_: int, attempt: Attempt | None) -> object:
    assert attempt is not None
    return settle.settle(attempt, SAID_YES, verified=True, settle_seconds=0)


def _expire(effect: int, _: Attempt | None) -> object:
    return outbox._expire(Effect.objects.select_related("realm").get(id=effect))


def _reconcile(effect: int, _: Attempt | None) -> object:
    whole = Effect.objects.select_related("realm", "subject", "operation__subject")
    return reconcile._reconcile(whole.get(id=effect))


def _expire_unbegun(effect: int, _: Attempt | None) -> object:
    return outbox._expire_unbegun(Effect.objects.get(id=effect).operation_id)


@pytest.mark.parametrize("verb", [_claim, _settle, _expire, _reconcile, _expire_unbegun])
def test_the_operation_is_locked_before_its_effects(
    still: Still, name: str, verb: Callable[[int, Attempt | None], object]
) -> None:
    operation, effect = still.issued(ban(name))
    attempt = claimed(still, effect) if verb in (_settle, _expire, _reconcile) else None
    if verb is _expire:
        run_out(still, effect)
    if verb is _reconcile:
        settled(still, attempt, Unknown("no answer"))  # type: ignore[arg-type]
    with still.database() as holder, holder.transaction():
        holder.execute("SELECT FROM operation WHERE id = %s FOR NO KEY UPDATE", [operation])
        second = still.meanwhile("worker", lambda: verb(effect, attempt))
        assert second.until_it_waits(), "it does not lock the operation"
        assert free(holder, effect), "it locks the effect before the operation"
    assert second.result()


def free(holder: psycopg.Connection, effect: int) -> bool:
    """Whether nobody holds the effect's row."""
    sql = "SELECT id FROM effect WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED"
    return holder.execute(sql, [effect]).fetchone() is not None


def test_what_settles_while_a_later_generation_takes_the_lane_is_not_sent_again(
    still: Still, name: str
) -> None:
    # Without the lock of its own, settling would go by the state from before: running.
    operation, effect = still.issued(ban(name))
    attempt = claimed(still, effect)
    with still.acting("web"), transaction.atomic():
        assert issue.submit(still.who("raj"), lift(name, seen=1)).disposition == "created"
        second = still.meanwhile(
            "worker",
            lambda: settle.settle(attempt, RetryLater("busy"), verified=False, settle_seconds=0),
        )
        second.until_it_waits()
    assert second.result() is True
    assert (still.state(operation), still.effects(operation)) == ("superseded", ["cancelled"])


@pytest.mark.usefixtures("second_realm")
def test_two_effects_that_settle_together_settle_their_operation(still: Still, name: str) -> None:
    told = still.submit(ban(name))
    operation = told.operation["id"]
    rows = still.rows("SELECT id FROM effect WHERE operation_id = %s ORDER BY id", operation)
    one, other = (claimed(still, effect) for (effect,) in rows)
    with still.acting("worker"), transaction.atomic():
        settle.settle(one, SAID_YES, verified=True, settle_seconds=0)
        second = still.meanwhile("worker", lambda: _settle(0, other))
        second.until_it_waits()
    assert second.result() is True
    assert still.state(operation) == "succeeded"


@pytest.mark.usefixtures("second_realm")
def test_what_ended_while_nobody_rolled_it_up_is_rolled_up(still: Still, name: str) -> None:
    operation = still.submit(ban(name)).operation["id"]
    with still.database() as at:
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", [operation])
        at.execute(
            "UPDATE effect SET state = 'executing', lease_until = now() WHERE operation_id = %s",
            [operation],
        )
        at.execute(
            "UPDATE effect SET state = 'failed', lease_until = NULL WHERE operation_id = %s",
            [operation],
        )
    with still.acting("worker"):
        assert outbox.roll_up_unseen() >= 1
    assert still.state(operation) == "failed"


# Leases and doubts.
def test_a_lease_that_is_not_over_is_left_alone(still: Still, name: str) -> None:
    _, effect = still.issued(ban(name))
    claimed(still, effect)
    with still.acting("worker"):
        outbox.expire_leases()
        assert _expire(effect, None) == 0
    assert effect_state(still, effect) == "executing"


def test_what_was_never_called_may_be_tried_again_and_what_was_is_in_doubt(
    still: Still, networks: Names
) -> None:
    for called, state in ((False, "ready"), (True, "in_doubt")):
        _, effect = still.issued(ban(networks()))
        attempt = claimed(still, effect)
        run_out(still, effect, called=called)
        with still.acting("worker"):
            outbox.expire_leases()
        assert effect_state(still, effect) == state
        assert fence(still, effect) == attempt.fence + 1


def test_a_doubt_is_read_only_after_the_settle_time(still: Still, name: str) -> None:
    _, effect = still.issued(ban(name))
    settled(still, claimed(still, effect), Unknown("no answer"), settle_seconds=3600)
    with still.acting("worker"):
        reconcile.reconcile_due()
        whole = Effect.objects.select_related("realm", "subject", "operation__subject")
        assert reconcile._reconcile(whole.get(id=effect)) == 0
    assert effect_state(still, effect) == "in_doubt"


def test_a_doubt_that_is_read_back_as_there_is_settled_without_sending(
    still: Still, name: str
) -> None:
    operation, effect = still.issued(ban(name))
    attempt = claimed(still, effect)
    with still.acting("worker"):
        whole = Effect.objects.select_related("realm", "subject", "operation__subject")
        there = whole.get(id=effect)
        connector = adapters.connector(str(there.realm_id), there.realm_version)
        assert isinstance(connector.apply(adapters.call_of(there)), Applied)
    settled(still, attempt, Unknown("the line broke"))
    with still.acting("worker"):
        reconcile.reconcile_due()
    assert (still.state(operation), still.effects(operation)) == ("succeeded", ["succeeded"])
    assert still.value("SELECT attempts FROM effect WHERE id = %s", effect) == 1


def test_a_reading_of_an_older_doubt_decides_nothing(still: Still, name: str) -> None:
    _, effect, _ = in_doubt(still, name)
    with still.acting("worker"):
        older = Effect.objects.get(id=effect)
        reconcile.reconcile_due()
        attempt = outbox.claim(effect, "test")
        assert attempt is not None
        settle.settle(attempt, Unknown("no answer"), verified=False, settle_seconds=0)
        with transaction.atomic():
            assert [reconcile._move(older, seen) for seen in Seen] == [0, 0, 0]
    assert effect_state(still, effect) == "in_doubt"


# Asked once more before the call.
def test_who_may_no_longer_ask_is_not_served(still: Still, name: str) -> None:
    operation, effect = still.issued(ban(name))
    with without_groups(still, "ana"):
        still.deliver(operation)
    assert still.effects(operation) == ["failed"]
    assert "may no longer" in still.value("SELECT message FROM effect WHERE id = %s", effect)
    assert not still.listed(name)


def test_a_plan_that_was_altered_is_not_carried_out(still: Still, name: str) -> None:
    operation, effect = still.issued(ban(name))
    with tampering(still, "effect", "effect_intent_never_changes") as at:
        at.execute("UPDATE effect SET desired = '{\"blocked\": false}' WHERE id = %s", [effect])
    still.deliver(operation)
    assert still.effects(operation) == ["failed"]
    assert "altered" in still.value("SELECT message FROM effect WHERE id = %s", effect)


# Time.
def test_what_is_not_begun_in_15_minutes_expires(still: Still, networks: Names) -> None:
    old, _ = still.issued(ban(networks()))
    young, _ = still.issued(ban(networks()))
    age(still, old, "15 minutes 1 second")
    age(still, young, "14 minutes")
    with still.acting("worker"):
        outbox.expire_unbegun()
    assert (still.state(old), still.effects(old)) == ("expired", ["cancelled"])
    assert (still.state(young), still.effects(young)) == ("approved", ["ready"])


@pytest.mark.usefixtures("second_realm")
def test_what_has_begun_does_not_expire(still: Still, name: str) -> None:
    # It had not begun when the keeper looked; what is not sent yet must not be cancelled.
    operation = still.submit(ban(name)).operation["id"]
    first = still.value("SELECT min(id) FROM effect WHERE operation_id = %s", operation)
    claimed(still, first)
    with still.acting("worker"):
        assert outbox._expire_unbegun(operation) == 0
    assert still.state(operation) == "running"
    assert sorted(still.effects(operation)) == ["executing", "ready"]
