"""`python -m tests.chaos --help`: one run, by a seed.

Exit status 0: passed; 1: something did not hold; 2: it cannot be told.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.chaos.run import Plan, Report, chaos
from tests.console_process import ROOT


def plan(given: argparse.Namespace) -> Plan:
    counted = given.operations or given.deaths or given.restarts
    return Plan(
        seed=given.seed,
        minutes=given.minutes or (180.0 if counted else 2.0),
        operations=given.operations,
        deaths=given.deaths,
        restarts=given.restarts,
        broker=given.broker,
        every=given.every,
        restart_every=given.restart_every,
        at_once=given.at_once,
    )


def main() -> int:
    args = arguments()
    args.to.mkdir(parents=True, exist_ok=True)
    wanted = plan(args)
    print(wanted, flush=True)
    report = chaos(wanted, args.to)
    say(report)
    print(f"report: {report.write(args.to)}")
    return report.status


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m tests.chaos")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--minutes", type=float, default=0.0, help="2; with any count, at most")
    asked.add_argument("--operations", type=int, default=0, help="until so many, and the rest")
    asked.add_argument("--deaths", type=int, default=0, help="until so many processes were killed")
    asked.add_argument("--restarts", type=int, default=0, help="until so many of the database")
    asked.add_argument("--broker", default="pgmq", choices=("pgmq", "rabbitmq", "redis", "none"))
    asked.add_argument("--every", type=float, default=1.5, help="seconds between processes' faults")
    asked.add_argument("--restart-every", type=float, default=12.5, help="seconds, of the database")
    asked.add_argument("--at-once", type=int, default=16, help="intents under way")
    asked.add_argument("--to", type=Path, default=ROOT / "var" / "chaos")
    return asked.parse_args()


def say(report: Report) -> None:
    rows: tuple[tuple[str, dict[str, int] | dict[str, float]], ...] = (
        ("counts", report.counts),
        ("faults", report.faults),
        ("seconds", report.seconds),
    )
    for title, counts in rows:
        print(f"{title}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    for line in report.violations[:50]:
        print(f"VIOLATED {line}")
    print(f"seed {report.plan.seed}: {report.verdict} {report.why}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
