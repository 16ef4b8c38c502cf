"""What an incident leaves when it is closed: what is in force, under way, or waits for somebody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from actions import database, history, now
from actions.policy import rights
from actions.standing import Facts
from actions.states import EffectState, OperationState

MOST = 200
"""How many operations of an incident are looked at, newest first; the rest are counted."""

MOST_COUNTED = 1000

GROUPS = ("in_force", "in_part", "under_way", "in_doubt", "parked", "waits", "not_known")
"""In force; in some realms alone; about to start or running; in doubt; for a person; waiting; not known."""


@dataclass(frozen=True, slots=True)
class Left:
    """The operations that the viewer may see, by group; how many more there are of either kind.

    `digest` stands for all of it, "" when there is nothing: who confirms it has seen just that.
    """

    groups: dict[str, list[Facts]]
    unseen: int
    older: int
    digest: str


# What never took effect, or is taken back, leaves nothing.
_CANDIDATES = """
SELECT o.id, count(*) OVER () AS of FROM operation_incident l JOIN operation o ON o.id = l.operation_id
 WHERE l.incident_id = %(incident)s::uuid
   AND (o.state NOT IN ('declined', 'expired', 'cancelled', 'failed', 'superseded')
        OR EXISTS (SELECT FROM effect e WHERE e.operation_id = o.id
            AND (e.state IN ('executing', 'in_doubt', 'parked', 'succeeded')
                 OR EXISTS (SELECT FROM attempt a WHERE a.effect_id = e.id AND a.number = e.attempts
                               AND a.outcome = 'forgotten'))))
 ORDER BY o.id DESC LIMIT %(most)s::int
"""


def left(incident: UUID, viewer: UUID) -> Left:
    """What closing the incident now would leave as it is."""
    found = database.rows(_CANDIDATES, {"incident": incident, "most": MOST})
    told = history.facts_of([row["id"] for row in found])
    sees = rights(viewer).sees
    grouped = list(_grouped(told))
    older = (found[0]["of"] if found else 0) - len(found)
    groups: dict[str, list[Facts]] = {group: [] for group in GROUPS}
    for facts, group in grouped:
        if facts["action"] in sees:
            groups[group].append(facts)
    unseen = sum(facts["action"] not in sees for facts, _ in grouped)
    return Left(groups, unseen, older, _digest(grouped, older))


def _grouped(told: Sequence[Facts]) -> Iterator[tuple[Facts, str]]:
    """Each operation that leaves something, and what."""
    forces = now.of_many(told)
    for facts in told:
        match facts["state"]:
            case OperationState.AWAITING_APPROVAL:
                yield facts, "waits"
            case OperationState.PARKED:
                yield facts, "parked"
            case OperationState.APPROVED | OperationState.RUNNING:
                yield facts, "in_doubt" if _doubted(facts) else "under_way"
            case _ if forces[facts["id"]].in_force == "yes":
                yield facts, "in_force"
            case _ if forces[facts["id"]].in_force == "unknown":
                yield facts, "not_known"
            # As a whole it is not; what is so in one realm stays there all the same.
            case _ if forces[facts["id"]].anywhere == "yes":
                yield facts, "in_part"
            case _ if forces[facts["id"]].anywhere == "unknown":
                yield facts, "not_known"


def _doubted(facts: Facts) -> bool:
    return any(effect["state"] == EffectState.IN_DOUBT for effect in facts["effects"])


def _digest(grouped: Iterable[tuple[Facts, str]], older: int) -> str:
    content = sorted((facts["ref"], group, facts["ends_at"] or "") for facts, group in grouped)
    if not content and not older:
        return ""
    return hashlib.sha256(json.dumps([content, older]).encode()).hexdigest()[:32]


_LINKED = """
SELECT l.incident_id, o.id FROM operation_incident l JOIN operation o ON o.id = l.operation_id
 WHERE l.incident_id = ANY(%(incidents)s::uuid[]) AND o.action = ANY(%(sees)s::text[])
   AND o.state IN ('running', 'succeeded', 'partial', 'parked')
 ORDER BY o.id DESC LIMIT %(most)s::int
"""


def in_force_of(incidents: Sequence[UUID], sees: Iterable[str]) -> dict[UUID, int]:
    """By incident, how many of its operations are in force in any realm, of the 1,000 newest of them all."""
    params = {"incidents": list(incidents), "sees": list(sees), "most": MOST_COUNTED}
    linked = database.rows(_LINKED, params)
    told = history.facts_of(sorted({row["id"] for row in linked}))
    forces = now.of_many(told)
    counted: dict[UUID, int] = {}
    for row in linked:
        if forces[row["id"]].anywhere == "yes":
            counted[row["incident_id"]] = counted.get(row["incident_id"], 0) + 1
    return counted
