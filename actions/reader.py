"""The reader: takes the readings that are due, beside the sweep, so that no slow effect delays them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import F, Min, Q
from psycopg.types.json import Jsonb

from actions import adapters, database, health, naming
from actions.connectors._base import Unreadable
from actions.models import Reading
from actions.registry import registry

EVERY = 0.05
"""Seconds between looks for what is due."""

AT_ONCE = 8
"""Realms that are read at the same time. Each has one look in hand, so a slow one holds up no other."""

KEEP = "1 day"
SELDOM = 600.0

log = logging.getLogger(__name__)

_DUE = Q(taken_at__isnull=True) | Q(asked_at__gt=F("taken_at"))
_TAKEN = """
UPDATE reading SET taken_at = %(at)s, facts = %(facts)s, message = %(message)s
 WHERE id = %(id)s AND (taken_at IS NULL OR taken_at < %(at)s) RETURNING id
"""


class Reader:
    """A thread that looks for what is due, and a few that read; `stop` waits for none that hangs."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, "reading")
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._in_hand: set[str] = set()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more up, and wait a little for what is in hand."""
        self._over.set()
        self._thread.join(5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        swept = SELDOM
        while not self._over.is_set():
            try:
                if swept >= SELDOM:
                    swept = 0.0
                    forget()
                for realm in due():
                    self._take_up(realm)
            except (DatabaseError, InterfaceError, psycopg.Error) as error:
                log.warning("readings: %s", type(error).__name__)
                connection.close()
                self._over.wait(0.5)
            self._over.wait(EVERY)
            swept += EVERY
        connection.close()

    def _take_up(self, realm: str) -> None:
        if realm not in self._in_hand:
            self._in_hand.add(realm)
            self._pool.submit(self._read, realm)

    def _read(self, realm: str) -> None:
        try:
            read_realm(realm)
        except Exception as error:
            # It stays due, and is tried again at the next look.
            log.warning("a reading: %s", type(error).__name__)
            self._over.wait(0.5)
        finally:
            connection.close()
            self._in_hand.discard(realm)


def due() -> list[str]:
    """The realms in which something is to be read, whoever asked longest first."""
    # Grouped, not cut off: many looks at one silent system must not keep the others from their turn.
    rows = Reading.objects.filter(_DUE).values("realm_id").annotate(since=Min("asked_at"))
    return [str(row["realm_id"]) for row in rows.order_by("since")]


def read_realm(realm: str) -> int:
    """Take every reading that is due in one realm, unless another keeper is at it; how many."""
    lock = {"key": f"readings of {realm}"}
    if not database.value("SELECT pg_try_advisory_lock(hashtextextended(%(key)s, 0))", lock):
        return 0
    try:
        due_there = Reading.objects.filter(_DUE, realm=UUID(realm)).select_related("realm")
        rows = list(due_there.order_by("asked_at")[:50])
        for row in rows:
            _take(row)
        return len(rows)
    finally:
        database.value("SELECT pg_advisory_unlock(hashtextextended(%(key)s, 0))", lock)


def _take(row: Reading) -> None:
    # The moment before the look: whatever changed later, it may not have seen.
    at: datetime = database.value("SELECT clock_timestamp()", {})
    facts, message = _look(row)
    given = {
        "id": row.id,
        "at": at,
        "facts": Jsonb(dict(facts)) if facts is not None else None,
        "message": message,
    }
    database.value(_TAKEN, given)


def _look(row: Reading) -> tuple[Mapping[str, Any] | None, str]:
    if until := health.not_read_now().get(row.realm_id):
        return None, f"It does not answer; it is looked at again at {until:%H:%M:%S} UTC."
    begun = time.monotonic()
    facts, message = _ask(row)
    if facts is None and (kind := registry.find_connector(row.realm.connector)):
        health.could_not_be_read(kind, row.realm_id, time.monotonic() - begun)
    return facts, message


def _ask(row: Reading) -> tuple[Mapping[str, Any] | None, str]:
    try:
        version = database.value(
            "SELECT version FROM realm WHERE id = %(id)s", {"id": str(row.realm_id)}
        )
        connector = adapters.connector(str(row.realm_id), version)
        if row.capability == naming.FIND:
            return naming.take(row, connector), ""
        return connector.read(row.capability, row.kind, row.name), ""
    except Unreadable as why:
        return None, str(why)[:500]
    except Exception as error:
        # Its text may hold an address or a secret: only its kind is told.
        return None, f"The system could not be read ({type(error).__name__})."


def forget() -> None:
    """Readings are only kept while somebody may still ask for them."""
    database.value(
        "WITH gone AS (DELETE FROM reading WHERE asked_at < clock_timestamp() - %(keep)s::interval"
        " RETURNING 1) SELECT count(*) FROM gone",
        {"keep": KEEP},
    )
