"""What is counted for pages: how the console itself does, open incidents, how actions are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from actions import database, sight
from actions.models import Arrival, EntryGroupGrant, EntryUserGrant, Incident, Subject
from actions.policy import Sight, granted, in_sight

MOST_INCIDENTS = 50
DAYS = 30


@dataclass(frozen=True, slots=True)
class Health:
    """How recording and carrying out do, at one moment of the database's clock."""

    read_at: datetime
    read_only: bool
    last_record: datetime | None
    keepers: int
    keeper_seen: datetime | None
    oldest_due: datetime | None  # since when the effect that has waited longest has been due
    held_since: datetime | None
    held_for: float | None  # seconds that the clock had jumped
    failed_over: datetime | None = None  # when, while commits may be missing and nothing is sent

    @property
    def waited(self) -> float:
        """Seconds that the oldest due effect has been due; 0 when none is."""
        return (self.read_at - self.oldest_due).total_seconds() if self.oldest_due else 0.0


_HEALTH = """
SELECT clock_timestamp() AS read_at,
  current_setting('transaction_read_only') = 'on' AS read_only,
  (SELECT at FROM log_event ORDER BY id DESC LIMIT 1) AS last_record,
  (SELECT count(*) FROM heartbeat
    WHERE role = 'keeper' AND at > clock_timestamp() - interval '10 seconds') AS keepers,
  (SELECT max(at) FROM heartbeat WHERE role = 'keeper') AS keeper_seen,
  (SELECT min(first.run_at) FROM realm m CROSS JOIN LATERAL (SELECT e.run_at FROM effect e
     WHERE e.realm_id = m.id AND e.state = 'ready' AND e.run_at <= clock_timestamp()
     ORDER BY e.run_at LIMIT 1) first) AS oldest_due,
  h.noticed_at AS held_since, h.seconds AS held_for,
  CASE WHEN NOT timeline_confirmed() THEN coalesce((SELECT max(noticed_at) FROM timeline
    WHERE confirmed_at IS NULL), clock_timestamp()) END AS failed_over
  FROM (SELECT 1) AS always LEFT JOIN ends_hold h ON h.released_at IS NULL
"""


def health() -> Health:
    """How the console does now."""
    return Health(**database.one(_HEALTH, {}))


@dataclass(frozen=True, slots=True)
class Opened:
    """An open incident, its lead, its operations by state; `in_doubt` is counted on its own."""

    ref: str
    title: str
    lead: str
    at: datetime
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class OpenIncidents:
    """The newest of the open incidents, and how many are open."""

    newest: list[Opened]
    total: int


def open_incidents(sees: Sight, viewer: UUID) -> OpenIncidents:
    """Incidents that are open and that the viewer sees, newest first."""
    rows = Incident.objects.filter(sight.filtered(viewer, "id"), state=Incident.State.OPEN)
    newest = list(rows.select_related("lead").order_by("-opened_at", "-number")[:MOST_INCIDENTS])
    counted = states_of([incident.id for incident in newest], sees)
    told = [
        Opened(i.ref, i.title, i.lead.username, i.opened_at, counted.get(i.id, {})) for i in newest
    ]
    return OpenIncidents(told, len(told) if len(told) < MOST_INCIDENTS else rows.count())


_STATES = f"""
SELECT l.incident_id, CASE WHEN o.state IN ('approved', 'running') AND EXISTS (
         SELECT FROM effect e WHERE e.operation_id = o.id AND e.state = 'in_doubt')
       THEN 'in_doubt' ELSE o.state END AS state, count(*)
  FROM operation_incident l JOIN operation o ON o.id = l.operation_id JOIN subject s ON s.id = o.subject_id
 WHERE l.incident_id = ANY(%(ids)s::uuid[]) AND {in_sight("s.kind", "s.name", "o.action")}
 GROUP BY 1, 2
"""  # noqa: S608 - our own constants


def states_of(incidents: Sequence[UUID], sees: Sight) -> dict[UUID, dict[str, int]]:
    """For each incident, how many of its operations are in which state."""
    counted: dict[UUID, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_STATES, {"ids": list(incidents), **sees.params()})
        for incident, state, count in cursor.fetchall():
            counted.setdefault(incident, {})[state] = count
    return counted


@dataclass(frozen=True, slots=True)
class Usage:
    """How an action was used lately. `collapsed` requests changed nothing; `doubted` is operations."""

    operations: int = 0
    requests: int = 0
    collapsed: int = 0
    doubted: int = 0
    last_by: str = ""
    last_by_console: bool = False
    last_at: datetime | None = None
    last_ref: str = ""


