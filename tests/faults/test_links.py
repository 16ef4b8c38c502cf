"""Lines cut one by one and mended in another order, answers to COMMIT lost, backends ended."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.chaos import facts as reading
from tests.chaos.checker import violations
from tests.chaos.scene import Scene
from tests.console_process import Api, Console, eventually
from tests.faults.beside import Line, keeper, line_to_database, web, worker
from tests.faults.brokers import Redis
from tests.faults.cluster import copied
from tests.faults.test_keeper_killed import stands_still
from tests.faults.world import CLASSES, LOADED, UNHURRIED, World, add_realm, downstream

OPEN = """
SELECT (SELECT count(*) FROM operation WHERE state IN ('approved', 'running'))
     + (SELECT count(*) FROM effect WHERE state IN ('ready', 'executing', 'in_doubt'))
"""


@dataclass
class Asking:
    """Who asks for bans, one after another, each under one key until answered; what was told."""

    api: Api
    stop: threading.Event = field(default_factory=threading.Event)
    history: list[dict[str, object]] = field(default_factory=list)

    def run(self, net: str) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            self._one(f"{net}.{number}", uuid.uuid4().hex)
            self.stop.wait(0.1)

    def _one(self, name: str, key: str) -> None:
        for _ in range(300):
            with contextlib.suppress(httpx.HTTPError):
                told = self.api.ban(name, key=key)
                if told.status_code in {200, 201}:
                    ref = told.json()["operation"]["ref"]
                    self.history.append(
                        {"kind": "ok", "client": "runbook", "key": key, "ref": ref, "intent": name}
                    )
                    return
                assert told.status_code == 503, told.text
            time.sleep(0.1)
        raise AssertionError(f"{name} was never answered")


@contextlib.contextmanager
def asking(api: Api, nets: int) -> Iterator[list[Asking]]:
    """Several who ask meanwhile; all are answered before it ends."""
    some = [Asking(Api(str(api.http.base_url), api.token)) for _ in range(nets)]
    threads = [
        threading.Thread(target=one.run, args=(f"10.80.{number}",))
        for number, one in enumerate(some)
    ]
    for thread in threads:
        thread.start()
    try:
        yield some
    finally:
        for one in some:
            one.stop.set()
        for thread in threads:
            thread.join(120)
    assert not any(thread.is_alive() for thread in threads)


def checked(console: Console, outside: Path, told: list[Asking]) -> list[str]:
    """What does not hold, and that what was told is there."""
    eventually(lambda: console.value(OPEN) == 0, 120, "everything ends")
    found = reading.read(Scene(console, {"all": outside}), [])
    lines = [line for one in told for line in one.history]
    lost = [
        line for line in lines if found.requests.get(("runbook", str(line["key"]))) != line["ref"]
    ]
    assert lines, "nobody was told anything"
    return violations(found) + [f"lost: {line}" for line in lost]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "outside"
    directory.mkdir()
    with downstream(directory):
        yield directory


@contextlib.contextmanager
def realms_at(home: Console, port: int) -> Iterator[None]:
    home.rows("UPDATE realm SET enabled = false RETURNING id")
    for redo in CLASSES:
        add_realm(home, redo, f"down-{redo}", port)
    yield


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
def test_lines_cut_one_by_one_and_mended_in_another_order_lose_and_double_nothing(
    prepared: Path, tmp_path: Path, outside: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(copied(prepared, tmp_path / "home"))
        lines = {
            name: stack.enter_context(line_to_database(console.home, tmp_path / name))
            for name in ("web", "keeper", "worker")
        }
        at = tmp_path / "redis"
        at.mkdir()
        redis = Redis(at)
        stack.callback(redis.close)
        redis.restart()
        lines["broker"] = Line(("127.0.0.1", redis.port))
        lines["downstream"] = Line(("127.0.0.1", int((outside / "port").read_text())))
        for line in lines.values():
            stack.callback(line.close)
        stack.enter_context(realms_at(console, lines["downstream"].port))
        rings = {"BROKER_URL": f"redis://:{redis.password}@127.0.0.1:{lines['broker'].port}/0"}
        console.url = stack.enter_context(web(tmp_path / "web", **LOADED))
        stack.enter_context(keeper(tmp_path / "keeper", **UNHURRIED, **rings))
        stack.enter_context(worker(tmp_path / "worker", **UNHURRIED, **rings))
        with asking(console.api(), 3) as some:
            for names in (chance.sample(sorted(lines), 5), chance.sample(sorted(lines), 5)):
                for name in names:
                    lines[name].cut()
                    _some_time(chance)
                for name in chance.sample(sorted(lines), 5):
                    lines[name].mend()
                    _some_time(chance)
        assert checked(console, outside, some) == []


def _some_time(chance: random.Random) -> None:
    time.sleep(chance.uniform(0.2, 1.2))


@pytest.mark.timeout(400)
def test_backends_ended_at_random_lose_and_double_nothing(
    prepared: Path, tmp_path: Path, outside: Path
) -> None:
    chance = random.Random(3)
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(copied(prepared, tmp_path / "home"))
        stack.enter_context(realms_at(console, int((outside / "port").read_text())))
        console.url = stack.enter_context(web(console.home, **LOADED))
        for _ in range(2):
            stack.enter_context(keeper(console.home, **UNHURRIED))
        with asking(console.api(), 3) as some, console.database("superuser") as at:
            for _ in range(40):
                ended = at.execute(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                    " AND application_name LIKE 'steadyhand%' ORDER BY random() LIMIT 2) AS unlucky"
                ).rowcount
                assert ended >= 0
                time.sleep(chance.uniform(0.05, 0.3))
        assert checked(console, outside, some) == []


COMMITS = {"before_claim": "the claim", "claimed": "that it calls", "called": "how it went"}


@pytest.mark.parametrize("point", COMMITS)
def test_a_keeper_that_does_not_hear_that_it_was_written_sends_nothing_twice(
    prepared: Path, tmp_path: Path, outside: Path, point: str
) -> None:
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(copied(prepared, tmp_path / "home"))
        line = stack.enter_context(line_to_database(console.home, tmp_path / "keeper"))
        stack.enter_context(realms_at(console, int((outside / "port").read_text())))
        console.rows("UPDATE realm SET enabled = (name = 'observed') RETURNING id")
        console.url = stack.enter_context(web(console.home, **LOADED))
        world = World(console, outside)
        ref = world.ban("10.81.0.1")
        halt = {"PAUSE_AT": f"deliver.{point}", "KEEPER_HANDS": "1"}
        keeping = stack.enter_context(keeper(tmp_path / "keeper", **UNHURRIED, **halt))
        eventually(lambda: stands_still(keeping), 60, f"it is about to write {COMMITS[point]}")
        line.lose = "commit"
        os.kill(keeping.pid, signal.SIGCONT)
        assert world.settled(ref) == {"observed": "succeeded"}
        assert line.lost == 1
        assert world.ledger("10.81.0.1") == {"observed": 1}
        assert violations(reading.read(Scene(console, {"all": outside}), [])) == []
