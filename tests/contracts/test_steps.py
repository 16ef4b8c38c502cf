"""Steps in order: one is set going once all before it are in place, and never when one is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction

from actions import outbox, settle
from actions.catalogue._base import Step
from actions.connectors._base import Redo
from actions.outcomes import Refused, Seen, Unknown
from tests.contracts.inside import Still
from tests.contracts.scripted import CAPABILITY, YES, World, world

THREE = (
    Step("block", CAPABILITY, {"set": True}, ord=0),
    Step("cut", CAPABILITY, {"set": True}, ord=1, after=90),
    Step("check", CAPABILITY, {"set": True}, ord=2),
)


@pytest.fixture
def three(still: Still) -> Iterator[World]:
    with world(still, Redo.OBSERVED, shape=THREE) as given:
        yield given


@pytest.fixture
def in_two(still: Still) -> Iterator[World]:
    """The same in two realms: six effects."""
    with world(still, Redo.OBSERVED, shape=THREE, realms=2) as given:
        yield given


def test_a_step_waits_until_the_one_before_it_is_in_place_and_then_its_own_while(
    three: World, name: str
) -> None:
    operation, block = three.one(name)
    _, cut, check = three.effects(operation)
    assert three.states(operation) == ["ready", "blocked", "blocked"]
    assert not three.deliver(cut)
    three.deliver(block)
    assert three.states(operation) == ["succeeded", "ready", "blocked"]
    wait = three.of(cut, "extract(epoch FROM run_at - now())::float")
    assert 80 < wait <= 90
    assert not three.deliver(cut), "its while is not over"
    three.due_now(cut)
    three.deliver(cut)
    three.deliver(check)
    assert (three.state(operation), three.states(operation)) == ("succeeded", ["succeeded"] * 3)
    assert [call.step for call in three.system.calls] == ["block", "cut", "check"]


def test_what_waits_behind_a_step_that_failed_is_cancelled(three: World, name: str) -> None:
    operation, block = three.one(name)
    three.system.says += [YES, Refused("no")]
    three.deliver(block)
    cut = three.effects(operation)[1]
    three.due_now(cut)
    three.deliver(cut)
    assert three.states(operation) == ["succeeded", "failed", "cancelled"]
    assert three.state(operation) == "partial"


def test_a_step_waits_for_all_realms(in_two: World, name: str) -> None:
    operation, first = in_two.one(name)
    second = in_two.effects(operation)[1]
    in_two.deliver(first)
    assert in_two.states(operation) == ["succeeded", "ready", *["blocked"] * 4]
    in_two.deliver(second)
    assert in_two.states(operation) == [*["succeeded"] * 2, *["ready"] * 2, *["blocked"] * 2]


def test_two_that_succeed_together_set_going_what_waits_for_both(in_two: World, name: str) -> None:
    operation, _ = in_two.one(name)
    one, other = (in_two.claim(effect) for effect in in_two.effects(operation)[:2])
    with in_two.still.acting("worker"), transaction.atomic():
        settle.settle(one, YES, verified=True, settle_seconds=0)
        second = in_two.still.meanwhile(
            "worker", lambda: settle.settle(other, YES, verified=True, settle_seconds=0)
        )
        second.until_it_waits()
    assert second.result() is True
    assert in_two.states(operation) == [*["succeeded"] * 2, *["ready"] * 2, *["blocked"] * 2]


def test_one_that_fails_cancels_what_waits_while_its_neighbour_is_at_work(
    in_two: World, name: str
) -> None:
    operation, _ = in_two.one(name)
    one, other = (in_two.claim(effect) for effect in in_two.effects(operation)[:2])
    in_two.settle(one, Refused("no"))
    assert in_two.states(operation) == ["failed", "executing", *["cancelled"] * 4]
    assert in_two.state(operation) == "running"
    in_two.settle(other, YES)
    assert in_two.state(operation) == "partial"


def test_what_was_read_back_sets_the_next_going(three: World, name: str) -> None:
    operation, block = three.one(name)
    three.settle(three.claim(block), Unknown("no answer"))
    assert three.states(operation)[1] == "blocked"
    three.reconcile()
    assert three.states(operation) == ["succeeded", "ready", "blocked"]


def parked(given: World, name: str) -> tuple[int, int]:
    """An operation whose first step is parked, and that step."""
    given.system.looks[:] = [Seen.UNREADABLE]
    operation, block = given.one(name)
    given.settle(given.claim(block), Unknown("no answer"))
    given.called(block, "16 minutes")
    given.reconcile()
    assert (given.state(operation), given.states(operation)) == (
        "parked",
        ["parked", "blocked", "blocked"],
    )
    return operation, block


def decided(given: World, operation: int, effect: int, state: str) -> None:
    """A person says how it is, as deciding does: under the lock, and rolled up."""
    with given.still.database() as at, at.transaction():
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", [operation])
        at.execute(
            "UPDATE effect SET state = %s, settled_at = now() WHERE id = %s", [state, effect]
        )
    with given.still.acting("worker"), transaction.atomic():
        settle.roll_up(settle.lock(operation))


@pytest.mark.parametrize(
    ("said", "then"),
    [("succeeded", ["ready", "blocked"]), ("failed", ["cancelled", "cancelled"])],
)
def test_what_a_person_decided_moves_what_waited_for_it(
    three: World, name: str, said: str, then: list[str]
) -> None:
    operation, block = parked(three, name)
    decided(three, operation, block, said)
    assert three.states(operation) == [said, *then]
    assert three.state(operation) == ("running" if said == "succeeded" else "failed")


def test_what_is_decided_after_a_later_generation_came_sets_nothing_going(
    three: World, name: str
) -> None:
    operation, block = parked(three, name)
    later = three.ask(name, "test-rest", seen=1)
    with three.still.database() as at:
        at.execute("UPDATE effect SET state = 'cancelled' WHERE operation_id = %s", [later])
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", [later])
        at.execute("UPDATE operation SET state = 'partial' WHERE id = %s", [later])
    decided(three, operation, block, "succeeded")
    assert three.states(operation) == ["succeeded", "cancelled", "cancelled"]


def test_a_superseded_operation_sets_nothing_going(three: World, name: str) -> None:
    operation, block = three.one(name)
    attempt = three.claim(block)
    three.ask(name, "test-rest", seen=1)
    three.settle(attempt, YES)
    assert three.state(operation) == "superseded"
    assert three.states(operation) == ["succeeded", "cancelled", "cancelled"]


def test_what_was_left_waiting_while_nobody_looked_is_set_going(three: World, name: str) -> None:
    operation, block = three.one(name)
    three.claim(block)
    three.set(block, "state = 'succeeded', lease_until = NULL")
    with three.still.acting("worker"):
        assert outbox.roll_up_unseen() >= 1
    assert three.states(operation) == ["succeeded", "ready", "blocked"]


def test_what_failed_is_finished_in_its_order(three: World, name: str) -> None:
    operation, block = three.one(name)
    three.system.says += [Refused("no")]
    three.deliver(block)
    assert three.states(operation) == ["failed", "cancelled", "cancelled"]
    assert three.ask(name) == operation
    assert three.states(operation) == ["ready", "blocked", "blocked"]
    for effect in three.effects(operation):
        three.due_now(effect)
        assert three.deliver(effect)
    assert three.state(operation) == "succeeded"
