"""What happened and what stands, read back for pages, the API and auditors. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import Now

from actions import database, states, subjects
from actions.approvals import moved_to
from actions.force import in_force, verified
from actions.known import Known, Overlap
from actions.models import Attempt, Operation
from actions.policy import Sight
from actions.standing import Facts, facts, lane_now
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
    generation: int = 0  # the lane's newest, whatever came of it, but for one that only waits
    known: tuple[Known, ...] = ()
    verified_at: str | None = None
    read_at: str | None = None


def _facts(rows: QuerySet[Operation]) -> list[Facts]:
    ids = list(rows.values_list("id", flat=True))
    return facts_of(ids)


def facts_of(ids: Sequence[int]) -> list[Facts]:
    """The facts of these operations, in this order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, facts FROM operation_facts WHERE id = ANY(%s)", [list(ids)])
        found = {row[0]: json.loads(row[1]) for row in cursor.fetchall()}
    return [found[id] for id in ids if id in found]


def by_ref(ref: str, sees: Sight) -> Facts | None:
    """The operation of that ref, if the viewer may see its action, and its realm where it has one."""
    row = database.value("SELECT facts FROM operation_facts WHERE ref = %(ref)s", {"ref": ref})
    told = facts(row)
    return told if told and sees.tells(told) else None


def in_sight(rows: QuerySet[Operation], sees: Sight) -> QuerySet[Operation]:
    """Those of these operations that the viewer may see."""
    before = (F("subject__name"), Value(":"), Value(1))
    realm = Func(*before, function="split_part", output_field=TextField())
    anywhere = ~Q(subject__kind__in=sorted(subjects.IN_ONE_REALM))
    return rows.alias(in_realm=realm).filter(
        anywhere | Q(in_realm__in=list(sees.realms)), action__in=list(sees)
    )


def operations(sees: Sight, wanted: Filter, cursor: str, limit: int) -> Page:
    """A page of operations; an unknown cursor begins at the newest."""
    rows = in_sight(Operation.objects.all(), sees).order_by("-id")
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
    generation = moved_to(lane.newest)
    judged, found = in_force(told, lane.known, lane.around), verified(told, lane.known)
    return Present(
        judged, later, lane.overlaps, generation, lane.known, found.verified_at, found.read_at
    )


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a subject: its generations, newest first, and whether the newest is in force."""

    lane: str
    generations: list[Facts]
    in_force: str
    overlaps: tuple[Overlap, ...]


def lanes(kind: str, name: str, sees: Sight) -> list[Lane]:
    """Every lane of a subject that the viewer may see anything of."""
    if not sees.shows(kind, name):
        return []
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


def needs_a_person(sees: Sight) -> list[Facts]:
    """Operations that will not get further by themselves, or are in doubt, newest first."""
    doubted = Operation.objects.filter(id=OuterRef("id"), effects__state=EffectState.IN_DOUBT)
    rows = Operation.objects.filter(
        Q(state__in=[OperationState.PARKED, OperationState.PARTIAL, OperationState.FAILED])
        | Q(Exists(doubted), state=OperationState.RUNNING),
        ~Exists(_later()),
    )
    return _facts(in_sight(rows, sees).order_by("-id")[:50])


def _later() -> QuerySet[Operation]:
    return Operation.objects.filter(
        subject=OuterRef("subject"), lane=OuterRef("lane"), generation__gt=OuterRef("generation")
    ).exclude(state__in=sorted(states.VOID))


def overdue_ends(sees: Sight, after: timedelta) -> list[Facts]:
    """Operations whose end was due longer ago than `after` and is not carried out."""
    unended = Operation.objects.filter(
        ends_at__isnull=False, ended_at__isnull=True, ends_at__lt=Now() - after
    )
    lifts = Operation.objects.filter(
        because__startswith="end of @", requested_at__lt=Now() - after,
        state__in=[OperationState.APPROVED, OperationState.RUNNING, OperationState.PARKED,
                   OperationState.FAILED, OperationState.PARTIAL],
    )  # fmt: skip
    return _facts(in_sight(unended | lifts, sees).order_by("ends_at")[:50])


def blocked(name: str) -> int:
    """How many networks the list `name` holds as blocked."""
    return int(
        database.value(
            "SELECT count(*) FROM blocklist_entry WHERE list = %(list)s AND blocked", {"list": name}
        )
    )
