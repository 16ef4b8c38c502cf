"""Every request that arrived for an operation, however many: counted, folded, or page by page."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from actions import sight
from actions.models import Arrival

MOST = 200


def arrivals(operation: int, viewer: UUID, most: int = MOST) -> list[dict[str, Any]]:
    """Every request that arrived for an operation, first to last, up to `most`.

    Each with its incident, if the viewer sees that; its key only where it is the viewer's own.
    """
    return _told(_arrivals(operation).order_by("at", "id")[:most], viewer)


def _arrivals(operation: int) -> QuerySet[Arrival]:
    return (
        Arrival.objects.filter(operation=operation)
        .select_related("request__caller", "token", "incident")
        .only(
            "id", "at", "via", "disposition", "code", "request__key", "request__caller__username",
            "request__caller__first_name", "request__caller__last_name", "token__name",
            "incident__number",
        )
    )  # fmt: skip


def _told(rows: Iterable[Arrival], viewer: UUID) -> list[dict[str, Any]]:
    """Arrivals as the viewer may know them; one more query, and none where none names an incident."""
    rows = list(rows)
    seen = sight.seen(viewer, {a.incident.number for a in rows if a.incident})
    return [_arrival(a, viewer, seen) for a in rows]


def _arrival(a: Arrival, viewer: UUID, seen: Collection[int]) -> dict[str, Any]:
    return {
        "id": str(a.id),
        "at": a.at,
        "by": a.request.caller.username,
        "shown": a.request.caller.shown,
        "via": a.via,
        "token": a.token.name if a.token else None,
        "disposition": a.disposition,
        "code": a.code,
        "request": a.request_id,
        "key": a.request.key if a.request.caller_id == viewer else None,
        "incident": a.incident.ref if a.incident and a.incident.number in seen else None,
    }


@dataclass(frozen=True, slots=True)
class Mark:
    """So many requests that arrived about the same time and were told the same; `at` is the first."""

    at: datetime
    disposition: str
    count: int


@dataclass(frozen=True, slots=True)
class Tally:
    """All requests that arrived for an operation, counted: every figure of its page.

    `mine` counts the viewer's by what they were told; `resumed` names who had the rest run, and
    when, in order; `marks` are in order, at most MARKS times the kinds of answers.
    """

    count: int
    last_at: datetime | None
    mine: dict[str, int]
    resumed: tuple[tuple[str, datetime], ...]
    marks: tuple[Mark, ...]


MARKS = 60
MIDDLE = 30

# One pass over the operation's own arrivals, whatever they are; what comes back is bounded. Counted by
# request before anybody is asked who made it: statistics of a quiet day would have a storm's arrivals
# joined with each request in turn, which took 13 s for 12,000.
_TALLY = """
WITH span AS (
  SELECT min(at) AS first, extract(epoch FROM max(at) - min(at)) AS length
    FROM arrival WHERE operation_id = %(operation)s),
counted AS MATERIALIZED (
  SELECT least(floor(%(marks)s * extract(epoch FROM a.at - s.first) / nullif(s.length, 0)),
               %(marks)s - 1) AS mark,
         a.disposition, a.request_id, count(*) AS n, min(a.at) AS first, max(a.at) AS last
    FROM span s CROSS JOIN arrival a WHERE a.operation_id = %(operation)s GROUP BY 1, 2, 3)
SELECT t.mark, t.disposition, t.caller = %(viewer)s::uuid AS mine,
       CASE WHEN t.disposition = 'resumed'
            THEN (SELECT c.username FROM caller c WHERE c.id = t.caller) END AS by,
       sum(t.n)::bigint, min(t.first) AS first, max(t.last) AS last
  FROM (SELECT k.*, (SELECT r.caller_id FROM request r WHERE r.id = k.request_id) AS caller
          FROM counted k OFFSET 0) t
 GROUP BY 1, 2, 3, 4 ORDER BY first
"""


def tally(operation: int, viewer: UUID) -> Tally:
    """Count the requests that arrived for an operation, and the viewer's own among them."""
    with connection.cursor() as cursor:
        cursor.execute(_TALLY, {"operation": operation, "viewer": viewer, "marks": MARKS})
        rows = cursor.fetchall()
    mine: dict[str, int] = {}
    marks: dict[tuple[Any, str], Mark] = {}
    resumed = []
    for mark, told, own, by, count, first, _ in rows:
        if own:
            mine[told] = mine.get(told, 0) + count
        if by is not None:
            resumed.append((by, first))
        known = marks.get((mark, told), Mark(first, told, 0))
        marks[mark, told] = Mark(known.at, told, known.count + count)
    return Tally(
        count=sum(row[4] for row in rows),
        last_at=max(row[6] for row in rows) if rows else None,
        mine=mine,
        resumed=tuple(resumed),
        marks=tuple(marks.values()),
    )


@dataclass(frozen=True, slots=True)
class Story:
    """Requests that arrived: the first, of the middle those told something unusual, the last.

    `folded` are those left out of the middle, between `since` and `until`.
    """

    first: list[dict[str, Any]]
    middle: list[dict[str, Any]]
    last: list[dict[str, Any]]
    folded: int
    since: datetime
    until: datetime


def story(operation: int, viewer: UUID, counted: Tally, ends: int) -> Story:
    """The arrivals as a page shows them when there are many: `ends` first and last, MIDDLE between.

    `counted` says how far to read, so that figures and rows agree though more arrive meanwhile.
    """
    came = _arrivals(operation).filter(at__lte=counted.last_at)
    first = list(came.order_by("at", "id")[: ends + 1])
    last = list(came.order_by("-at", "-id")[: ends + 1])[::-1]
    between = came.exclude(disposition="existing").filter(
        Q(at__gt=first[ends - 1].at) | Q(at=first[ends - 1].at, id__gt=first[ends - 1].id),
        Q(at__lt=last[1].at) | Q(at=last[1].at, id__lt=last[1].id),
        at__range=(first[ends - 1].at, last[1].at),
    )
    middle = between.order_by("at", "id")[:MIDDLE]
    told = _told([*first[:ends], *middle, *last[1:]], viewer)
    return Story(
        first=told[:ends],
        middle=told[ends : len(told) - ends],
        last=told[len(told) - ends :],
        folded=counted.count - len(told),
        since=first[ends].at,
        until=last[0].at,
    )


def arrivals_after(
    operation: int, viewer: UUID, after: str, most: int = MOST
) -> tuple[list[dict[str, Any]], str]:
    """One page of the arrivals, and the cursor of the next or "". `after` is a cursor, or ""."""
    came = _arrivals(operation).order_by("at", "id")
    before = Arrival.objects.filter(operation=operation, id=_uuid(after)).first()
    if before is not None:
        came = came.filter(Q(at__gt=before.at) | Q(id__gt=before.id), at__gte=before.at)
    found = _told(came[: most + 1], viewer)
    return found[:most], found[most - 1]["id"] if len(found) > most else ""


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
