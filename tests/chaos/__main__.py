"""`python -m tests.chaos --seed N --minutes M [--broker URL] [--to DIRECTORY]`.

Exit status 0: passed; 1: something did not hold; 2: it cannot be told.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.chaos.run import Plan, chaos
from tests.console_process import ROOT


def main() -> int:
    given = argparse.ArgumentParser(prog="python -m tests.chaos")
    given.add_argument("--seed", type=int, default=1)
    given.add_argument("--minutes", type=float, default=2.0)
    given.add_argument("--broker", default="", help="as BROKER_URL; else pgmq, embedded")
    given.add_argument("--every", type=float, default=1.5, help="seconds between faults")
    given.add_argument("--to", type=Path, default=ROOT / "var" / "chaos")
    args = given.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    print(f"seed {args.seed}, {args.minutes:g} min of faults", flush=True)
    report = chaos(Plan(args.seed, args.minutes, args.broker, args.every), args.to)
    for title, counts in (("counts", report.counts), ("faults", report.faults)):
        print(f"{title}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    for line in report.violations[:50]:
        print(f"VIOLATED {line}")
    print(f"{report.verdict} {report.why}".rstrip(), f"(quiet after {report.ended_after} s)")
    print(f"report: {report.write(args.to)}")
    return report.status


if __name__ == "__main__":
    sys.exit(main())
