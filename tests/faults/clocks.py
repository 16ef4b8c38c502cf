"""Clocks that are wrong: for one process by `libfaketime`, and one that a test sets while it runs."""

from __future__ import annotations

import glob
from pathlib import Path

PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


def library() -> str:
    """Fails where there is none: clocks that were not moved prove nothing."""
    found = [path for place in PLACES for path in glob.glob(place)]
    assert found, "there is no libfaketime: `make faults` installs it, or says how"
    return found[0]


def off_by(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is off by `offset`, such as "+2d" or "-3h".

    What nobody can set, the steady clock, stays as it is; but then the library breaks `time.sleep`, so
    such a process is not to be asked to wait for an outcome.
    """
    return {"LD_PRELOAD": library(), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}


def set_by(file: Path) -> dict[str, str]:
    """The environment of a process whose clock is off by what stands in `file`, at every moment."""
    return {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
