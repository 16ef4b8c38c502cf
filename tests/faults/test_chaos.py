"""The schedules that random chaos (`make chaos`) hardly ever finds, under its checker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import facts as reading
from tests.chaos.checker import violations
from tests.chaos.scene import Scene
from tests.console_process import eventually
from tests.faults.world import World, world


@pytest.fixture(scope="module")
def three() -> Iterator[World]:
    with world({redo: f"down-{redo}" for redo in ("natural", "keyed", "observed")}) as given:
        yield given


@pytest.fixture
def observed(three: World) -> World:
    return _alone(three, "observed")


def _alone(three: World, realm: str) -> World:
    """Bans go to this realm alone, and it goes well there."""
    three.console.rows("UPDATE realm SET enabled = name = %s RETURNING id", realm)
    three.tell(realm)
    return three


def _checked(given: World) -> list[str]:
    ledger = Scene(given.console, {"all": given.directory})
    return violations(reading.read(ledger, []))


def _stands_still(process: subprocess.Popen[bytes]) -> bool:
    return "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()


def _resume(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGCONT)


def test_a_word_that_comes_late_does_not_let_a_third_send_beside_the_second(
    observed: World, network: str
) -> None:
    """The schedule of a missing fence: the first is told "not now" and stands still past its lease."""
    observed.tell("observed", "503")
    ref = observed.ban(network)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(observed.keeper(PAUSE_AT="deliver.called", LEASE_SECONDS="6"))
        eventually(lambda: _stands_still(first), 60, "the first has been told, and stands still")
        # The second has called and written nothing down; its lease is long.
        second = stack.enter_context(observed.keeper(PAUSE_AT="deliver.called", LEASE_SECONDS="60"))
        eventually(lambda: _stands_still(second), 60, "the second has called, and stands still")
        _resume(first)
        eventually(lambda: observed.attempts(ref, "observed")[0][1], 20, "the first has recorded")
        with observed.keeper():
            held = observed.states(ref) == {"observed": "executing"}
            if held:
                _resume(second)
            observed.settled(ref)
        _resume(second)
    assert _checked(observed) == []


def test_what_a_dead_process_may_have_sent_is_read_before_it_is_sent_again(
    observed: World, network: str
) -> None:
    ref = observed.ban(network)
    with observed.keeper(CRASH_AT="deliver.after_call") as dying:
        assert dying.wait(60) == -signal.SIGKILL
    with observed.keeper():
        observed.settled(ref)
    assert _checked(observed) == []


def test_what_was_not_answered_is_read_before_it_is_sent_again(
    observed: World, network: str
) -> None:
    observed.tell("observed", "drop")
    ref = observed.ban(network)
    with observed.keeper():
        observed.settled(ref)
    assert _checked(observed) == []


def test_a_ban_that_arrived_is_not_called_cancelled_when_its_lift_comes_before_the_redo(
    three: World, network: str
) -> None:
    given = _alone(three, "keyed")
    given.tell("keyed", "drop")
    banned = given.ban(network)
    with given.keeper(PAUSE_AT="deliver.before_claim:2") as keeper:
        eventually(lambda: _stands_still(keeper), 60, "it is about to send it again")
        lifted = given.console.api().lift(network, if_match=1).json()["operation"]["ref"]
        _resume(keeper)
        assert given.settled(lifted) == {"keyed": "succeeded"}
    assert given.states(banned) == {"keyed": "succeeded"}
    assert _checked(given) == []


def test_who_stood_still_before_a_call_that_may_be_redone_does_not_put_a_lifted_ban_back(
    three: World, network: str
) -> None:
    given = _alone(three, "natural")
    banned = given.ban(network)
    with given.keeper(PAUSE_AT="deliver.before_call", LEASE_SECONDS="6") as first:
        eventually(lambda: _stands_still(first), 60, "it has written down that it calls")
        with given.keeper():
            given.settled(banned)
            lifted = given.console.api().lift(network, if_match=1).json()["operation"]["ref"]
            given.settled(lifted)
        _resume(first)
        eventually(lambda: given.attempts(banned, "natural")[0][1], 20, "it has recorded")
    assert _checked(given) == []
