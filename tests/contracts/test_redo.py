"""Doubts by redo class, retries inside their bounds, and the late truth: what each may do."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from actions import outbox, settle
from actions.connectors._base import Redo
from actions.outcomes import Outcome, Refused, RetryLater, Seen, Unknown
from actions.reconcile import Doubt, verdict
from actions.states import EffectState
from tests.contracts.inside import Still, age
from tests.contracts.scripted import YES, World, world

LOST = Unknown("no answer")
Names = Callable[[], str]


def doubted(given: World, name: str) -> tuple[int, int]:
    operation, effect = given.one(name)
    given.settle(given.claim(effect), LOST)
    assert given.of(effect) == "in_doubt"
    return operation, effect


def waits(given: World, effect: int) -> float:
    """Seconds until it is looked at again."""
    assert given.of(effect) == "in_doubt"
    return float(given.of(effect, "extract(epoch FROM doubt_until - now())::float"))


def look_again(given: World, effect: int) -> None:
    given.set(effect, "doubt_until = now()")
    given.reconcile()


# Doubts, by redo class.
def test_what_sets_a_state_is_sent_again_though_it_cannot_be_read(still: Still, name: str) -> None:
    with world(still, Redo.NATURAL) as given:
        given.system.looks[:] = [Seen.UNREADABLE]
        operation, effect = doubted(given, name)
        given.reconcile()
        assert given.of(effect) == "ready"
        given.deliver(effect)
        assert given.state(operation) == "succeeded"
        assert given.of(effect, "attempts") == 2


def test_what_drops_repeats_is_sent_again_under_the_same_key_while_it_remembers(
    still: Still, name: str
) -> None:
    with world(still, Redo.KEYED, keeps=60) as given:
        given.system.says += [RuntimeError("the line broke")]
        given.system.looks[:] = [Seen.NO]
        _, effect = given.one(name)
        given.deliver(effect)
        given.reconcile()
        assert given.of(effect) == "ready" and not given.system.reads
        given.system.looks[:] = [Seen.YES]
        given.deliver(effect)
        first, second = given.system.calls
        assert first.key == second.key


@pytest.mark.parametrize(
    ("looks", "state"), [(Seen.YES, "succeeded"), (Seen.UNREADABLE, "in_doubt"), (Seen.NO, "ready")]
)
def test_what_has_forgotten_our_key_is_read_before_it_is_sent_again(
    still: Still, name: str, looks: Seen, state: str
) -> None:
    with world(still, Redo.KEYED, keeps=60) as given:
        given.system.looks[:] = [looks]
        _, effect = doubted(given, name)
        given.called(effect, "61 seconds")
        given.reconcile()
        assert (given.of(effect), len(given.system.reads)) == (state, 1)


def test_what_can_be_asked_is_sent_again_only_when_it_says_no(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.looks[:] = [Seen.UNREADABLE]
        _, effect = doubted(given, name)
        given.reconcile()
        assert given.of(effect) == "in_doubt"
        given.system.looks[:] = [Seen.NO]
        look_again(given, effect)
        assert given.of(effect) == "ready"


def test_what_is_not_there_after_15_minutes_of_trying_is_given_up(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.looks[:] = [Seen.NO]
        operation, effect = doubted(given, name)
        given.set(effect, "going_since = now() - interval '15 minutes'")
        given.reconcile()
        assert (given.of(effect), given.state(operation)) == ("failed", "failed")
        assert "is not there" in given.of(effect, "message")


def test_what_cannot_be_read_is_looked_at_less_and_less_often_and_then_parked(
    still: Still, name: str
) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.looks[:] = [Seen.UNREADABLE]
        operation, effect = doubted(given, name)
        age(still, operation, "1 hour")  # when it was asked for does not count
        found = []
        for ago in ("1 second", "20 seconds", "10 minutes"):
            given.called(effect, ago)
            look_again(given, effect)
            found.append(round(waits(given, effect)))
        assert found == [1, 10, 60]
        given.called(effect, "15 minutes 1 second")
        look_again(given, effect)
        assert (given.of(effect), given.state(operation)) == ("parked", "parked")


def test_what_may_never_be_sent_again_is_parked_at_once(still: Still, name: str) -> None:
    with world(still, Redo.NEVER) as given:
        operation, effect = doubted(given, name)
        given.reconcile()
        assert (given.of(effect), given.state(operation)) == ("parked", "parked")
        assert not given.system.reads
        assert not given.deliver(effect)
        assert "a person must look" in given.of(effect, "message")


@pytest.mark.parametrize("redo", list(Redo))
def test_nothing_is_done_about_a_doubt_before_the_settle_time(
    still: Still, name: str, redo: Redo
) -> None:
    with world(still, redo, settle=3600) as given:
        given.system.looks[:] = [Seen.NO]
        given.system.says += [TimeoutError("no answer in time")]
        _, effect = given.one(name)
        given.deliver(effect)
        given.reconcile()
        assert given.of(effect) == "in_doubt" and waits(given, effect) > 3500


def test_what_a_later_generation_overtook_is_not_given_up_unread(still: Still, name: str) -> None:
    with world(still, Redo.NATURAL) as given:
        given.system.looks[:] = [Seen.UNREADABLE]
        _, effect = doubted(given, name)
        later = given.ask(name, "test-rest", seen=1)
        given.reconcile()
        assert given.of(effect) == "in_doubt"
        assert not given.deliver(given.effects(later)[0]), "it waits for the older one"
        given.system.looks[:] = [Seen.NO]
        look_again(given, effect)
        assert given.of(effect) == "failed"
        assert given.deliver(given.effects(later)[0])


def test_a_connector_that_does_not_come_back_is_not_waited_for(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED, timeout=0.2) as given:
        done = threading.Event()

        def hang(self: object, call: object) -> Seen:
            done.wait(5)
            return Seen.YES

        _, effect = doubted(given, name)
        given.system.observe = hang  # type: ignore[method-assign,assignment]
        given.reconcile()
        done.set()
        assert given.of(effect) == "in_doubt"


def test_a_realm_that_is_silent_is_waited_for_once_in_a_pass(still: Still, networks: Names) -> None:
    with world(still, Redo.OBSERVED, timeout=0.8) as given:
        done, asked = threading.Event(), []

        def hang(self: object, call: object) -> Seen:
            asked.append(call)
            done.wait(5)
            return Seen.YES

        doubts = [doubted(given, networks())[1] for _ in range(3)]
        given.system.observe = hang  # type: ignore[method-assign,assignment]
        given.reconcile()
        done.set()
        assert len(asked) == 1
        assert [given.of(effect) for effect in doubts] == ["in_doubt"] * 3
        assert all(waits(given, effect) > 0 for effect in doubts)


def test_what_kills_whoever_takes_it_up_does_so_less_and_less_often(
    still: Still, name: str
) -> None:
    with world(still, Redo.NEVER) as given:
        _, effect = given.one(name)
        waited = []
        for _ in range(7):
            given.due_now(effect)
            given.claim(effect)
            given.set(effect, "lease_until = now() - interval '1 s'")
            with still.acting("worker"):
                outbox.expire_leases()
            assert given.of(effect) == "ready"
            waited.append(given.of(effect, "run_at > clock_timestamp()"))
        assert not waited[0] and any(waited[1:])


def test_the_verdict_on_every_doubt() -> None:
    young = Doubt(lasts=1, since_first=1, redo=True, blind=False, endless=False)
    for redo in Redo:
        assert verdict(redo, Seen.YES, young) is EffectState.SUCCEEDED
    spent = Doubt(lasts=1, since_first=1, redo=False, blind=False, endless=False)
    assert verdict(Redo.OBSERVED, Seen.NO, spent) is EffectState.FAILED
    assert verdict(Redo.NEVER, Seen.NO, young) is EffectState.PARKED
    old = Doubt(lasts=901, since_first=901, redo=True, blind=False, endless=False)
    assert verdict(Redo.OBSERVED, Seen.UNREADABLE, old) is EffectState.PARKED
    end = Doubt(lasts=901, since_first=901, redo=True, blind=False, endless=True)
    assert verdict(Redo.OBSERVED, Seen.UNREADABLE, end) is None


# Retries, inside their bounds.
def test_what_was_refused_for_now_is_tried_eight_times(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.says += [RetryLater("busy")] * 9
        operation, effect = given.one(name)
        for _ in range(8):
            given.due_now(effect)
            assert given.deliver(effect)
        assert (given.of(effect), given.state(operation)) == ("failed", "failed")
        assert "8 tries" in given.of(effect, "message")
        # Asked for once more, it has its tries again.
        assert given.ask(name) == operation
        assert given.deliver(effect)
        assert (given.of(effect), given.of(effect, "attempts")) == ("ready", 9)


def test_it_is_tried_for_15_minutes_from_the_first_try_not_from_the_request(
    still: Still, name: str
) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.says += [RetryLater("busy")] * 3
        operation, effect = given.one(name)
        age(still, operation, "20 minutes")
        given.set(effect, "going_since = now() - interval '20 minutes'")  # it waited for its turn
        given.deliver(effect)
        assert given.of(effect) == "ready"
        given.set(effect, "going_since = now() - interval '14 minutes', run_at = now()")
        given.deliver(effect)
        assert given.of(effect) == "ready"
        given.set(effect, "going_since = now() - interval '15 minutes', run_at = now()")
        given.deliver(effect)
        assert given.of(effect) == "failed"
        assert "Given up after 15 minutes" in given.of(effect, "message")


@pytest.mark.parametrize(("after", "state"), [(120, "ready"), (1000, "failed")])
def test_it_waits_as_long_as_the_system_asks_or_says_that_this_is_too_long(
    still: Still, name: str, after: float, state: str
) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.says += [RetryLater("busy", after)]
        _, effect = given.one(name)
        given.deliver(effect)
        assert given.of(effect) == state
        if state == "ready":
            assert 119 < given.of(effect, "extract(epoch FROM run_at - now())::float") <= 120
        else:
            assert "asks to wait 1000 s" in given.of(effect, "message")


def test_an_end_is_tried_without_limit(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.says += [RetryLater("busy", 2000)]
        operation, effect = given.one(name)
        still.rewrite("operation", "operation_intent_never_changes",
                      "because = 'end of @1' WHERE id = %s", operation)  # fmt: skip
        given.set(effect, "attempts = 30, attempts_before = 0")
        given.deliver(effect)
        assert given.of(effect) == "ready"


def test_full_jitter_stays_within_its_bounds() -> None:
    for tries in range(1, 12):
        found = [settle._wait(tries, None) for _ in range(200)]
        assert min(found) >= 0 and max(found) <= min(300, 2**tries)
        assert max(found) - min(found) > 0.5 * min(300, 2**tries)
    assert settle._wait(1, 7) == 7


# The late truth.
LATE: list[tuple[Outcome, str]] = [
    (YES, "succeeded"),
    (Refused("no"), "failed"),
    (RetryLater("busy"), "ready"),
    (LOST, "in_doubt"),
]


@pytest.mark.parametrize(("outcome", "state"), LATE, ids=lambda given: type(given).__name__)
def test_a_late_answer_decides_the_doubt_about_its_own_call(
    still: Still, name: str, outcome: Outcome, state: str
) -> None:
    with world(still, Redo.OBSERVED, settle=3600) as given:
        _, effect = given.one(name)
        attempt = given.claim(effect)
        given.called(effect, "1 second")
        given.set(effect, "lease_until = now()")
        with still.acting("worker"):
            assert outbox.expire_leases()
        assert given.of(effect) == "in_doubt"
        assert given.settle(attempt, outcome) is False
        assert given.of(effect) == state
        assert still.value("SELECT late FROM attempt WHERE id = %s", attempt.id) is True


@pytest.mark.parametrize("outcome", [YES, Refused("no"), RetryLater("busy")])
def test_a_late_answer_decides_nothing_once_it_was_sent_again(
    still: Still, name: str, outcome: Outcome
) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.looks[:] = [Seen.NO]
        _, effect = doubted(given, name)
        first = given.still.value("SELECT id FROM attempt WHERE effect_id = %s", effect)
        given.reconcile()
        second = given.claim(effect)
        with still.acting("worker"):
            late = type(second).objects.get(id=first)
        assert given.settle(late, outcome) is False
        assert given.of(effect) == "executing"
        given.settle(second, LOST)
        assert given.settle(late, outcome) is False
        assert given.of(effect) == "in_doubt"


def test_a_no_to_what_was_sent_again_unread_is_no_word_on_the_first_call(
    still: Still, name: str
) -> None:
    """The first call may be in force: what the second was told does not make it fail."""
    with world(still, Redo.NATURAL) as given:
        given.system.looks[:] = [Seen.UNREADABLE]
        operation, effect = doubted(given, name)
        given.called(effect, "1 second")
        given.reconcile()
        given.system.says += [Refused("no")]
        given.deliver(effect)
        assert given.of(effect) == "in_doubt"
        look_again(given, effect)
        assert given.of(effect) == "in_doubt", "and it is not sent a third time"
        given.system.looks[:] = [Seen.YES]
        look_again(given, effect)
        assert given.state(operation) == "succeeded"