# An attempt whose process never came back keeps no outcome, and its effect went on without it.
_USAGE = f"""
WITH lately AS MATERIALIZED (
  SELECT o.id, o.action, o.arrival_count FROM operation o JOIN subject s ON s.id = o.subject_id
   WHERE {in_sight("s.kind", "s.name", "o.action")}
     AND o.requested_at > clock_timestamp() - %(days)s::int * interval '1 day'
), made AS (
  SELECT l.action, count(*) AS changed FROM lately l JOIN arrival a ON a.operation_id = l.id
   WHERE a.disposition IN ('created', 'resumed') GROUP BY 1
), doubted AS (
  SELECT l.action, count(DISTINCT l.id) AS doubted
    FROM lately l JOIN effect e ON e.operation_id = l.id JOIN attempt t ON t.effect_id = e.id
   WHERE t.outcome = 'unknown' OR t.late
      OR (t.ended_at IS NULL AND t.call_started_at IS NOT NULL AND e.fence > t.fence)
   GROUP BY 1
), last AS (
  SELECT DISTINCT ON (o.action) o.action, c.username, c.kind, o.requested_at, o.ref
    FROM lately l JOIN operation o ON o.id = l.id JOIN caller c ON c.id = o.requested_by_id
   ORDER BY o.action, o.id DESC
)
SELECT l.action, count(*) AS operations, sum(l.arrival_count)::bigint AS requests,
  sum(l.arrival_count)::bigint - coalesce(max(m.changed), 0) AS collapsed,
  coalesce(max(d.doubted), 0) AS doubted,
  max(x.username) AS last_by, max(x.kind) = 'console' AS last_by_console,
  max(x.requested_at) AS last_at, max(x.ref) AS last_ref
  FROM lately l LEFT JOIN made m USING (action) LEFT JOIN doubted d USING (action)
  LEFT JOIN last x USING (action)
 GROUP BY l.action
"""  # noqa: S608 - our own constants


def usage(sees: Sight) -> dict[str, Usage]:
    """By action, how it was used in the last 30 days; actions that were not are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_USAGE, {**sees.params(), "days": DAYS})
        return {action: Usage(*rest) for action, *rest in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class Askers:
    """Who may ask for an action: everybody in these groups, and these by themselves."""

    groups: list[str] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)


def askers(action: str) -> Askers:
    """Who may ask for `action`."""
    wanted: dict[str, Any] = {
        "content_object__name": action,
        "permission__codename": "ask_entry",
    }
    groups = EntryGroupGrant.objects.filter(**wanted).values_list("group__name", flat=True)
    callers = EntryUserGrant.objects.filter(**wanted).values_list("user__username", flat=True)
    return Askers(sorted(groups), sorted(callers))


@dataclass(frozen=True, slots=True)
class RealmSeen:
    """A realm that the viewer may see."""

    name: str
    title: str
    connector: str


_REALMS = f"""
SELECT m.name, m.title, m.connector FROM realm m
 WHERE m.enabled AND {granted("realm", "see_realm", "m.id", "%(caller)s::uuid")} ORDER BY m.name
"""  # noqa: S608 - our own constants


def realms(caller: UUID) -> list[RealmSeen]:
    """The realms in use that this caller may see."""
    with connection.cursor() as cursor:
        cursor.execute(_REALMS, {"caller": caller})
        return [RealmSeen(*row) for row in cursor.fetchall()]


_SUBJECTS = f"""
SELECT max(o.id) AS newest FROM (SELECT o.id, o.subject_id FROM operation o
  JOIN subject s ON s.id = o.subject_id
  WHERE {in_sight("s.kind", "s.name", "o.action")} ORDER BY o.id DESC LIMIT 500) o
 GROUP BY o.subject_id ORDER BY newest DESC LIMIT 20
"""  # noqa: S608 - our own constants


def last_subjects(sees: Sight) -> list[int]:
    """The newest operation of each of the 20 subjects last acted on, among the last 500 operations."""
    with connection.cursor() as cursor:
        cursor.execute(_SUBJECTS, sees.params())
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One time that a request came for an operation, and what it was told."""

    at: datetime
    by: str
    via: str
    token: str | None
    told: str
    operation: str


def last_arrivals(operations: Sequence[int], most: int = 50) -> list[Arrived]:
    """The newest requests that arrived for any of these operations, newest first."""
    rows = Arrival.objects.filter(operation__in=operations).order_by("-at", "-id")
    return [
        Arrived(*row)
        for row in rows.values_list(
            "at", "request__caller__username", "via", "token__name", "disposition", "operation__ref"
        )[:most]
    ]


def acted_on(kind: str, name: str) -> bool:
    """Whether anything was ever done to a subject of that canonical name."""
    return Subject.objects.filter(kind=kind, name=name).exists()
