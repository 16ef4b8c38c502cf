"""Reading the log back: newest first, by cursor, and never more at once than one page can bear."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from actions import database
from actions.incident_rules import INCIDENT_KINDS

KINDS = (
    "operation.requested",
    "request.arrived",
    "operation.moved",
    "effect.moved",
    "end.issued",
    "end.void",
    "ends.held",
    "ends.released",
    *(f"incident.{kind}" for kind in INCIDENT_KINDS),
    "approval.given",
    "approval.declined",
    "break_glass.opened",
    "break_glass.closed",
    "break_glass.ended",
    "break_glass.withdrawn",
    "database.failed_over",
    "database.recovered",
    "effect.forgotten",
    "world.made",
    "account.added",
    "account.closed",
    "account.reopened",
    "group.made",
    "member.added",
    "member.removed",
    "rights.changed",
    "token.issued",
    "token.withdrawn",
)
"""The kinds of records that are written today; a filter may name any other."""

PAGE = 50

LOOKS_THROUGH = 20_000
"""How many records one search for a text looks through before it answers."""

COUNTS_TO = 1_000_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records; an empty field leaves it open. `text` is looked for anywhere in a record."""

    kind: str = ""
    operation: str = ""
    text: str = ""
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record with its exact bytes as text; `operation` is a ref or ""."""

    id: int
    at: datetime
    kind: str
    operation: str
    action: str
    number: int | None
    body: str


@dataclass(frozen=True, slots=True)
class Records:
    """One page of records. `next` is the cursor of the following, or None at the end.

    `reached` is the number down to which a text was looked for, when that was not all there is.
    """

    records: list[Record]
    next: int | None
    reached: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """How many records there are (`more`: at least as many), and since when."""

    count: int
    more: bool
    since: datetime | None


# The collation is named, for the database's own may know no letters beyond ASCII.
# The inner query is what a search looks through, newest first; the outer stops at a page's worth.
_PAGE = """
SELECT w.id, w.at, w.kind, coalesce(o.ref, '') AS operation, coalesce(o.action, '') AS action,
       w.number, convert_from(w.body, 'UTF8') AS body
  FROM (SELECT e.* FROM log_event e
         WHERE e.id < coalesce(%(before)s::bigint, 9223372036854775807)
           AND (%(kind)s::text = '' OR e.kind = %(kind)s::text)
           AND (%(operation)s::text = ''
                OR e.operation_id = (SELECT id FROM operation WHERE ref = %(operation)s::text))
         ORDER BY e.id DESC LIMIT %(through)s::bigint) w
  LEFT JOIN operation o ON o.id = w.operation_id
 WHERE %(text)s::text = ''
    OR position(lower(%(text)s::text COLLATE "pg_c_utf8")
                IN lower(convert_from(w.body, 'UTF8') COLLATE "pg_c_utf8")) > 0
 ORDER BY w.id DESC LIMIT %(most)s::bigint
"""
_REACHED = """
SELECT min(w.id), count(*) FROM (SELECT e.id FROM log_event e
   WHERE e.id < coalesce(%(before)s::bigint, 9223372036854775807)
     AND (%(kind)s::text = '' OR e.kind = %(kind)s::text)
     AND (%(operation)s::text = ''
          OR e.operation_id = (SELECT id FROM operation WHERE ref = %(operation)s::text))
   ORDER BY e.id DESC LIMIT %(through)s::bigint) w
"""
_KEPT = """
SELECT (SELECT count(*) FROM (SELECT FROM log_event LIMIT %(most)s::bigint) counted) AS count,
       (SELECT at FROM log_event ORDER BY id LIMIT 1) AS since
"""


def read(wanted: Filter) -> Records:
    """One page of the log. Whoever calls this has made sure that the reader may read it."""
    params: dict[str, Any] = {
        "kind": wanted.kind,
        "operation": wanted.operation,
        "text": wanted.text,
        "before": wanted.before,
        "through": LOOKS_THROUGH if wanted.text else PAGE + 1,
        "most": PAGE + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, params)
        found = [Record(*row) for row in cursor.fetchall()]
        if len(found) > PAGE:
            return Records(found[:PAGE], found[PAGE - 1].id, None)
        if not wanted.text:
            return Records(found, None, None)
        cursor.execute(_REACHED, params)
        lowest, looked_through = cursor.fetchone()
    whole = looked_through < LOOKS_THROUGH
    return Records(found, None if whole else lowest, None if whole else lowest)


def kept() -> Kept:
    """How many records are kept."""
    row = database.one(_KEPT, {"most": COUNTS_TO + 1})
    return Kept(min(row["count"], COUNTS_TO), row["count"] > COUNTS_TO, row["since"])
