"""Ends what outlived its run, or its parent.

Every process of a run carries the run's id in its environment: that is how the next run finds what
a SIGKILL left.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from console.one_run import MARK, Problem

CHILD_SECONDS = 25
"""How long web, keeper and worker may take to finish what they are at: a call and its reading."""


def end_leftovers(home: Path) -> None:
    """End what an earlier run left when it was killed. PostgreSQL is adopted instead."""
    with contextlib.suppress(FileNotFoundError):
        last = (home / "run" / "id").read_text().strip()
        if left := end_all(lambda: marked(last), patience=CHILD_SECONDS):
            raise Problem(f"processes of an earlier run do not end: {[p.pid for p in left]}")


def end_all(find: Callable[[], list[psutil.Process]], patience: float) -> list[psutil.Process]:
    """End all that `find` finds: ask each once, after `patience` seconds insist.

    Returns what is still there 5 s later.
    """
    begun = time.monotonic()
    asked: set[int] = set()
    while left := find():
        waited = time.monotonic() - begun
        if waited > patience + 5:
            return left
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                if waited > patience:
                    process.kill()
                elif process.pid not in asked:
                    process.terminate()
        asked |= {process.pid for process in left}
        time.sleep(0.05)
    return []


def marked(run_id: str) -> list[psutil.Process]:
    """Our user's processes that carry the run's id."""
    return [
        process
        for process in psutil.process_iter()
        if run_id and process.pid != os.getpid() and environment_of(process).get(MARK) == run_id
    ]


def strays(run_id: str, supervisor_pid: int) -> list[psutil.Process]:
    """Processes of the run that have lost their parent."""
    # Listed before the tree is, or a child born in between would be taken for a stray.
    found = marked(run_id)
    try:
        tree = psutil.Process(supervisor_pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    kept = {supervisor_pid, *(process.pid for process in tree)}
    return [process for process in found if process.pid not in kept]


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    """The environment of a process of our user's; nothing for anyone else's, or once it is gone."""
    try:
        if process.uids().real != os.getuid():
            return {}
        found: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        return {}
    return found
