"""Run tests in a copy of the tree, on a database of its own, and read what each came to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST = 180
# What a test of ours fails with when it is the guard that is missing.
ASSERTED = re.compile(r"AssertionError|assert |Failed: ")


@dataclass(frozen=True)
class Tree:
    """The tree as it was when the run began, and a home whose database it prepared."""

    root: Path
    home: Path


@dataclass(frozen=True)
class Result:
    """What became of a mutant; `why` says how it survived."""

    mutant: Mutant
    caught: bool
    seconds: float
    why: str


def snapshot(directory: Path) -> Tree:
    """Copy what git knows of, and what it would take in, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    root = directory / "tree"
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    return Tree(root, directory / "prepared")


def prepared(tree: Tree) -> None:
    """Prepare a database, and stop it: mutants that leave the database alone copy it."""
    code = (
        "import sys; from pathlib import Path; from console import embedded\n"
        "from tests.contracts.inside import prepare\n"
        "home = Path(sys.argv[1]); prepare(home); embedded.stop(home)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tree.home)], cwd=tree.root, env=_env(), check=True
    )


def _env(home: Path | None = None) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEADYHAND_", "DATABASE_URL", "PYTEST_", "DJANGO_"))
    }
    # Plugins are named, because finding them all takes longer than most mutants do.
    ours = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if home is not None:
        ours["STEADYHAND_PREPARED"] = str(home)
    return {**kept, **ours}


def _pytest(root: Path, tests: Iterable[str], home: Path | None) -> dict[str, str]:
    """What each test came to: "passed", or how it failed. An error before it began is "error: …"."""
    report = root / "report.xml"
    command = [
        *(sys.executable, "-m", "pytest", "-p", "pytest_timeout", "-p", "xdist.plugin"),
        *("-p", "no:cacheprovider"),
        *(f"--timeout={LONGEST}", "-q", f"--junitxml={report}", *tests),
    ]
    process = subprocess.Popen(
        command,
        cwd=root,
        env=_env(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=LONGEST + 60)
    except subprocess.TimeoutExpired:
        process.terminate()
        said, _ = process.communicate()
    if not report.exists():
        return {"pytest": f"error: no report\n{said[-2000:]}"}
    return dict(_read(report)) or {"pytest": f"error: no test\n{said[-2000:]}"}


def _read(report: Path) -> Iterable[tuple[str, str]]:
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        name = f"{file}::{case.get('name')}"
        if (error := case.find("error")) is not None:
            yield name, f"error: {error.get('message')}\n{(error.text or '')[-2000:]}"
        elif (failure := case.find("failure")) is not None:
            yield name, f"failed: {failure.get('message')}\n{(failure.text or '')[-1500:]}"
        else:
            yield name, "passed" if case.find("skipped") is None else "skipped"


def passing(tree: Tree, tests: Sequence[str]) -> list[str]:
    """Which of the tests do not pass in the tree as it is."""
    came_to = _pytest(tree.root, tests, tree.home)
    broken = [f"{test}: {how}" for test, how in came_to.items() if how != "passed"]
    broken += [f"{test}: was not run" for test in tests if not _of(test, came_to)]
    return broken


def _of(test: str, came_to: dict[str, str]) -> list[str]:
    """What a named test came to; one named without its parameters stands for all of them."""
    return [how for name, how in came_to.items() if name == test or name.startswith(f"{test}[")]


def run(tree: Tree, mutant: Mutant) -> Result:
    """Take the guard out of a copy, and run the tests that must then fail."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="steadyhand-mutant-") as directory:
        root = Path(directory) / "tree"
        shutil.copytree(tree.root, root, ignore=shutil.ignore_patterns("report.xml", "__pycache__"))
        file = root / mutant.file
        file.write_text(mutant.applied(file.read_text()))
        home = None if mutant.in_database else tree.home
        came_to = _pytest(root, mutant.tests, home)
        if any(how.startswith("error: ") for how in came_to.values()):
            came_to = _pytest(root, mutant.tests, home)  # it did not begin: once more
    survived = [
        f"  {test}: {how}"
        for test in mutant.tests
        for how in [_judged(mutant, _of(test, came_to) or list(came_to.values()))]
        if how
    ]
    return Result(mutant, not survived, time.monotonic() - begun, "\n".join(survived))


def _judged(mutant: Mutant, outcomes: list[str]) -> str:
    """How the mutant got past a test, or "" when it failed as it should (with some parameters)."""
    for outcome in outcomes:
        if outcome.startswith("failed: "):
            said = outcome.removeprefix("failed: ")
            if ASSERTED.match(said) or (mutant.raises and said.startswith(mutant.raises)):
                return ""
    return "; ".join(outcomes)[-3000:]
