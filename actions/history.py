"""What happened and what stands, read back for pages, the API and auditors. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from actions import database, states, subjects
from actions.models import Arrival, Attempt, Operation
from actions.standing import Facts, Overlap, facts, in_force, lane_now
from actions.states import EffectState, OperationState
from actions.subjects import Subject

MOST = 200


@dataclass(frozen=True, slots=True)
class Filter:
    """Which operations; an empty field leaves it open. `incident` is a number, `name` canonical."""

    action: str = ""
    state: str = ""
    incident: int | None = None
    kind: str = ""
    name: str = ""
    requested_by: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of operations, newest first; `next` is the cursor of the following one, or ""."""

    facts: list[Facts]
    next: str


@dataclass(frozen=True, slots=True)
class Present:
    """What is true of an operation now: whether it is in force, and what came after it."""

    in_force: str
    superseded_by: Facts | None
    overlaps: tuple[Overlap, ...]
    generation: int = 0  # the lane's newest, whatever came of it


def _facts(rows: QuerySet[Operation]) -> list[Facts]:
    ids = list(rows.values_list("id", flat=True))
    return facts_of(ids)


def facts_of(ids: Sequence[int]) -> list[Facts]:
    """The facts of these operations, in this order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, facts FROM operation_facts WHERE id = ANY(%s)", [list(ids)])
        found = {row[0]: json.loads(row[1]) for row in cursor.fetchall()}
    return [found[id] for id in ids if id in found]


def by_ref(ref: str, sees: Iterable[str]) -> Facts | None:
    """The operation of that ref, if its action is among those that the viewer may see."""
    row = database.value(
        "SELECT facts FROM operation_facts WHERE ref = %(ref)s AND facts ->> 'action' = ANY(%(sees)s)",
        {"ref": ref, "sees": list(sees)},
    )
    return facts(row)


def operations(sees: Iterable[str], wanted: Filter, cursor: str, limit: int) -> Page:
    """A page of operations; an unknown cursor begins at the newest."""
    rows = Operation.objects.filter(action__in=list(sees)).order_by("-id")
    for field, value in (
        ("action", wanted.action),
        ("state", wanted.state),
        ("subject__kind", wanted.kind),
        ("subject__name", wanted.name),
        ("requested_by__username", wanted.requested_by),
        ("incident_links__incident__number", wanted.incident),
    ):
        if value not in ("", None):
            rows = rows.filter(**{field: value})
    if cursor.isascii() and cursor.isdigit() and len(cursor) < 19:
        rows = rows.filter(id__lt=int(cursor))
    most = max(1, min(limit, MOST))
    found = _facts(rows[: most + 1])
    more = len(found) > most
    return Page(found[:most], str(found[most - 1]["id"]) if more else "")


def now_of(told: Facts) -> Present:
    """Whether the operation is in force now, judged by its realms and by its address."""
    lane = lane_now(Subject(told["kind"], told["name"], subjects.RULES), told["lane"])
    standing = lane.standing
    later = standing if standing and standing["generation"] > told["generation"] else None
    generation = lane.newest["generation"] if lane.newest else 0
    return Present(in_force(told, lane.known, lane.around), later, lane.overlaps, generation)


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a subject: its generations, newest first, and whether the newest is in force."""

    lane: str
    generations: list[Facts]
    in_force: str
    overlaps: tuple[Overlap, ...]


def lanes(kind: str, name: str, sees: Iterable[str]) -> list[Lane]:
    """Every lane of a subject that the viewer may see anything of."""
    rows = Operation.objects.filter(
        subject__kind=kind, subject__name=name, action__in=list(sees)
    ).order_by("-generation")
    by_lane: dict[str, list[Facts]] = {}
    for told in _facts(rows[:MOST]):
        by_lane.setdefault(told["lane"], []).append(told)
    found = []
    for lane, generations in sorted(by_lane.items()):
        now = now_of(generations[0])
        found.append(Lane(lane, generations, now.in_force, now.overlaps))
    return found


def arrivals(operation: int, most: int = MOST) -> list[dict[str, Any]]:
    """Every request that arrived for an operation, first to last, up to `most`."""
    return [_arrival(a) for a in _arrivals(operation).order_by("at", "id")[:most]]


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


