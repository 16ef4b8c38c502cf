"""What goes wrong with the broker: it dies, stands still, is cut off, forgets, repeats, and reorders."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
from kombu import Connection

from tests.chaos.line import Line
from tests.console_process import ROOT, Console, eventually
from tests.faults.brokers import Broker, Postgres, Server, started
from tests.faults.world import LOADED

EVERY = {"rabbitmq": 15.0, "redis": 6.0, "pgmq": 6.0, "none": 3600.0}
"""Seconds between two faults of a broker, on average. RabbitMQ takes long to start."""


class Bells:
    """A console's broker of one kind, behind a line; "none" is none."""

    def __init__(self, kind: str, broker: Broker | None) -> None:
        self.kind, self._broker = kind, broker
        self._line: Line | None = None
        self._ringer: subprocess.Popen[str] | None = None
        self.url = "none"
        if isinstance(broker, Server):
            self._line = Line(broker.port)
            self.url = broker.url.replace(f":{broker.port}/", f":{self._line.port}/")
        elif broker is not None:
            self.url = broker.url

    def ready(self, console: Console) -> None:
        """The console is there: the broker must be too, and somebody rings who was not asked to."""
        self._console = console
        if self._broker is None:
            return
        self._broker.ready(console)
        ours: Mapping[str, str] = {"STEADYHAND_HOME": str(console.home), **LOADED}
        self._ringer = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.ringer"],
            cwd=ROOT,
            env={**os.environ, **ours, "STEADYHAND_ROLE": "worker"},
            stdin=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        if self._ringer is not None:
            self._ringer.kill()
            self._ringer.wait(10)
        if self._line is not None:
            self._line.close()

    def faults(self) -> dict[Callable[[random.Random, Counter[str]], None], int]:
        """What may go wrong, with weights; each counts what it did."""
        if self._broker is None:
            return {}
        mine = {self._die: 3, self._forget: 3, self._ring_wrongly: 6}
        if self._line is not None:
            mine |= {self._cut: 3, self._stand_still: 3}
        return mine

    def end(self) -> None:
        """It is there, and goes on."""
        if isinstance(self._broker, Postgres):
            eventually(self._let_in, 60, "the embedded broker lets everybody in again")

    def _let_in(self) -> bool:
        with contextlib.suppress(psycopg.Error):
            self._broker.restart()  # type: ignore[union-attr]
            return True
        return False

    def _die(self, chance: random.Random, done: Counter[str]) -> None:
        """Gone with every message; empty when it comes back."""
        assert self._broker is not None
        self._broker.kill()
        try:
            if self._line is not None:
                self._line.cut()
            done["killed broker" if self._line else "broker shut"] += 1
            time.sleep(chance.uniform(0, 4))
        finally:
            self._broker.restart()

    def _forget(self, chance: random.Random, done: Counter[str]) -> None:
        if isinstance(self._broker, Postgres):
            url = json.loads((self._console.home / "broker.json").read_text())["url"]
            url = url.replace("pgmq://", "postgresql://")
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as at:
                at.execute("SELECT pgmq.purge_queue('steadyhand')")
        else:
            assert isinstance(self._broker, Server)
            with Connection(self._broker.url, connect_timeout=5) as line:
                try:
                    line.channel().queue_purge("steadyhand")
                except (*line.connection_errors, *line.channel_errors):
                    return  # it came back a moment ago, and nobody has made the queue yet
        done["broker emptied"] += 1

    def _cut(self, chance: random.Random, done: Counter[str]) -> None:
        assert self._line is not None
        self._line.cut()
        done["broker cut off"] += 1

    def _stand_still(self, chance: random.Random, done: Counter[str]) -> None:
        assert isinstance(self._broker, Server)
        with self._broker.halted():
            done["broker halted"] += 1
            time.sleep(chance.uniform(0.3, 6))

    def _ring_wrongly(self, chance: random.Random, done: Counter[str]) -> None:
        """Messages that were never sent, or long ago: each twice, in any order."""
        newest = int(self._console.value("SELECT coalesce(max(id), 0) FROM effect"))
        if newest == 0:
            return
        ids = [max(1, newest - chance.randrange(60)) for _ in range(12)]
        ids += [chance.randint(1, newest) for _ in range(4)]
        messages = [[id] for id in ids] * 2
        chance.shuffle(messages)
        assert self._ringer is not None and self._ringer.stdin is not None
        self._ringer.stdin.write(json.dumps(messages) + "\n")
        self._ringer.stdin.flush()
        done["messages doubled, replayed, reordered"] += len(messages)


@contextlib.contextmanager
def bells(kind: str) -> Iterator[Bells]:
    """`kind`: pgmq, rabbitmq, redis or none."""
    with (
        tempfile.TemporaryDirectory(prefix="steadyhand-broker-", ignore_cleanup_errors=True) as at,
        contextlib.ExitStack() as stack,
    ):
        broker = None if kind == "none" else stack.enter_context(started(kind, Path(at)))
        made = Bells(kind, broker)
        stack.callback(made.close)
        yield made
