"""How many effects a second: 20,000 that are due at once are drained by keeper and workers.

Beside it, in the same run and on the same PostgreSQL, as many trivial workflows of DBOS. The two
alternate in rounds, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from bench import load
from tests.console_process import ROOT, Console

CLIENTS = 16
_LEFT = "SELECT count(*) FROM effect WHERE state IN ('ready', 'executing')"
_RATE = """
SELECT count(*) / extract(epoch FROM max(settled_at) - min(settled_at)) FROM effect
 WHERE state = 'succeeded' AND settled_at >= %s
"""
_PATIENCE = 600


@dataclass
class Drained:
    """Rates a second: effects settled by the console, workflows ended by DBOS."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)


def measure(home: Path, effects: int, rounds: int) -> Drained:
    """Fill and drain `effects` in each round, then DBOS as many workflows."""
    drained = Drained()
    numbers = itertools.count()
    for _ in range(rounds):
        _fill(home, effects, numbers)
        drained.ours.append(_drain(home, effects))
        drained.theirs.append(_dbos(home, effects))
    return drained


def _fill(home: Path, effects: int, numbers: itertools.count[int]) -> None:
    console = Console(home, {"KEEPERS": "0", "WORKERS": "0"}).start()
    try:
        port = int(console.state["port"])
        start = load.head(port, console.token)

        def ban() -> bytes:
            n = next(numbers)
            name = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
            return load.post(start, f"drain-{uuid.uuid4().hex}", name)

        while (left := effects - console.value(_LEFT)) > 0:
            # A little at a time: a load runs for seconds, not for a number of requests.
            load.run(port, min(CLIENTS, left), 0.5 if left < 1000 else 2.0, ban)
    finally:
        console.stop()


def _drain(home: Path, effects: int) -> float:
    console = Console(home).start()
    try:
        begun = console.value(
            "SELECT coalesce(min(claimed_at), now()) FROM attempt a JOIN effect e"
            " ON e.id = a.effect_id WHERE e.settled_at IS NULL"
        )
        deadline = time.monotonic() + _PATIENCE
        with console.database() as database:
            while database.execute(_LEFT).fetchone() != (0,):
                assert time.monotonic() < deadline, "not drained in time"
                time.sleep(0.25)
            rate = database.execute(_RATE, [begun]).fetchone()
        assert rate is not None
        return float(rate[0])
    finally:
        console.stop()


def _dbos(home: Path, count: int) -> float:
    """DBOS in a database of its own of the same cluster, with two executors."""
    console = Console(home, {"KEEPERS": "0", "WORKERS": "0"}).start()
    try:
        at = console.dsn("superuser").rpartition("/")[0]
        name = f"dbos_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(f"{at}/postgres", autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name}")
        done = subprocess.run(
            [sys.executable, "-m", "bench.dbos_side", str(count), str(os.cpu_count() or 2)],
            cwd=ROOT,
            input=f"{at}/{name}\n",
            capture_output=True,
            text=True,
            check=True,
        )
        with psycopg.connect(f"{at}/postgres", autocommit=True) as database:
            database.execute(f"DROP DATABASE {name} WITH (FORCE)")
        return float(done.stdout.split()[-1])
    finally:
        console.stop()


_DUE_NOTHING = """
INSERT INTO effect (operation_id, subject_id, lane, generation, realm_id, realm_version, step, ord,
  capability, redo, desired, state, fence, attempts, attempts_before, going_since, after, run_at, found,
  message, settled_at, verified_at)
SELECT e.operation_id, e.subject_id, e.lane, e.generation, e.realm_id, e.realm_version, 'copy ' || n, e.ord,
  e.capability, e.redo, e.desired, 'succeeded', 1, 1, 0, e.going_since, 0, e.run_at, e.found, '',
  e.settled_at, e.verified_at
  FROM (SELECT * FROM effect WHERE state = 'succeeded' LIMIT 1) e, generate_series(1, %s) n
"""


def sweep(home: Path, settled: int) -> tuple[int, float]:
    """(settled effects, median milliseconds of a sweep's questions when nothing is due)."""
    console = Console(home).start()
    try:
        made = console.api().ban("192.0.2.1").json()["operation"]["ref"]
        assert console.api().settled(made)["operation"]["state"] == "succeeded"
    finally:
        console.stop()
    console = Console(home, {"KEEPERS": "0", "WORKERS": "0"}).start()
    try:
        with console.database("superuser") as database:
            database.execute("SET session_replication_role = replica")
            database.execute("ALTER TABLE effect DISABLE TRIGGER USER")
            database.execute(_DUE_NOTHING, [settled])
            database.execute("ALTER TABLE effect ENABLE TRIGGER USER")
            database.execute("ANALYZE effect")
            there = database.execute("SELECT count(*) FROM effect").fetchone()
        taken = console.python(_TIMED, role="worker").split()
        assert there is not None
        return int(there[0]), float(taken[-1])
    finally:
        console.stop()


_TIMED = """
import statistics, time
import django; django.setup()
from actions import outbox, reconcile

def once():
    begun = time.perf_counter()
    outbox.due(500)
    reconcile.reconcile_due()
    return 1000 * (time.perf_counter() - begun)

for _ in range(20):
    once()
print(statistics.median(once() for _ in range(200)))
"""
