"""Measure the console: `python -m bench` (or `make bench`); `--quick` for a short, rough run.

Each part starts a console of its own on a new home, with everything on: tokens, rights, triggers,
log, fsync. Rates are measured with no keeper, so that nothing else uses the two cores meanwhile;
the time from a click until it is in force, with one keeper and nothing else to do. Rounds of pgbench
and HTTP alternate, so that whatever else the machine does falls on both: the ratio is what counts.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from bench import backlog, click, drain, rates
from tests.console_process import running

USUAL = {"rounds": 5, "seconds": 6, "clicks": 150, "effects": 20_000, "settled": 1_000_000,
         "due": 1_000_000}  # fmt: skip
QUICK = {
    "rounds": 2,
    "seconds": 2,
    "clicks": 30,
    "effects": 1_000,
    "settled": 100_000,
    "due": 50_000,
}


def main() -> int:
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before we began")
    if given.rounds:
        measure_rates(given.rounds, given.seconds)
    if given.clicks:
        measure_clicks(given.clicks)
    if given.effects:
        measure_drain(given.effects)
    if given.settled:
        measure_sweep(given.settled)
    if given.due:
        measure_backlog(given.due)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the console.")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s, 30 clicks")
    parser.add_argument("--rounds", type=int, help="of pgbench and HTTP; 0: no rates (5)")
    parser.add_argument("--seconds", type=int, help="of each (6)")
    parser.add_argument("--clicks", type=int, help="one at a time; 0: none (150)")
    parser.add_argument("--effects", type=int, help="due at once, to be drained; 0: none (20000)")
    parser.add_argument("--settled", type=int, help="effects that a sweep passes over (1000000)")
    parser.add_argument("--due", type=int, help="effects that are due at once (1000000)")
    given = parser.parse_args()
    usual = QUICK if given.quick else {}
    for name, default in {**USUAL, **usual}.items():
        if getattr(given, name) is None:
            setattr(given, name, default)
    # Keys and subjects of pgbench are numbered, and the numbers of one leg must not reach the next.
    if given.rounds > 20 or given.seconds > 30:
        parser.error("at most 20 rounds of 30 seconds")
    return given


def measure_rates(rounds: int, seconds: int) -> None:
    with running({"KEEPERS": "0", "WORKERS": "0"}) as console:
        cases = rates.cases(console, int(console.state["port"]))
        rates.measure(console, cases, rounds, seconds)
    print(f"\nrequests a second, {rates.CLIENTS} clients, {rounds} rounds of {seconds} s each way:")
    print("minimum, median, maximum; the ratio is that of the medians of HTTP and the write")
    titles = ("pgbench, the write", "pgbench, look and write", "the console over HTTP")
    print(" " * 22 + "".join(f"{title:>26}" for title in titles) + "   ratio")
    for case in cases:
        ways = (case.by_write, case.by_both, case.by_http)
        print(f"{case.name:22}{''.join(map(_three, ways))}{case.ratio:8.2f}")
    cpu = statistics.median(share for case in cases for share in case.load_cpu)
    print(f"the HTTP load itself takes {cpu:.0%} of one core; no keeper runs meanwhile")


def _three(values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:12,.0f}{middle:7,.0f}{high:7,.0f}"


def measure_clicks(clicks: int) -> None:
    with running({"KEEPERS": "1"}) as console:
        taken = sorted(1000 * seconds for seconds in click.measure(console, clicks))
    at_99 = taken[min(len(taken) - 1, round(0.99 * len(taken)))]
    print(f"\nclick to in force, {clicks} clicks one at a time, one keeper")
    print(f"median {statistics.median(taken):.0f} ms, 99th percentile {at_99:.0f} ms")


def measure_drain(effects: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        drained = drain.measure(Path(made) / "home", effects, 1)
    (ours,), (theirs,) = drained.ours, drained.theirs
    print(f"\n{effects:,} effects due at once, by one keeper and two workers: {ours:.0f} a second")
    print(f"as many trivial DBOS workflows, by two executors: {theirs:.0f} a second", end="")
    print(f"   ratio {ours / theirs:.2f}")


def measure_sweep(settled: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        there, taken = drain.sweep(Path(made) / "home", settled)
    print(f"\na sweep with nothing due, beside {there:,} settled effects: median {taken:.2f} ms")


def measure_backlog(due: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        found = backlog.measure(Path(made) / "home", due)
    print(f"\n{found.due:,} effects due in {backlog.REALMS} realms; median of each question, in ms")
    for name, taken in found.taken.items():
        print(f"{taken:10.2f}  {name}")


if __name__ == "__main__":
    sys.exit(main())
