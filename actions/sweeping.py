"""Sweeping: take each step by itself, so that one that fails keeps no other from being taken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

import psycopg
from django.db import InterfaceError, OperationalError, connection

log = logging.getLogger(__name__)

AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
"""A lost database is no step's fault, and ends the sweep."""

GIVEN_UP = frozenset({"57014", "55P03", "40001", "40P01"})
"""A statement cancelled or timed out, a lock not had in time, a serialization failure, a deadlock:
that statement failed, and the line stands, though the drivers call these operational errors too."""


def alone(step: Callable[..., object], *given: object) -> object:
    """What `step` gave, or None when it failed, which is logged.

    Raises what is in AWAY, if the line to the database is lost.
    """
    try:
        return step(*given)
    except Exception as error:
        if isinstance(error, AWAY) and not _stands(error):
            raise
        log.exception("%s: %s", getattr(step, "__name__", step), type(error).__name__)
        return None


def _stands(error: Exception) -> bool:
    states = (getattr(found, "sqlstate", None) for found in (error, error.__cause__))
    return any(state in GIVEN_UP for state in states)


def each[T](step: Callable[[T], object], rows: Iterable[T]) -> int:
    """Take `step` for every row; for how many it gave something true."""
    return sum(bool(alone(step, row)) for row in rows)


class Beside:
    """A step that is taken again and again on a thread of its own: whatever it waits for, others go on."""

    def __init__(self, step: Callable[[], object], every: float) -> None:
        self._step, self._every = step, every
        self._over = threading.Event()
        name = getattr(step, "__name__", "beside")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """Begin nothing more, and wait a little for what is under way."""
        self._over.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                alone(self._step)
            except AWAY as error:
                log.warning("the database: %s", type(error).__name__)
                connection.close()
                self._over.wait(0.5)
        connection.close()
