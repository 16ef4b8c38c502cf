"""Named points at which a test may kill or halt this process; nothing happens unless asked for.

`CRASH_AT=issue.decided` ends the process with SIGKILL the first time it passes that point;
`CRASH_AT=issue.decided:3` the third time. `CRASH_ONCE=FILE` makes only the first process to
create FILE die, so that whoever is started in its place lives. `PAUSE_AT=point` stops the process
(SIGSTOP) until somebody continues it, once likewise.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

_passed: Counter[str] = Counter()


def _first(path: str | None) -> bool:
    if path is None:
        return True
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _asked(variable: str, name: str) -> bool:
    wanted, _, nth = os.environ.get(variable, "").partition(":")
    if wanted != name:
        return False
    _passed[variable + name] += 1
    return _passed[variable + name] == int(nth or 1) and _first(os.environ.get("CRASH_ONCE"))


def point(name: str) -> None:
    """Pass the point `name`: die or halt here if the environment says so."""
    if _asked("CRASH_AT", name):
        os.kill(os.getpid(), signal.SIGKILL)
    if _asked("PAUSE_AT", name):
        # To this very thread: one for the process might be taken by another, and this one go on meanwhile.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
