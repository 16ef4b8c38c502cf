"""Every redo class through every fault: what the outside system's own ledger says, counted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console_process import eventually
from tests.faults.world import CLASSES, World, world

ONCE = dict.fromkeys(CLASSES, 1)
SUCCEEDED = dict.fromkeys(CLASSES, "succeeded")


@pytest.fixture(scope="module")
def four() -> Iterator[World]:
    """One realm of each redo class."""
    with world({redo: f"down-{redo}" for redo in CLASSES}) as given:
        yield given


@pytest.fixture(autouse=True)
def well(four: World) -> None:
    """Whatever an earlier test told the systems is over."""
    for realm in CLASSES:
        four.tell(realm)


def expected(never: str) -> dict[str, str]:
    return SUCCEEDED | {"never": never}


def counted(four: World, network: str) -> dict[str, int]:
    """How often each realm was really changed for a network."""
    return {realm: four.ledger(network)[realm] for realm in CLASSES}


# What a keeper's death leaves behind, by the point at which it died: the state in which the realm that
# may not be asked twice ends, and how often it was changed.
POINTS = {
    "before_claim": ("succeeded", 1),
    "claimed": ("succeeded", 1),
    "intended": ("parked", 0),
    "before_call": ("parked", 0),
    "after_call": ("parked", 1),
    "called": ("parked", 1),
    "settled": ("succeeded", 1),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_keeper_that_dies_leaves_every_class_as_it_is_declared(
    four: World, network: str, point: str
) -> None:
    """One keeper dies in each realm: the next takes up what is left, and dies there."""
    ref = four.ban(network)
    with contextlib.ExitStack() as stack:
        dying = [
            stack.enter_context(
                four.keeper(CRASH_AT=f"deliver.{point}", LEASE_SECONDS="20", KEEPER_HANDS="1")
            )
            for _ in CLASSES
        ]
        assert [one.wait(60) for one in dying] == [-signal.SIGKILL] * len(CLASSES)
    with four.console.database() as at:  # nobody has to wait for leases
        at.execute("UPDATE effect SET lease_until = now() WHERE state = 'executing'")
    with four.keeper():
        found = four.settled(ref)
    state, count = POINTS[point]
    assert found == expected(state)
    assert counted(four, network) == ONCE | {"never": count}


# How the first call goes, and how the realm that may not be asked twice then ends.
FAULTS = {
    "drop": ("parked", 1),
    "500": ("parked", 1),
    "hang after": ("parked", 1),
    "hang": ("parked", 0),
    "reset": ("parked", 0),
    "late": ("parked", 1),
    "429": ("succeeded", 1),
    "503": ("succeeded", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_that_goes_wrong_leaves_every_class_as_it_is_declared(
    four: World, network: str, fault: str
) -> None:
    for realm in CLASSES:
        four.tell(realm, fault)
    ref = four.ban(network)
    with four.keeper(), four.keeper():
        found = four.settled(ref)
    state, count = FAULTS[fault]
    assert found == expected(state)
    # What was told to come late has come by now, or nothing was redone before it could.
    eventually(lambda: four.ledger(network)["never"] == count, what=f"the ledger says {count}")
    assert counted(four, network) == ONCE | {"never": count}


def stands_still(process: subprocess.Popen[bytes]) -> bool:
    return "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()


# Where a keeper stood still past its lease: whether it had called by then.
PAUSES = {"claimed": False, "intended": False, "before_call": False, "after_call": True}


@pytest.mark.parametrize("point", PAUSES)
def test_keepers_that_stood_still_past_their_leases_record_on_their_own_attempts_only(
    four: World, network: str, point: str
) -> None:
    """One stands still in each realm."""
    ref = four.ban(network)
    with contextlib.ExitStack() as stack:
        halted = [
            stack.enter_context(
                four.keeper(PAUSE_AT=f"deliver.{point}", LEASE_SECONDS="6", KEEPER_HANDS="1")
            )
            for _ in CLASSES
        ]
        eventually(lambda: all(map(stands_still, halted)), 60, "all of them stand still")
        with four.keeper():
            found = four.settled(ref)
            for keeper in halted:
                os.kill(keeper.pid, signal.SIGCONT)
            firsts = eventually(lambda: all_recorded(four, ref), what="the resumed have recorded")
    called, doubted = PAUSES[point], point != "claimed"
    assert found == expected("parked" if doubted else "succeeded")
    for realm, (number, outcome, late, _) in firsts.items():
        assert (number, late) == (1, True)
        assert outcome == ("applied" if called else "retrylater"), realm
    assert four.states(ref) == found, "what was settled stays as it was settled"
    assert counted(four, network) == ONCE | {"never": int(called or not doubted)}


def all_recorded(four: World, ref: str) -> dict[str, tuple[object, ...]]:
    """The first attempt in each realm, once all of them have ended."""
    firsts = {realm: four.attempts(ref, realm)[0] for realm in CLASSES}
    return firsts if all(first[1] for first in firsts.values()) else {}


def test_what_was_parked_is_not_sent_again_by_anybody(
    four: World, fresh_network: Callable[[], str]
) -> None:
    network, another = fresh_network(), fresh_network()
    four.tell("never", "drop")
    ref = four.ban(network)
    with four.keeper():
        assert four.settled(ref)["never"] == "parked"
        again = four.ban(network)
        assert again == ref
        four.settled(four.ban(another))
    assert len(four.attempts(ref, "never")) == 1
    assert four.ledger(network) == ONCE


def test_what_is_there_but_cannot_be_read_is_not_sent_again_while_it_cannot(
    four: World, network: str
) -> None:
    four.console.rows("UPDATE realm SET enabled = name = 'observed' RETURNING id")
    four.tell("observed", "drop", "unreadable", "unreadable")
    ref = four.ban(network)
    with four.keeper():
        assert four.settled(ref) == {"observed": "succeeded"}
    four.console.rows("UPDATE realm SET enabled = name = ANY(%s) RETURNING id", list(CLASSES))
    assert (len(four.attempts(ref, "observed")), four.ledger(network)["observed"]) == (1, 1)


def test_a_ban_and_its_lift_follow_at_once_where_the_systems_answer(
    fresh_network: Callable[[], str],
) -> None:
    name = fresh_network()
    with world({"one": "down-natural", "two": "down-natural", "silent": "down-observed"}) as three:
        three.tell("silent", "always hang")
        banned = three.ban(name)
        with three.keeper(), three.keeper(), three.keeper():
            answering = {"one": "succeeded", "two": "succeeded"}

            def there(ref: str) -> bool:
                return three.states(ref).items() >= answering.items()

            eventually(lambda: there(banned), 10, "the ban is in place where they answer")
            eventually(lambda: three.states(banned)["silent"] == "in_doubt", 10, "the doubt")
            lifted = three.console.api().lift(name, if_match=1).json()["operation"]["ref"]
            eventually(lambda: there(lifted), 5, "the lift is in place where they answer")
            assert three.states(banned)["silent"] == "in_doubt"
            assert three.states(lifted)["silent"] == "ready", "it waits in that realm alone"
            # It answers again: the doubt is read, and only then is the lift sent there.
            three.tell("silent")
            assert three.settled(lifted, 90) == {**answering, "silent": "succeeded"}
        # It was sent and read as not there: cancelled would say that nothing was sent.
        assert three.states(banned)["silent"] == "failed"
        assert three.ledger(name) == {"one": 2, "two": 2, "silent": 1}
