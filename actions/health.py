"""Realms that let us down: left alone for a while, then tried by one attempt at a time.

A circuit breaker whose state is in the database, for workers and keepers are many. What waits for a
realm that is left alone stays as it is, and spends nothing: neither a try nor its time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from actions.connectors._base import Connector
from actions.outcomes import Applied, Outcome, Refused, RetryLater

LONGEST_REST = 60.0
"""Seconds that a realm is left alone at most, unless it asks for longer itself."""

LONGEST_ASKED = 900.0
"""Seconds that it may ask for: as long as one effect is tried at all."""

SILENT_AFTER = 0.5
"""Seconds after which a realm that could not be read is silent, not merely unable to say."""

MAY_BE_TRIED = """(h.paused_at IS NULL OR (h.try_at <= clock_timestamp()
 AND (h.probe IS NULL OR h.probe_until <= clock_timestamp())))"""
"""For SQL, with `realm_health` as h: whether it is called at all, or may now be tried by one."""

RESTED = """(coalesce(h.rested, 0)
 + coalesce(extract(epoch FROM clock_timestamp() - h.paused_at)::float, 0))"""
"""For SQL, with `realm_health` as h: the seconds for which it was left alone, all in all, until now."""

type Given = dict[str, Any]

_PROBE = """
UPDATE realm_health SET probe = %(attempt)s,
       probe_until = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE realm_id = %(realm)s AND paused_at IS NOT NULL AND try_at <= clock_timestamp()
   AND (probe IS NULL OR probe_until <= clock_timestamp())
"""


def take_probe(realm: UUID, attempt: UUID, lease: timedelta) -> bool:
    """Be the one who tries a realm that is left alone, if its rest is over and nobody else is.

    For the lease of the attempt: one that never comes back does not keep the next from trying.
    """
    given = {"realm": realm, "attempt": attempt, "seconds": lease.total_seconds()}
    return _run(_PROBE, given) == 1


def heard(
    kind: type[Connector], realm: UUID, attempt: UUID, outcome: Outcome, *, asked: bool
) -> None:
    """Take down what an attempt says of its realm's health; `asked`: whether the realm was asked at all.

    Any definite answer is a sign of health, also a no.
    """
    given: Given = {"realm": realm, "attempt": attempt}
    if not asked:
        _run(_LET_GO, given)
    elif isinstance(outcome, Applied | Refused):
        _run(_ANSWERED, given)
    else:
        after = outcome.after if isinstance(outcome, RetryLater) else None
        limits = {"most": kind.sick_after, "rest": kind.rest, "longest": LONGEST_REST}
        asks = min(after or 0.0, LONGEST_ASKED)
        with transaction.atomic():
            _failed({**given, **limits, "after": asks, "message": outcome.message})


_LET_GO = """
UPDATE realm_health SET probe = NULL, probe_until = NULL WHERE realm_id = %(realm)s AND probe = %(attempt)s
"""
# While it is left alone only the probe's word counts: others' calls began before.
_ANSWERED = """
UPDATE realm_health h SET failures = 0, message = '', rest = 0, unread_until = NULL,
       rested = CASE WHEN paused_at IS NULL THEN rested ELSE %(rested)s END,
       paused_at = NULL, try_at = NULL, probe = NULL, probe_until = NULL
 WHERE realm_id = %(realm)s AND (paused_at IS NULL AND failures > 0 OR probe = %(attempt)s)
""".replace("%(rested)s", RESTED)
_KNOWN = """
INSERT INTO realm_health (realm_id, failures, rest, rested, message) VALUES (%(realm)s, 0, 0, 0, '')
    ON CONFLICT DO NOTHING
"""
_STILL_SILENT = """
UPDATE realm_health SET failures = failures + 1, message = %(message)s,
       rest = least(2 * rest, %(longest)s),
       try_at = clock_timestamp() + make_interval(secs => greatest(least(2 * rest, %(longest)s), %(after)s)),
       probe = NULL, probe_until = NULL
 WHERE realm_id = %(realm)s AND probe = %(attempt)s
"""
_ONE_MORE = """
UPDATE realm_health SET failures = failures + 1, message = %(message)s
 WHERE realm_id = %(realm)s AND paused_at IS NULL
"""
# One that says when to come again is not asked before, by anybody.
_PAUSE = """
UPDATE realm_health SET paused_at = clock_timestamp(), rest = %(rest)s,
       try_at = clock_timestamp() + make_interval(secs => greatest(%(rest)s, %(after)s))
 WHERE realm_id = %(realm)s AND paused_at IS NULL AND (failures >= %(most)s OR %(after)s > 0)
"""


def _failed(given: Given) -> None:
    _run(_KNOWN, given)
    if not _run(_STILL_SILENT, given) and _run(_ONE_MORE, given):
        _run(_PAUSE, given)


_LOOKED = """
UPDATE realm_health SET
       unread_until = clock_timestamp() + make_interval(secs => greatest(rest, %(rest)s))
 WHERE realm_id = %(realm)s AND (%(slow)s OR paused_at IS NOT NULL)
"""


def could_not_be_read(kind: type[Connector], realm: UUID, seconds: float) -> bool:
    """A look came to nothing, after so long. True when it is not looked at again for a while.

    That is so for one that stayed silent, and for one that is left alone anyway.
    """
    slow = seconds > SILENT_AFTER
    given = {"realm": realm, "rest": kind.rest, "slow": slow}
    if slow:
        _run(_KNOWN, given)
    return _run(_LOOKED, given) == 1


def not_read_now() -> dict[UUID, datetime]:
    """The realms that nobody looks at for a while, and until when."""
    sql = "SELECT realm_id, unread_until FROM realm_health WHERE unread_until > clock_timestamp()"
    with connection.cursor() as cursor:
        return dict(cursor.execute(sql).fetchall())


def _run(sql: str, given: Given) -> int:
    """Run one statement; how many rows it moved."""
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return int(cursor.rowcount)
