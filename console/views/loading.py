"""Parts of a page that may fail on their own, so that the others are still shown."""

from __future__ import annotations

import logging
from collections.abc import Callable

import psycopg
from django.db import DatabaseError, InterfaceError, connection

log = logging.getLogger(__name__)


def load[T](part: Callable[[], T]) -> T | None:
    """What `part` reads; None when it could not be read, which a page must never show as nothing."""
    try:
        return part()
    except (DatabaseError, InterfaceError, psycopg.Error) as error:
        log.warning("a part of a page was not read: %s", type(error).__name__, exc_info=error)
        if not connection.is_usable():
            connection.close()
        return None
