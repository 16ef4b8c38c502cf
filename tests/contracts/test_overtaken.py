"""What was sent, doubted and is to be sent again when a later generation comes: read, and never sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actions.connectors._base import Redo
from actions.outcomes import Outcome, Refused, RetryLater, Seen
from tests.contracts.inside import Still, tampering
from tests.contracts.scripted import YES, World, world

Names = Callable[[], str]


def sent_and_readied(given: World, name: str) -> tuple[int, int]:
    """An operation whose call was not answered, and may be sent again."""
    given.system.looks[:] = [Seen.UNREADABLE]
    operation, effect = given.one(name)
    given.system.says += [TimeoutError("no answer in time")]
    given.deliver(effect)
    given.reconcile()
    assert given.of(effect) == "ready"
    return operation, effect


@pytest.mark.parametrize("redo", [Redo.NATURAL, Redo.KEYED])
@pytest.mark.parametrize(("looks", "state"), [(Seen.YES, "succeeded"), (Seen.NO, "failed")])
def test_it_is_read_not_sent_and_then_the_later_one_goes(
    still: Still, name: str, redo: Redo, looks: Seen, state: str
) -> None:
    with world(still, redo) as given:
        operation, effect = sent_and_readied(given, name)
        given.system.looks[:] = [looks]
        [later] = given.effects(given.ask(name, "test-rest", seen=1))
        assert given.of(effect) == "in_doubt"
        assert not given.deliver(effect) and not given.deliver(later)
        given.reconcile()
        assert (given.of(effect), given.state(operation)) == (state, "superseded")
        assert given.deliver(later)
        assert [call.generation for call in given.system.calls] == [1, 2]


def test_what_cannot_be_read_holds_the_later_one_up_for_a_minute_and_a_person_looks(
    still: Still, name: str
) -> None:
    with world(still, Redo.KEYED) as given:
        _, effect = sent_and_readied(given, name)
        [later] = given.effects(given.ask(name, "test-rest", seen=1))
        given.reconcile()
        assert given.of(effect) == "in_doubt" and not given.deliver(later)
        given.called(effect, "61 seconds")
        given.set(effect, "doubt_until = now()")
        given.reconcile()
        assert given.of(effect) == "parked" and given.deliver(later)


def test_what_was_only_put_off_is_cancelled_as_never_sent(still: Still, name: str) -> None:
    with world(still, Redo.KEYED) as given:
        given.system.says += [RetryLater("busy")]
        operation, effect = given.one(name)
        given.deliver(effect)
        given.ask(name, "test-rest", seen=1)
        assert given.states(operation) == ["cancelled"]


@pytest.mark.parametrize("outcome", [RetryLater("busy"), Refused("no")], ids=["later", "no"])
def test_a_no_to_the_redo_says_nothing_of_the_first_call(
    still: Still, name: str, outcome: Outcome
) -> None:
    with world(still, Redo.KEYED) as given:
        _, effect = sent_and_readied(given, name)
        again = given.claim(effect)
        given.ask(name, "test-rest", seen=1)
        given.settle(again, outcome)
        assert given.of(effect) == "in_doubt"
        given.system.looks[:] = [Seen.YES]
        given.reconcile()
        assert given.of(effect) == "succeeded"


def test_what_a_person_set_going_after_it_was_parked_was_settled_before(
    still: Still, name: str
) -> None:
    with world(still, Redo.KEYED) as given:
        operation, effect = sent_and_readied(given, name)
        given.set(effect, "attempts_before = attempts, fence = fence + 1")  # as a decision does
        given.ask(name, "test-rest", seen=1)
        assert given.states(operation) == ["cancelled"]


def test_where_another_change_is_under_way_no_reading_could_tell_so_a_person_must_look(
    still: Still, networks: Names
) -> None:
    with world(still, Redo.KEYED) as given:
        name = networks()
        _, effect = sent_and_readied(given, name)
        _, other = given.one(networks())
        # As a step of an operation of another lane that touches this one.
        with tampering(still, "effect", "effect_intent_never_changes") as at:
            mine = "(SELECT subject_id FROM effect WHERE id = %s)"
            at.execute(f"UPDATE effect SET subject_id = {mine} WHERE id = %s", [effect, other])
        attempt = given.claim(other)
        later = given.ask(name, "test-rest", seen=1)
        assert (given.of(effect), given.states(later)) == ("parked", ["ready"])
        given.settle(attempt, YES)
