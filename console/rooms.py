"""Rooms: so many requests at work at once, some that wait a little, and the rest sent away at once.

Without them, what comes in faster than it can be done waits ever longer, until nobody is served
who still waits for it. Reads have a room of their own: who asks how it stands passes the crowd by.
"""

from __future__ import annotations

import os
import threading

WEB_THREADS = int(os.environ.get("WEB_THREADS") or 8)
"""Requests that one web process works on at the same time, or nearly; it has fewer cores."""

WAITING = 128
"""Requests that may wait in a room: a crowd that presses one button at once is served, not refused."""

LOOKS = 4
"""How many more ask whether the console is ready, at work or waiting."""

SPARE = 16
"""Threads that are left to send others away."""

THREADS = WEB_THREADS * 2 + 2 * WAITING + LOOKS + SPARE
"""What a web process needs: nobody may wait for a thread, where no word of ours could reach them."""


class Room:
    """`at_work` places, and `waiting` who wait for one for `patience` seconds at most."""

    def __init__(self, at_work: int, waiting: int, patience: float) -> None:
        self._places = threading.BoundedSemaphore(at_work)
        self._waiting = threading.BoundedSemaphore(waiting)
        self._patience = patience

    def enter(self) -> bool:
        """Take a place; False when there is none, now or soon."""
        if self._places.acquire(blocking=False):
            return True
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._places.acquire(timeout=self._patience)
        finally:
            self._waiting.release()

    def leave(self) -> None:
        """Give the place to the next."""
        self._places.release()


CHANGES = Room(max(1, WEB_THREADS * 3 // 4), WAITING, patience=5.0)
READS = Room(max(1, WEB_THREADS // 2), WAITING, patience=0.7)
READY = Room(1, LOOKS - 1, patience=2.0)


def of(method: str, path: str) -> Room | None:
    """The room that a request is served in; None for one that costs nothing."""
    if path == "/healthz":
        return None
    if path == "/readyz":
        return READY
    return READS if method in {"GET", "HEAD", "OPTIONS"} else CHANGES


class _Mine(threading.local):
    """The room in which this thread has a place."""

    room: Room | None = None


_mine = _Mine()


def enter(room: Room) -> bool:
    """Take a place in it for this thread, until `leave`."""
    if not room.enter():
        return False
    _mine.room = room
    return True


def leave() -> None:
    """Give up this thread's place, if it has one: at the end, or before it waits for something else."""
    room, _mine.room = _mine.room, None
    if room is not None:
        room.leave()
