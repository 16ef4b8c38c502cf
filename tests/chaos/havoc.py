"""What goes wrong, drawn by a seed: processes killed or halted, the database, the broker, the systems."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import psutil
import psycopg

from console import embedded
from console.supervise import children
from tests.chaos.scene import LEASE, Scene
from tests.console_process import Console

WORDS = ("well",) * 12 + (
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


class Havoc:
    """One fault after another until told to stop; counts what it did."""

    def __init__(self, scene: Scene, seed: int, every: float) -> None:
        self.scene, self.every = scene, every
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self.stop = threading.Event()
        self._halted: dict[int, float] = {}
        self._supervisor = int(scene.console.state["supervisor"])
        self._faults: dict[Callable[[], None], int] = {
            self.kill_web_worker: 4,
            self.kill_web: 1,
            self.kill_keeper: 4,
            self.kill_worker: 2,
            self.kill_pool_child: 6,
            self.halt: 6,
            self.restart_database: 3,
            self.end_backends: 3,
            self.purge_queue: 2,
        }

    @property
    def deaths(self) -> int:
        return sum(count for what, count in self.done.items() if what.startswith("killed "))

    def run(self) -> None:
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        faults, weights = list(self._faults), list(self._faults.values())
        while not self.stop.wait(self.chance.uniform(0.2, 2 * self.every)):
            try:
                self.chance.choices(faults, weights)[0]()
            except (psutil.Error, psycopg.Error, OSError) as error:
                self.done[f"missed: {type(error).__name__}"] += 1
            except Exception as error:  # the run cannot be told then
                self.failed.append(repr(error))
                break
        telling.join(15)
        self.end()

    def _tell(self) -> None:
        """The systems misbehave in two calls of five."""
        chance = random.Random(self.chance.random())
        while not self.stop.wait(0.5):
            for realm in self.scene.systems:
                self.scene.tell(realm, chance.choices(WORDS, k=40))

    def end(self) -> None:
        """All goes on, and goes well."""
        for pid in self._halted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        embedded.launch(self.scene.console.home)
        for realm in self.scene.systems:
            self.scene.tell(realm, [])

    def _programs(self, name: str) -> list[psutil.Process]:
        found = children(self._supervisor)
        return [process for program, process in found.items() if program.startswith(name)]

    def _below(self, name: str) -> list[psutil.Process]:
        return [child for program in self._programs(name) for child in program.children()]

    def _kill(self, some: list[psutil.Process], what: str) -> None:
        if some:
            self.chance.choice(some).kill()
            self.done[f"killed {what}"] += 1

    def kill_web_worker(self) -> None:
        self._kill(self._below("web"), "web worker")

    def kill_web(self) -> None:
        self._kill(self._programs("web"), "web server")

    def kill_keeper(self) -> None:
        self._kill(self._programs("keeper"), "keeper")

    def kill_worker(self) -> None:
        self._kill(self._programs("worker"), "worker")

    def kill_pool_child(self) -> None:
        self._kill(self._below("worker"), "pool child")

    def halt(self) -> None:
        """SIGSTOP, and SIGCONT after a while; never one that was halted a short while ago."""
        some = [*self._below("web"), *self._programs("keeper"), *self._below("worker")]
        rested = [p for p in some if time.time() - self._halted.get(p.pid, 0) > 3 * LEASE]
        if not rested:
            return
        pid = self.chance.choice(rested).pid
        self._halted[pid] = time.time()
        os.kill(pid, signal.SIGSTOP)
        self.done["halted"] += 1
        resume = threading.Timer(self.chance.uniform(0.3, LONGEST_HALT), _resume, [pid])
        resume.daemon = True
        resume.start()

    def restart_database(self) -> None:
        server = embedded.running(self.scene.console.home)
        if server is not None:
            server.process.send_signal(signal.SIGQUIT)  # as `pg_ctl stop -m immediate`
            self.done["database restarted"] += 1
            _gone(self.scene.console)
        embedded.launch(self.scene.console.home)

    def end_backends(self) -> None:
        with self.scene.console.database("superuser", connect_timeout=5) as at:
            at.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        self.done["backends ended"] += 1

    def purge_queue(self) -> None:
        """The broker forgets every message (the embedded one)."""
        url = json.loads((self.scene.console.home / "broker.json").read_text())["url"]
        if not url.startswith("pgmq:"):
            return
        url = url.replace("pgmq://", "postgresql://")
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as at:
            at.execute("SELECT pgmq.purge_queue('steadyhand')")
        self.done["queue purged"] += 1


def _resume(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _gone(console: Console) -> None:
    deadline = time.monotonic() + 10
    home = console.home
    while embedded.running(home) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
