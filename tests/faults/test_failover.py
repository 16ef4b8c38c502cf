"""The database's server dies and its standby takes over: what was acknowledged, and what was sent."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx

from tests.console_process import Console, eventually
from tests.faults.beside import keeper
from tests.faults.cluster import Far, Standby, copied, manage, over_a_line
from tests.faults.test_keeper_killed import stands_still
from tests.faults.world import CLASSES, LOADED, SHORT, World, downstream

REALMS = {redo: f"down-{redo}" for redo in CLASSES}


@dataclass
class Pair:
    """A world whose database has a standby."""

    world: World
    standby: Standby
    far: Far

    def fail_over(self) -> None:
        self.standby.promote()
        self.far.go_to(self.standby.port)

    def ended(self, seconds: float = 90) -> None:
        open_ones = "SELECT count(*) FROM effect WHERE state IN ('ready', 'executing', 'in_doubt')"
        eventually(lambda: self.world.console.value(open_ones) == 0, seconds, "everything ends")


@contextlib.contextmanager
def pair(prepared: Path, directory: Path, *, waited_for: bool = False) -> Iterator[Pair]:
    home, outside = directory / "home", directory / "outside"
    outside.mkdir()
    with contextlib.ExitStack() as stack:
        stack.enter_context(copied(prepared, home))
        standby = Standby(home, directory / "standby")
        stack.callback(standby.close)
        if waited_for:
            standby.be_waited_for()
        stack.enter_context(downstream(outside))
        far = stack.enter_context(over_a_line(home, directory / "far", **LOADED))
        far.rows("UPDATE realm SET enabled = false RETURNING id")
        given = World(far, outside)
        for name, connector in REALMS.items():
            given.add_realm(name, connector)
        eventually(standby.caught_up, what="the standby has the realms")
        yield Pair(given, standby, far)


def test_nothing_acknowledged_is_lost_where_every_commit_waits_for_the_standby(
    prepared: Path, tmp_path: Path
) -> None:
    with pair(prepared, tmp_path, waited_for=True) as given, ThreadPoolExecutor(4) as pool:
        world, told = given.world, []
        names = [f"10.66.0.{number}" for number in range(40)]
        with world.keeper(FAILOVER_LOSES_NOTHING="true"):
            asking = [pool.submit(_until_answered, world.console, name) for name in names]
            eventually(lambda: sum(one.done() for one in asking) >= 12, 60, "some are answered")
            given.fail_over()
            told = [one.result(120) for one in asking]
            given.ended()
        found = dict(world.console.rows("SELECT ref, state FROM operation"))
        assert set(told) == set(found), "what was acknowledged is what there is"
        for name, ref in zip(names, told, strict=True):
            made, states = world.ledger(name), world.states(ref)
            assert set(states.values()) <= {"succeeded", "parked"}
            for realm in CLASSES:
                assert made[realm] == 1 or (states[realm] == "parked" and made[realm] == 0)


def _until_answered(console: Console, name: str) -> str:
    """Who asks, and asks again under the same key until told."""
    api, key = console.api(), uuid.uuid4().hex
    for _ in range(200):
        with contextlib.suppress(httpx.HTTPError):
            told = api.ban(name, key=key)
            if told.status_code in {200, 201}:
                return str(told.json()["operation"]["ref"])
            assert told.status_code in {503, 429}, told.text
        time.sleep(0.1)
    raise AssertionError(f"{name} was never answered")


def test_what_a_standby_that_lagged_forgot_is_read_before_it_is_sent_again(
    prepared: Path, tmp_path: Path
) -> None:
    """Three bans: one called after the standby knew it as due, one as taken up, one it never knew."""
    with pair(prepared, tmp_path) as given:
        world, console = given.world, given.world.console
        due, taken, unknown = "10.67.0.1", "10.67.0.2", "10.67.0.3"
        with contextlib.ExitStack() as stack:
            halted = stack.enter_context(
                keeper(console.home, **SHORT, KEEPER_HANDS="1", PAUSE_AT="deliver.claimed")
            )
            taken_ref = world.ban(taken)
            eventually(lambda: stands_still(halted), 60, "it has taken it up, and stands still")
            due_ref = world.ban(due)
            eventually(given.standby.caught_up, what="the standby knows both")
            given.standby.line.cut()  # from here on it knows nothing more
            os.kill(halted.pid, signal.SIGCONT)
            lost_key = uuid.uuid4().hex
            lost = console.api().ban(unknown, key=lost_key)
            assert lost.status_code == 201
            for ref in (taken_ref, due_ref, lost.json()["operation"]["ref"]):
                assert set(world.settled(ref).values()) == {"succeeded"}
            before = {name: world.ledger(name) for name in (due, taken, unknown)}
        assert all(made == dict.fromkeys(CLASSES, 1) for made in before.values())
        given.fail_over()
        with world.keeper():
            held = "SELECT count(*) FROM timeline WHERE confirmed_at IS NULL"
            eventually(lambda: console.value(held) == 1, 90, "a keeper notices")
            eventually(lambda: _readyz(console) == "held", what="it says so")
            assert set(world.states(due_ref).values()) == {"ready"}
            assert "Nothing was changed." in _said(world, "--lag", "30s")
            assert world.states(due_ref) == dict.fromkeys(CLASSES, "ready")
            _said(world, "--lag", "30s", "--yes", "--by", "ana", "--reason", "a test cut its line")
            given.ended()
            for ref in (due_ref, taken_ref):
                states = world.states(ref)
                assert {states[redo] for redo in ("natural", "keyed", "observed")} == {"succeeded"}
            assert world.states(due_ref)["never"] == "parked"
            assert {name: world.ledger(name) for name in (due, taken, unknown)} == before
            # What it never knew is gone from here, and its key says so.
            assert console.api().get(f"/requests/{lost_key}").status_code == 404
            again = console.api().ban(unknown, key=lost_key)
            assert (again.status_code, again.json()["disposition"]) == (201, "created")
            given.ended()
            made = world.ledger(unknown)
            assert {redo: made[redo] for redo in CLASSES[:3]} == dict.fromkeys(CLASSES[:3], 1)
            assert _readyz(console) == "ok"


def _said(world: World, *arguments: str) -> str:
    return manage(world.console.home, "recovered", *arguments, **SHORT)


def _readyz(console: Console) -> object:
    return httpx.get(f"{console.url}/readyz", timeout=10).json()["sending"]
