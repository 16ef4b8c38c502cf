"""Waiting for an operation to settle, a little, and never with more than half the threads.

Who waits gives up the place among those at work.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from django.http import HttpRequest

from actions import history
from actions.standing import Facts
from actions.states import WAITING, OperationState
from console import rooms

LONGEST = 10.0
EVERY = 0.05
SETTLED = frozenset(OperationState) - {
    OperationState.APPROVED,
    OperationState.RUNNING,
    OperationState.AWAITING_APPROVAL,
}
_WAIT = re.compile(r"\bwait=(\d{1,3})\b", re.ASCII)
_places = threading.BoundedSemaphore(max(1, rooms.WEB_THREADS // 2))


def asked(request: HttpRequest) -> float:
    """Seconds to wait, from `Prefer: wait=N` (RFC 7240 §4.3); at most LONGEST."""
    match = _WAIT.search(request.META.get("HTTP_PREFER", ""))
    return min(float(match[1]), LONGEST) if match else 0.0


def for_reading(ready: Callable[[], bool], seconds: float) -> bool:
    """Wait until `ready`, if there is room to wait; whether it was."""
    if not _places.acquire(blocking=False):
        return False
    try:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() >= deadline:
                return False
            rooms.leave()
            time.sleep(EVERY)
        return True
    finally:
        _places.release()


def until_settled(told: Facts, seconds: float) -> Facts:
    """The operation once it has settled, or as it is when the time, or the room to wait, is over.

    One that waits for a person is not waited for here: whoever filed many would fill the room.
    """
    if not seconds or told["state"] in SETTLED | WAITING or not _places.acquire(blocking=False):
        return told
    try:
        deadline = time.monotonic() + seconds
        while told["state"] not in SETTLED | WAITING and time.monotonic() < deadline:
            rooms.leave()
            time.sleep(EVERY)
            told = history.facts_of([told["id"]])[0]
        return told
    finally:
        _places.release()