def _arrival(a: Arrival) -> dict[str, Any]:
    return {
        "id": str(a.id),
        "at": a.at,
        "by": a.request.caller.username,
        "shown": a.request.caller.shown,
        "via": a.via,
        "token": a.token.name if a.token else None,
        "disposition": a.disposition,
        "code": a.code,
        "key": a.request.key,
        "incident": a.incident.ref if a.incident else None,
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

# One pass over the operation's own arrivals, whatever they are; what comes back is bounded.
_TALLY = """
WITH span AS (
  SELECT min(at) AS first, extract(epoch FROM max(at) - min(at)) AS length
    FROM arrival WHERE operation_id = %(operation)s)
SELECT least(floor(%(marks)s * extract(epoch FROM a.at - s.first) / nullif(s.length, 0)),
             %(marks)s - 1) AS mark,
       a.disposition, r.caller_id = %(viewer)s::uuid AS mine,
       CASE WHEN a.disposition = 'resumed' THEN c.username END AS by,
       count(*), min(a.at) AS first, max(a.at) AS last
  FROM span s CROSS JOIN arrival a JOIN request r ON r.id = a.request_id
  JOIN caller c ON c.id = r.caller_id
 WHERE a.operation_id = %(operation)s
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


def story(operation: int, counted: Tally, ends: int) -> Story:
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
    middle = [_arrival(a) for a in between.order_by("at", "id")[:MIDDLE]]
    return Story(
        first=[_arrival(a) for a in first[:ends]],
        middle=middle,
        last=[_arrival(a) for a in last[1:]],
        folded=counted.count - 2 * ends - len(middle),
        since=first[ends].at,
        until=last[0].at,
    )


def arrivals_after(
    operation: int, after: str, most: int = MOST
) -> tuple[list[dict[str, Any]], str]:
    """One page of the arrivals, and the cursor of the next or "". `after` is a cursor, or ""."""
    came = _arrivals(operation).order_by("at", "id")
    before = Arrival.objects.filter(operation=operation, id=_uuid(after)).first()
    if before is not None:
        came = came.filter(Q(at__gt=before.at) | Q(id__gt=before.id), at__gte=before.at)
    found = [_arrival(a) for a in came[: most + 1]]
    return found[:most], found[most - 1]["id"] if len(found) > most else ""


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def drafted_by(operation: int) -> str | None:
    """Who prepared the draft that an operation was confirmed from, if it was."""
    drafters = Operation.objects.filter(id=operation, draft__isnull=False)
    return drafters.values_list("draft__caller__username", flat=True).first()


def stood_before(told: Facts) -> Facts | None:
    """What took effect last on the operation's lane before it, and so still stands if it failed."""
    earlier = Operation.objects.filter(
        subject__kind=told["kind"], subject__name=told["name"], lane=told["lane"],
        generation__lt=told["generation"],
        state__in=[OperationState.SUCCEEDED, OperationState.PARTIAL],
    )  # fmt: skip
    found = _facts(earlier.order_by("-generation")[:1])
    return found[0] if found else None


def attempts(operation: int) -> list[dict[str, Any]]:
    """Every attempt at every effect of an operation, in order."""
    rows = Attempt.objects.filter(effect__operation=operation).values(
        "effect_id", "effect__realm__name", "effect__step", "number", "fence", "worker",
        "claimed_at", "call_started_at", "ended_at", "outcome", "found", "message", "late",
    )  # fmt: skip
    return [dict(row) for row in rows.order_by("effect__ord", "effect__realm__name", "number")]


def needs_a_person(sees: Iterable[str]) -> list[Facts]:
    """Operations that will not get further by themselves, or are in doubt, newest first."""
    doubted = Operation.objects.filter(id=OuterRef("id"), effects__state=EffectState.IN_DOUBT)
    rows = Operation.objects.filter(
        Q(state__in=[OperationState.PARKED, OperationState.PARTIAL, OperationState.FAILED])
        | Q(Exists(doubted), state=OperationState.RUNNING),
        ~Exists(_later()),
        action__in=list(sees),
    )
    return _facts(rows.order_by("-id")[:50])


def _later() -> QuerySet[Operation]:
    return Operation.objects.filter(
        subject=OuterRef("subject"), lane=OuterRef("lane"), generation__gt=OuterRef("generation")
    ).exclude(state__in=sorted(states.VOID))


def overdue_ends(sees: Iterable[str], after: timedelta) -> list[Facts]:
    """Operations whose end was due longer ago than `after` and is not carried out."""
    unended = Operation.objects.filter(
        ends_at__isnull=False, ended_at__isnull=True, ends_at__lt=Now() - after
    )
    lifts = Operation.objects.filter(
        because__startswith="end of @", requested_at__lt=Now() - after,
        state__in=[OperationState.APPROVED, OperationState.RUNNING, OperationState.PARKED,
                   OperationState.FAILED, OperationState.PARTIAL],
    )  # fmt: skip
    seen = list(sees)
    return _facts((unended | lifts).filter(action__in=seen).order_by("ends_at")[:50])


def blocked(name: str) -> int:
    """How many networks the list `name` holds as blocked."""
    return int(
        database.value(
            "SELECT count(*) FROM blocklist_entry WHERE list = %(list)s AND blocked", {"list": name}
        )
    )
