"""`python -m tests.mutants [WORD…]`: run every mutant, or those whose name holds a word.

Each is a copy of the tree with one guard taken out, in which the tests named for it run on a
database of their own; each of them must fail in an assertion. Unmutated, all of them must pass.
Exits 1 when a mutant survives, 2 when it cannot be told.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.mutants.everything import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.running import Result, Tree, passing, prepared, run, snapshot

AT_ONCE = 2


def chosen(words: Sequence[str]) -> list[Mutant]:
    return [m for m in MUTANTS if not words or any(w in m.name or w in m.file for w in words)]


def main() -> int:
    begun = time.monotonic()
    mutants = chosen(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="steadyhand-mutants-") as directory:
        tree = snapshot(Path(directory))
        for mutant in mutants:
            mutant.applied((tree.root / mutant.file).read_text())
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        print(f"{len(mutants)} mutants, {len(tests)} tests; first without any", flush=True)
        prepared(tree)
        if broken := passing(tree, tests):
            print("Not passing unmutated:\n" + "\n".join(broken))
            return 2
        print(f"all pass unmutated ({time.monotonic() - begun:.0f} s)", flush=True)
        results = list(everyone(tree, mutants))
    report(results, time.monotonic() - begun)
    return 0 if all(result.caught for result in results) else 1


def everyone(tree: Tree, mutants: Sequence[Mutant]) -> list[Result]:
    """Run the mutants, a few at once, telling of each as it is done; in their own order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {pool.submit(run, tree, mutant): mutant for mutant in mutants}
        done: dict[Mutant, Result] = {}
        for future in as_completed(waiting):
            result = done[waiting[future]] = future.result()
            said = "caught" if result.caught else "SURVIVED"
            print(f"{len(done)}/{len(mutants)} {said} in {result.seconds:.1f} s: {result.mutant.name}"
                  f"{'' if result.caught else chr(10) + result.why}", flush=True)  # fmt: skip
    return [done[mutant] for mutant in mutants]


def report(results: Sequence[Result], seconds: float) -> None:
    rows = [("mutant", "test", "caught in s")]
    for result in results:
        for number, test in enumerate(result.mutant.tests):
            name = result.mutant.name if number == 0 else ""
            took = f"{result.seconds:.1f}" if result.caught else "SURVIVED"
            rows.append((name, test.removeprefix("tests/"), took if number == 0 else ""))
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    print()
    for row in rows:
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip())
    caught = sum(result.caught for result in results)
    print(f"\n{caught} of {len(results)} mutants caught in {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
