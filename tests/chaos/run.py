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
BOUND = 180.0
"""Seconds after the last fault, or after the last thing that ended, in which something must end.
A redo that failed four times waits up to 16 s, and a doubt is read again after half its age."""
BACKLOG = 1000
"""Effects under way beyond which nothing new is asked for: faults are to meet work in hand."""
SAY_EVERY = 10.0


@dataclass
class Plan:
    """For `minutes`; if a count is given, until each of them is reached, and those at most."""

    seed: int
    minutes: float  # with any of the three: at most
    operations: int = 0
    deaths: int = 0
    restarts: int = 0
    broker: str = "pgmq"
    every: float = 1.5  # seconds between faults of processes, on average
    restart_every: float = 12.5  # seconds between restarts of the database, on average
    at_once: int = 16  # intents under way
    pause: float = 0.3  # seconds between two intents of one hand


@dataclass
class Report:
    """`verdict`: passed, violated or unknown."""

    plan: Plan
    verdict: str = "unknown"
    why: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

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
        havoc = Havoc(given, plan.seed, plan.every, plan.restart_every)
        begun = time.monotonic()
        _storm(given, havoc, plan, history)
        report.seconds["of faults"] = round(time.monotonic() - begun, 1)
        report.seconds["until all had ended"] = _quiet(given)
        report.faults = dict(sorted(havoc.done.items()))
        if havoc.away:
            report.seconds["database away, at most"] = round(max(havoc.away), 1)
            report.seconds["database away, mean"] = round(sum(havoc.away) / len(havoc.away), 2)
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
    _judge(report, havoc)
    return report


def _judge(report: Report, havoc: Havoc) -> None:
    plan = report.plan
    made = (report.counts["operations"], havoc.deaths, havoc.restarts)
    wanted = (max(1, plan.operations), plan.deaths, plan.restarts)
    if report.violations:
        report.verdict = "violated"
    elif any(is_ < should for is_, should in zip(made, wanted, strict=True)):
        report.why = "only {} operations, {} deaths and {} restarts in time".format(*made)
    else:
        report.verdict = "passed"


def _storm(given: Scene, havoc: Havoc, plan: Plan, history: History) -> None:
    names = [f"client-{number}" for number in range(CLIENTS)]
    clients = [
        Client(name, given.console.new_caller(name, "responders", "runbooks"), history)
        for name in names
    ]
    crowd = Crowd(clients, plan.seed)
    asking = threading.Thread(target=crowd.run, args=(plan.at_once, plan.pause), daemon=True)
    asking.start()
    havoc.begin()
    _until(plan, havoc, history, crowd, given)
    crowd.stop.set()
    havoc.end()
    asking.join(400)
    if asking.is_alive():
        havoc.failed.append("a thread that does not end")


def _until(plan: Plan, havoc: Havoc, history: History, crowd: Crowd, given: Scene) -> None:
    """Return when there was enough of everything, or the time is over; say how far it is."""
    targets = plan.operations or plan.deaths or plan.restarts
    begun = said = time.monotonic()
    while (now := time.monotonic()) - begun < plan.minutes * 60 and not havoc.failed:
        made = (len(history.refs), havoc.deaths, havoc.restarts)
        if now - said >= SAY_EVERY:
            said = now
            told = "{} operations, {} deaths, {} restarts".format(*made)
            still = _open(given)
            print(f"{now - begun:6.0f} s: {told}; under way: {still}", flush=True)
            crowd.full = still is not None and still > BACKLOG
        wanted = (plan.operations, plan.deaths, plan.restarts)
        if targets and all(is_ >= should for is_, should in zip(made, wanted, strict=True)):
            return
        time.sleep(0.2)


_OPEN = """
SELECT (SELECT count(*) FROM operation WHERE state IN ('approved', 'running'))
     + (SELECT count(*) FROM effect WHERE state IN ('ready', 'executing', 'in_doubt'))
"""


def _open(given: Scene) -> int | None:
    """How much is under way; None while the database does not say."""
    with contextlib.suppress(psycopg.Error):
        return int(given.console.value(_OPEN))
    return None


def _quiet(given: Scene) -> float:
    """Wait until nothing is under way, or nothing ended within the bound; after how many seconds."""
    begun = said = ended = time.monotonic()
    least = _open(given)
    while (now := time.monotonic()) - ended < BOUND:
        still = _open(given)
        if still == 0:
            break
        if still is not None and (least is None or still < least):
            least, ended = still, now
        if now - said >= SAY_EVERY:
            said = now
            print(f"quiet for {now - begun:.0f} s; under way: {still}", flush=True)
        time.sleep(1)
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
