"""Sweeping: take each step by itself, so that one that fails keeps no other from being taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import psycopg
from django.db import InterfaceError, OperationalError

log = logging.getLogger(__name__)

AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
"""A lost database is no step's fault, and ends the sweep."""


def alone(step: Callable[..., object], *given: object) -> object:
    """What `step` gave, or None when it failed, which is logged. Raises what is in AWAY."""
    try:
        return step(*given)
    except AWAY:
        raise
    except Exception as error:
        log.exception("%s: %s", getattr(step, "__name__", step), type(error).__name__)
        return None


def each[T](step: Callable[[T], object], rows: Iterable[T]) -> int:
    """Take `step` for every row; for how many it gave something true."""
    return sum(bool(alone(step, row)) for row in rows)
