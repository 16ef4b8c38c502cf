"""The timeline of an incident: what was done to it, said, asked for, and what became of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from actions import database

MOST = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(\d{1,17})-([a-z][0-9a-f-]{1,40})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened. `kind` is of an entry (`opened`, `noted`, `handed_over`, …), or `asked`

    (`told` is the disposition), `moved` (`told` is the operation's state), `decided`, `ended`.
    `operation` is a ref, "" where it is about the incident itself or was refused.
    """

    id: str
    at: datetime
    kind: str
    by: str
    via: str
    token: str
    operation: str
    action: str
    told: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a timeline, newest first; `next` is the cursor of what came before, or ""."""

    items: list[Item]
    next: str


# What an operation went through before it was asked for in this incident is not the incident's.
_ITEMS = """
WITH linked AS MATERIALIZED (
  SELECT o.id, o.ref, o.action, o.via, o.requested_at, coalesce((SELECT min(a.at) FROM arrival a
           WHERE a.incident_id = l.incident_id AND a.operation_id = o.id), o.requested_at) AS since
    FROM operation_incident l JOIN operation o ON o.id = l.operation_id
   WHERE l.incident_id = %(incident)s::uuid AND o.action = ANY(%(sees)s::text[])
), items AS (
  SELECT e.at, 'e' || lpad(e.number::text, 9, '0') AS id, e.kind, c.username AS by, e.via,
         coalesce(t.name, '') AS token, '' AS operation, '' AS action, '' AS told, e.body::text AS body
    FROM incident_entry e JOIN caller c ON c.id = e.caller_id LEFT JOIN api_token t ON t.id = e.token_id
   WHERE e.incident_id = %(incident)s::uuid
  UNION ALL
  SELECT a.at, 'b' || a.id, 'asked', c.username, a.via, coalesce(t.name, ''), coalesce(o.ref, ''),
         coalesce(o.action, ''), a.disposition, json_build_object('code', a.code)::text
    FROM arrival a JOIN request r ON r.id = a.request_id JOIN caller c ON c.id = r.caller_id
    LEFT JOIN operation o ON o.id = a.operation_id LEFT JOIN api_token t ON t.id = a.token_id
   WHERE a.incident_id = %(incident)s::uuid AND (o.id IS NULL OR o.action = ANY(%(sees)s::text[]))
  UNION ALL
  SELECT l.requested_at, 'c' || to_hex(l.id), 'ended', 'console', l.via, '', l.ref, l.action, '', '{}'
    FROM linked l WHERE l.via = 'keeper'
  UNION ALL
  SELECT v.at, 'd' || to_hex(v.id), CASE v.kind WHEN 'effect.decided' THEN 'decided' ELSE 'moved' END,
         v.body ->> 'by', '', '', l.ref, l.action, coalesce(v.body ->> 'to', ''), v.body::text
    FROM linked l JOIN LATERAL (SELECT ev.id, ev.at, ev.kind,
                                      convert_from(ev.body, 'UTF8')::jsonb -> 'body' AS body
           FROM log_event ev WHERE ev.operation_id = l.id AND ev.at >= l.since
            AND ev.kind IN ('operation.moved', 'effect.decided')) v ON true
   WHERE v.kind = 'effect.decided' OR v.body ->> 'to' <> 'running'
)
SELECT * FROM items i
 WHERE %(at)s::bigint IS NULL
    OR ((extract(epoch FROM i.at) * 1000000)::bigint, i.id) < (%(at)s::bigint, %(id)s::text)
 ORDER BY i.at DESC, i.id DESC LIMIT %(most)s::int
"""


def read(incident: UUID, sees: Iterable[str], cursor: str, limit: int) -> Page:
    """A page of the timeline, of operations those whose action is among `sees`.

    An unknown cursor begins at the newest. Whoever calls this has made sure that the viewer sees it.
    """
    most = max(1, min(limit, MOST))
    at, last = _place(cursor)
    wanted = {"incident": incident, "sees": list(sees), "at": at, "id": last, "most": most + 1}
    found = [_item(row) for row in database.rows(_ITEMS, wanted)]
    return Page(found[:most], _cursor(found[most - 1]) if len(found) > most else "")


def _item(row: Mapping[str, Any]) -> Item:
    return Item(**{**row, "body": json.loads(row["body"])})


def _cursor(item: Item) -> str:
    since = item.at - _EPOCH
    return f"{since // timedelta(microseconds=1)}-{item.id}"


def _place(cursor: str) -> tuple[int | None, str]:
    match = _CURSOR.fullmatch(cursor)
    return (int(match[1]), match[2]) if match else (None, "")
