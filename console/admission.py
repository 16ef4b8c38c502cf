"""Admission: a request is let in, with a line to the database of its own, or sent away at once.

Lines belong to the requests at work, not to threads: however many threads wait, the database sees
no more of us than are let in.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from console import rooms

TELL_EVERY = 10.0
"""Seconds between two lines of the log that say how many were sent away."""

log = logging.getLogger(__name__)

type App = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Admission:
    """The WSGI application `door`, of which no more is asked than it can do; `away` is told the rest."""

    def __init__(self, door: App, away: App) -> None:
        self._door, self._away = door, away
        self._lines: deque[BaseDatabaseWrapper] = deque()
        self._lock = threading.Lock()
        self._sent_away, self._told_at = 0, 0.0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request, as PEP 3333 has it."""
        room = rooms.of(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        if room is None:
            return self._door(environ, start_response)
        if not rooms.enter(room):
            self._count()
            return self._away(environ, start_response)
        try:
            with self._line():
                return self._door(environ, start_response)
        finally:
            rooms.leave()

    @contextmanager
    def _line(self) -> Iterator[None]:
        """This thread's connection is one that no other request has meanwhile; the last used first."""
        try:
            line = self._lines.pop()
        except IndexError:
            line = connections.create_connection("default")
            line.inc_thread_sharing()
        connections["default"] = line
        try:
            yield
        finally:
            del connections["default"]
            if line.in_atomic_block:
                line.close()
            line.close_if_unusable_or_obsolete()
            self._lines.append(line)

    def _count(self) -> None:
        with self._lock:
            self._sent_away += 1
            now = time.monotonic()
            if now - self._told_at < TELL_EVERY and self._told_at:
                return
            count, self._sent_away, self._told_at = self._sent_away, 0, now
        log.warning("more is asked than can be done: %s requests were sent away", count)
