"""A line to PostgreSQL that is given up when no answer comes: a server may stand still, and say nothing.

The server's own time-outs need a server that runs, and TCP's need one that does not even acknowledge.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors
from psycopg.abc import PQGen

ANSWERS_WITHIN = 20.0
"""Seconds in which one statement is answered: longer than the server lets it run."""


class Bounded(psycopg.Connection[Any]):
    """Raises OperationalError, and is closed, when a statement is not answered in time."""

    def wait[T](self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, ANSWERS_WITHIN)
        except errors._WaitTimeout:
            self.close()
            raise psycopg.OperationalError(
                f"no answer from the database in {ANSWERS_WITHIN:g} s"
            ) from None
