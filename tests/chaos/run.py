"""One run: faults while clients ask, then quiet until all has ended, then the final read and the checks."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos import facts as reading
from tests.chaos.checker import violations
from tests.chaos.clients import Client, Crowd, History
from tests.chaos.havoc import Havoc
from tests.chaos.scene import Scene, scene

CLIENTS = 6
BOUND = 300.0
"""Seconds after the last fault in which everything that is not parked must have ended.
A redo that failed four times waits up to 16 s, and a doubt is read again after half its age."""


@dataclass
class Plan:
    seed: int
    minutes: float
    broker: str = ""
    every: float = 1.5  # seconds between faults, on average somewhat more
    at_once: int = 16  # intents under way
    pause: float = 0.3  # seconds between two intents of one hand
    most: int = 1_000_000  # intents


@dataclass
class Report:
    """`verdict`: passed, violated or unknown."""

    plan: Plan
    verdict: str = "unknown"
    why: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    ended_after: float = 0.0

    @property
    def status(self) -> int:
        return {"passed": 0, "violated": 1}.get(self.verdict, 2)

    def write(self, directory: Path) -> Path:
        path = directory / f"chaos-{self.plan.seed}.json"
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path


def chaos(plan: Plan, directory: Path) -> Report:
    """Run it; the histories of the clients lie in `directory` afterwards."""
    report = Report(plan)
    path = directory / f"chaos-{plan.seed}.history"
    path.unlink(missing_ok=True)
    history = History(path)
    with scene(plan.broker) as given:
        havoc = Havoc(given, plan.seed, plan.every)
        _storm(given, havoc, plan, history)
        report.faults = dict(sorted(havoc.done.items()))
        report.ended_after = _quiet(given)
        if havoc.failed:
            report.why = f"the faults ended in {havoc.failed[0]}"
            return report
        try:
            found = reading.read(given, history.lines)
        except reading.CannotRead as error:
            report.why = f"the final read failed: {error}"
            return report
    report.violations = violations(found)
    report.counts = counted(found, havoc.deaths, report.violations)
    if not found.operations or not found.ledger:
        report.why = "nothing was done"
        return report
    report.verdict = "violated" if report.violations else "passed"
    return report


def _storm(given: Scene, havoc: Havoc, plan: Plan, history: History) -> None:
    names = [f"client-{number}" for number in range(CLIENTS)]
    clients = [
        Client(name, given.console.new_caller(name, "responders", "runbooks"), history)
        for name in names
    ]
    crowd = Crowd(clients, plan.seed)
    asking = threading.Thread(target=crowd.run, args=(plan.at_once, plan.pause, plan.most))
    breaking = threading.Thread(target=havoc.run)
    asking.start()
    breaking.start()
    asking.join(plan.minutes * 60)
    crowd.stop.set()
    havoc.stop.set()
    breaking.join(120)
    asking.join(400)
    if breaking.is_alive() or asking.is_alive():
        havoc.failed.append("a thread that does not end")


_OPEN = """
SELECT (SELECT count(*) FROM operation WHERE state IN ('approved', 'running'))
     + (SELECT count(*) FROM effect WHERE state IN ('ready', 'executing', 'in_doubt'))
"""


def _quiet(given: Scene) -> float:
    """Wait until nothing is under way, or the bound is over; after how many seconds."""
    begun = time.monotonic()
    while time.monotonic() - begun < BOUND:
        with contextlib.suppress(psycopg.Error):
            if given.console.value(_OPEN) == 0:
                break
        time.sleep(0.2)
    return round(time.monotonic() - begun, 1)


def counted(found: reading.Facts, deaths: int, broken: list[str]) -> dict[str, int]:
    kinds = Counter(line["kind"] for line in found.history)
    ends: Counter[Any] = Counter(f"effects {effect['state']}" for effect in found.effects)
    ends += Counter(f"operations {operation['state']}" for operation in found.operations)
    return {
        "operations": len(found.operations),
        "effects": len(found.effects),
        "requests": kinds["invoke"],
        **{f"told {kind}": kinds[kind] for kind in ("ok", "fail", "unknown")},
        "process deaths": deaths,
        "lost": sum(line.startswith("nothing_acknowledged_is_lost") for line in broken),
        "doubled": sum(line.startswith("nothing_is_applied_twice") for line in broken),
        **dict(sorted(ends.items())),
    }
