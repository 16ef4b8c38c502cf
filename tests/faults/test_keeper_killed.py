"""SIGKILL of a keeper at every point of a delivery: another one brings it to its end, once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console_process import Console, eventually, running
from tests.faults.beside import keeper, line_to_database

POINTS = ("before_claim", "claimed", "before_call", "after_call", "called", "settled")
SHORT = {"LEASE_SECONDS": "1"}


@pytest.fixture(scope="module")
def unkept() -> Iterator[Console]:
    """A console without a keeper: the tests start their own, with a short lease."""
    with running({"KEEPERS": "0", "BROKER_URL": "none"}) as console:
        yield console


def told(console: Console, ref: str) -> dict[str, Any]:
    """An operation with its attempts and arrivals."""
    return dict(console.api().get(f"/operations/{ref}").json())


def lane(console: Console, name: str) -> list[dict[str, Any]]:
    """The operations of a network's ban lane, the first generation first."""
    lanes = console.api().get("/subjects", kind="network", name=name).json()["lanes"]
    return list(reversed(lanes[0]["operations"]))


def stands_still(process: subprocess.Popen[bytes]) -> bool:
    return stands_still_as(process.pid)


def stands_still_as(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text()


def assert_brought_about(console: Console, ref: str, name: str, *, blocked: bool = True) -> None:
    """Everything has ended, and the list says it once."""
    settled = console.api().settled(ref)["operation"]
    assert settled["state"] == "succeeded"
    assert [e["state"] for e in settled["effects"]] == ["succeeded"]
    assert console.api().listed().count(name) == int(blocked)
    entries = console.rows(
        "SELECT blocked, generation FROM blocklist_entry WHERE network = %s", f"{name}/32"
    )
    assert entries == [(blocked, settled["generation"])]
    # A keeper has several hands: another ban may be in one of them just now.
    open_ones = "SELECT count(*) FROM effect WHERE state IN ('executing', 'in_doubt')"
    eventually(lambda: console.value(open_ones) == 0, what="nothing is under way any more")


@pytest.mark.parametrize("point", POINTS)
def test_a_keeper_that_dies_delivering_is_relieved_by_another(
    unkept: Console, network: str, point: str
) -> None:
    made = unkept.api().ban(network).json()["operation"]
    with keeper(unkept.home, CRASH_AT=f"deliver.{point}", **SHORT) as dying:
        assert dying.wait(30) == -signal.SIGKILL
    # Its answer may have been lost, but not what it did: the list is as the point says.
    there = point in {"after_call", "called", "settled"}
    assert (network in unkept.api().listed()) is there
    with keeper(unkept.home, **SHORT):
        assert_brought_about(unkept, made["ref"], network)
    attempts = told(unkept, made["ref"])["attempts"]
    # Not called, or found not to be there: tried again. Found to be there: not called twice.
    again = point in {"claimed", "before_call"}
    assert len(attempts) == (2 if again else 1)
    assert [a["fence"] for a in attempts] == sorted({a["fence"] for a in attempts})


def test_a_keeper_halted_past_its_lease_records_on_its_own_attempt_only(
    unkept: Console, network: str
) -> None:
    made = unkept.api().ban(network).json()["operation"]
    with keeper(unkept.home, PAUSE_AT="deliver.before_call", **SHORT) as halted:
        eventually(lambda: stands_still(halted), what="the first keeper stands still")
        with keeper(unkept.home, **SHORT):
            assert_brought_about(unkept, made["ref"], network)
            settled = unkept.api().settled(made["ref"])["operation"]
            os.kill(halted.pid, signal.SIGCONT)
            first, second = late_and_on_time(unkept, made["ref"])
    # Its time was over: it did not call any more.
    assert (first["outcome"], first["late"]) == ("retrylater", True)
    assert (second["outcome"], second["late"]) == ("applied", False)
    assert second["fence"] > first["fence"]
    # What was settled is as it was settled.
    assert unkept.api().settled(made["ref"])["operation"] == settled
    assert_brought_about(unkept, made["ref"], network)


def late_and_on_time(console: Console, ref: str) -> list[dict[str, object]]:
    """The attempts once both have ended."""

    def both() -> list[dict[str, object]] | None:
        attempts = told(console, ref)["attempts"]
        return attempts if len(attempts) == 2 and all(a["ended_at"] for a in attempts) else None

    return eventually(both, what="both attempts end")


def test_a_ban_that_was_halted_does_not_come_back_after_the_lift(
    unkept: Console, network: str
) -> None:
    """The most dangerous one: an old call that would arrive after a newer word was said."""
    banned = unkept.api().ban(network).json()["operation"]
    with keeper(unkept.home, PAUSE_AT="deliver.before_call", **SHORT) as halted:
        eventually(lambda: stands_still(halted), what="the first keeper stands still")
        lifted = unkept.api().lift(network, if_match=1).json()["operation"]
        with keeper(unkept.home, **SHORT):
            assert_brought_about(unkept, lifted["ref"], network, blocked=False)
            os.kill(halted.pid, signal.SIGCONT)
            whole = eventually(
                lambda: (w := told(unkept, banned["ref"]))["attempts"][0]["ended_at"] and w,
                what="the halted attempt ends",
            )
    assert [(a["outcome"], a["late"]) for a in whole["attempts"]] == [("retrylater", True)]
    assert whole["operation"]["state"] == "superseded"
    assert_brought_about(unkept, lifted["ref"], network, blocked=False)


def test_a_lift_waits_for_the_ban_that_is_being_sent(unkept: Console, network: str) -> None:
    """A newer operation takes the lane at once, but waits in the realm where the older is at work."""
    banned = unkept.api().ban(network).json()["operation"]
    with keeper(unkept.home, PAUSE_AT="deliver.before_call", LEASE_SECONDS="30") as halted:
        eventually(lambda: stands_still(halted), what="the first keeper stands still")
        lifted = unkept.api().lift(network, if_match=1).json()["operation"]
        beats = (
            "SELECT count(*) FROM heartbeat WHERE role = 'keeper' AND started_at > %s::timestamptz"
        )
        with keeper(unkept.home, LEASE_SECONDS="30"):
            eventually(
                lambda: unkept.value(beats, lifted["requested_at"]), what="the second keeper works"
            )
            waiting = told(unkept, lifted["ref"])
            assert (waiting["operation"]["state"], waiting["attempts"]) == ("approved", [])
            os.kill(halted.pid, signal.SIGCONT)
            assert_brought_about(unkept, lifted["ref"], network, blocked=False)
    first = told(unkept, banned["ref"])["operation"]
    assert first["state"] == "superseded"
    # It was under way when the lift came, so it was settled, not cancelled.
    assert [e["state"] for e in first["effects"]] == ["succeeded"]


def test_three_keepers_at_once_deliver_each_thing_once(
    unkept: Console, fresh_network: Callable[[], str]
) -> None:
    names = [fresh_network() for _ in range(30)]
    with keeper(unkept.home, **SHORT), keeper(unkept.home, **SHORT), keeper(unkept.home, **SHORT):
        refs = [unkept.api().ban(name, "1h").json()["operation"]["ref"] for name in names]
        settled = [unkept.api().settled(ref) for ref in refs]
    assert {s["operation"]["state"] for s in settled} == {"succeeded"}
    assert [len(s["attempts"]) for s in settled] == [1] * len(names)
    assert [s["operation"]["effects"][0]["found"] for s in settled] == ["changed"] * len(names)


def test_two_keepers_end_a_ban_once(unkept: Console, network: str) -> None:
    with keeper(unkept.home, **SHORT), keeper(unkept.home, **SHORT):
        made = unkept.api().ban(network).json()["operation"]
        assert_brought_about(unkept, made["ref"], network)
        unkept.bring_on_the_end(made["ref"])
        ended = eventually(lambda: lane(unkept, network)[1:], what="the ban ends")
        assert_brought_about(unkept, ended[0]["ref"], network, blocked=False)
        note = "SELECT end_note FROM operation WHERE ref = %s"
        eventually(lambda: unkept.value(note, made["ref"]) == "issued", what="the end is noted")
    assert [o["because"] for o in lane(unkept, network)] == [None, "end of @1"]


def test_a_keeper_whose_database_goes_away_waits_for_it(
    unkept: Console, network: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with line_to_database(unkept.home, home) as line, keeper(home, **SHORT) as waiting:
        made = unkept.api().ban(network).json()["operation"]
        assert_brought_about(unkept, made["ref"], network)
        line.cut()
        lifted = unkept.api().lift(network).json()["operation"]
        cuts = line.refused
        eventually(lambda: line.refused > cuts + 1, what="it tries again and again")
        assert waiting.poll() is None
        line.mend()
        assert_brought_about(unkept, lifted["ref"], network, blocked=False)
