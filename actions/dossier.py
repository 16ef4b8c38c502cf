"""Incidents read back: one that the viewer sees, its people, and the list of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from actions import database, sight
from actions.errors import NotFound
from actions.incident_rules import NO_INCIDENT
from actions.models import Incident
from actions.policy import granted

MOST = 50
MOST_PEOPLE = 200


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who sees the incident though it is restricted; since when, and by whom."""

    username: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of incidents, open ones first; `next` is the cursor of the following page, or ""."""

    incidents: list[Incident]
    next: str


def find(number: int | None, viewer: UUID) -> Incident:
    """The incident of that number. Raises NotFound, the same where the viewer does not see it."""
    found = (
        Incident.objects.select_related("opened_by", "lead")
        .filter(sight.filtered(viewer, "id"), number=number or 0)
        .first()
    )
    if found is None:
        raise NotFound("no_incident", NO_INCIDENT)
    return found


def incidents(viewer: UUID, state: str, cursor: str, limit: int) -> Listed:
    """A page of the incidents that the viewer sees, those that are open first.

    An unknown cursor begins at the newest.
    """
    rows = Incident.objects.filter(sight.filtered(viewer, "id"))
    rows = rows.select_related("opened_by", "lead").order_by("-state", "-opened_at", "-number")
    if state:
        rows = rows.filter(state=state)
    if cursor.isascii() and cursor.isdigit() and len(cursor) < 10:
        last = Incident.objects.filter(sight.filtered(viewer, "id"), number=int(cursor)).first()
        if last is not None:
            at, number = last.opened_at, last.number
            earlier = Q(opened_at__lt=at) | Q(opened_at=at, number__lt=number)
            rows = rows.filter(Q(state__lt=last.state) | (Q(state=last.state) & earlier))
    most = max(1, min(limit, MOST))
    found = list(rows[: most + 1])
    more = len(found) > most
    return Listed(found[:most], str(found[most - 1].number) if more else "")


_MEMBERS = """
SELECT c.username, b.username AS by, m.added_at AS at FROM incident_member m
  JOIN caller c ON c.id = m.caller_id JOIN caller b ON b.id = m.added_by_id
 WHERE m.incident_id = %(incident)s::uuid AND m.removed_at IS NULL ORDER BY m.added_at, c.username
"""


def members(incident: UUID) -> list[Member]:
    """Who is a member of it, in the order in which they came."""
    return [Member(**row) for row in database.rows(_MEMBERS, {"incident": incident})]


_MEMBERS_OF = """
SELECT m.incident_id, array_agg(c.username ORDER BY m.added_at, c.username) AS names
  FROM incident_member m JOIN caller c ON c.id = m.caller_id
 WHERE m.incident_id = ANY(%(incidents)s::uuid[]) AND m.removed_at IS NULL GROUP BY 1
"""


def members_of(incidents: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The user names of the members of many, in one query."""
    found = database.rows(_MEMBERS_OF, {"incidents": list(incidents)})
    return {row["incident_id"]: row["names"] for row in found}


_LEADERS = f"""
SELECT c.username FROM caller c WHERE c.kind = 'person' AND c.is_active
   AND EXISTS (SELECT FROM catalogue_entry n WHERE {granted("entry", "ask_entry", "n.id", "c.id")})
 ORDER BY c.username LIMIT {MOST_PEOPLE}
"""  # noqa: S608 - our own constants


def may_lead() -> list[str]:
    """People who could lead an incident, by user name."""
    return [row["username"] for row in database.rows(_LEADERS, {})]
