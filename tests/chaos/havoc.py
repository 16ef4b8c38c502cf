"""What goes wrong, drawn by a seed: processes killed or halted, the database, the broker, the systems."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

import psutil
import psycopg

from console import embedded
from console.supervise import children
from tests.chaos import bells
from tests.chaos.scene import LEASE, Scene
from tests.console_process import Console

WORDS = ("well",) * 15 + (
    *(
        "drop",
        "500",
        "hang after",
        "hang",
        "reset",
        "429",
        "503",
        "refuse",
        "unreadable",
        "late 0.5",
    ),
)
LONGEST_HALT = LEASE + 0.6
"""Seconds: past the lease, so that somebody else takes over, but well within the settle time after it.
A call halted in the middle for longer comes later than any system here is declared to take."""

RESTS = {"web worker": 15.0, "web server": 60.0, "keeper": 8.0, "worker": 30.0, "pool child": 0.0}
"""Seconds between two deaths of one kind: what is killed while it starts is never there at all."""

type Fault = Callable[[random.Random, Counter[str]], None]


class Havoc:
    """Faults from several hands until told to stop; counts what they did."""

    def __init__(self, scene: Scene, seed: int, every: float, restart_every: float) -> None:
        self.scene, self.seed = scene, seed
        self.stop = threading.Event()
        self.failed: list[str] = []
        self.away: list[float] = []  # seconds for which the database was, each time
        self._done = [Counter[str]() for _ in range(3)]
        self._halted: dict[int, float] = {}
        self._killed: dict[str, float] = {}  # when one of a kind was last
        self._supervisor = int(scene.console.state["supervisor"])
        rings = scene.bells
        hands: list[tuple[float, Mapping[Fault, int]]] = [
            (every, self._processes()),
            (restart_every, {self.restart_database: 1}),
            (bells.EVERY[rings.kind] if rings else 0, rings.faults() if rings else {}),
        ]
        self._threads = [
            threading.Thread(target=self._go_on, args=(number, *hand), daemon=True)
            for number, hand in enumerate(hands)
            if hand[1]
        ]
        self._threads.append(threading.Thread(target=self._tell, daemon=True))

    @property
    def done(self) -> Counter[str]:
        return sum(self._done, Counter())

    @property
    def deaths(self) -> int:
        return sum(count for what, count in self.done.items() if what.startswith("killed "))

    @property
    def restarts(self) -> int:
        return self.done["database restarted"]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """All goes on, and goes well."""
        self.stop.set()
        for thread in self._threads:
            thread.join(120)
            if thread.is_alive():
                self.failed.append("faults that do not end")
        for pid in list(self._halted):
            _resume(pid)
        embedded.launch(self.scene.console.home)
        if self.scene.bells is not None:
            self.scene.bells.end()
        for realm in self.scene.systems:
            self.scene.tell(realm, [])

    def _go_on(self, number: int, every: float, some: Mapping[Fault, int]) -> None:
        """One fault after another, all drawn from a chance of its own."""
        chance, done = random.Random(f"{self.seed}:{number}"), self._done[number]
        faults, weights = list(some), list(some.values())
        while not self.stop.wait(chance.uniform(0.4 * every, 1.6 * every)):
            try:
                chance.choices(faults, weights)[0](chance, done)
            except (psutil.Error, psycopg.Error, OSError) as error:
                done[f"missed: {type(error).__name__}"] += 1
            except Exception as error:  # the run cannot be told then
                self.failed.append(repr(error))
                return

    def _tell(self) -> None:
        """The systems misbehave in two calls of five."""
        chance = random.Random(f"{self.seed}:systems")
        while not self.stop.wait(2):
            for realm in self.scene.systems:
                with contextlib.suppress(OSError):
                    self.scene.tell(realm, chance.choices(WORDS, k=200))

    def _processes(self) -> dict[Fault, int]:
        return {
            self.kill: 20,
            self.halt: 4,
            self.end_backends: 1,
        }

    def _programs(self, name: str) -> list[psutil.Process]:
        found = children(self._supervisor)
        return [process for program, process in found.items() if program.startswith(name)]

    def _below(self, name: str) -> list[psutil.Process]:
        return [child for program in self._programs(name) for child in program.children()]

    def kill(self, chance: random.Random, done: Counter[str]) -> None:
        """One of those that are there: while some take their time to come back, another kind."""
        kinds: dict[str, tuple[int, list[psutil.Process]]] = {
            "web worker": (2, self._below("web")),
            "web server": (1, self._programs("web")),
            "keeper": (3, self._programs("keeper")),
            "worker": (1, self._programs("worker")),
            "pool child": (13, self._below("worker")),
        }
        now = time.monotonic()
        there = {
            kind: weight
            for kind, (weight, some) in kinds.items()
            if some and now - self._killed.get(kind, 0) > RESTS[kind]
        }
        if there:
            [kind] = chance.choices(list(there), list(there.values()))
            chance.choice(kinds[kind][1]).kill()
            self._killed[kind] = now
            done[f"killed {kind}"] += 1

    def halt(self, chance: random.Random, done: Counter[str]) -> None:
        """SIGSTOP, and SIGCONT after a while; never one that was halted a short while ago."""
        some = [
            *self._programs("web"),
            *self._below("web"),
            *self._programs("keeper"),
            *self._programs("worker"),
            *self._below("worker"),
        ]
        rested = [p for p in some if time.time() - self._halted.get(p.pid, 0) > 3 * LEASE]
        if not rested:
            return
        pid = chance.choice(rested).pid
        self._halted[pid] = time.time()
        os.kill(pid, signal.SIGSTOP)
        done["halted"] += 1
        resume = threading.Timer(chance.uniform(0.3, LONGEST_HALT), _resume, [pid])
        resume.daemon = True
        resume.start()

    def restart_database(self, chance: random.Random, done: Counter[str]) -> None:
        server = embedded.running(self.scene.console.home)
        begun = time.monotonic()
        if server is not None:
            server.process.send_signal(signal.SIGQUIT)  # as `pg_ctl stop -m immediate`
            _gone(self.scene.console)
        embedded.launch(self.scene.console.home)
        done["database restarted"] += 1
        self.away.append(time.monotonic() - begun)

    def end_backends(self, chance: random.Random, done: Counter[str]) -> None:
        with self.scene.console.database("superuser", connect_timeout=5) as at:
            at.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        done["backends ended"] += 1


def _resume(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _gone(console: Console) -> None:
    deadline = time.monotonic() + 10
    while embedded.running(console.home) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
