"""Whether many operations are in force now, in one query however many they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from actions import subjects
from actions.force import anywhere, in_force
from actions.known import Known, known_of
from actions.standing import Facts
from actions.subjects import Subject

# What lies within a network does not decide whether it is in force: only wider ones are looked up.
_LANES = """
WITH lane AS MATERIALIZED (
  SELECT DISTINCT o.subject_id, o.lane, s.kind, s.name
    FROM operation o JOIN subject s ON s.id = o.subject_id WHERE o.id = ANY(%(ids)s::bigint[])
), around AS MATERIALIZED (
  SELECT a.name, w.id, w.name AS wider
    FROM unnest(%(names)s::text[], %(wider)s::text[]) AS a(name, wider)
    JOIN subject w ON w.kind = 'network' AND w.name = a.wider
)
SELECT l.kind, l.name, l.lane, last_known(l.subject_id, l.lane) AS known,
  (SELECT max(n.generation) FROM operation n
    WHERE n.subject_id = l.subject_id AND n.lane = l.lane
      AND n.state NOT IN ('declined', 'expired', 'cancelled', 'failed')) AS generation,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('realm', k.realm_id, 'desired', k.desired,
                                                'state', k.state)), '[]'::jsonb)
     FROM around a
     JOIN LATERAL (SELECT DISTINCT ON (e.realm_id) e.realm_id, e.desired, e.state FROM effect e
                    WHERE e.subject_id = a.id AND e.lane = l.lane
                      AND e.state IN ('executing', 'in_doubt', 'parked', 'succeeded')
                    ORDER BY e.realm_id, e.id DESC) k
       ON k.state <> 'succeeded' OR k.desired @> '{"blocked": true}'
    WHERE l.kind = 'network' AND a.name = l.name) AS around
  FROM lane l
"""


@dataclass(frozen=True, slots=True)
class Force:
    """Whether an operation is in force (`yes`, `no`, `unknown`), and the newest that did something.

    `anywhere`: whether it is in any realm, though it may not be in all. `by_wider`: it would be judged
    otherwise if no ban of a wider network stood.
    """

    in_force: str
    anywhere: str
    newest: int
    by_wider: bool


def of_one(facts: Facts, known: tuple[Known, ...], around: tuple[Known, ...], newest: int) -> Force:
    """Whether one operation is in force, by what is known of its lane."""
    judged = in_force(facts, known, around)
    by_wider = judged != in_force(facts, known)
    return Force(judged, anywhere(facts, known, around), newest, by_wider)


def of_many(told: Sequence[Facts]) -> dict[int, Force]:
    """By the operations' ids, as `history.now_of` would say of each."""
    if not told:
        return {}
    lanes = {(lane["kind"], lane["name"], lane["lane"]): lane for lane in _lanes(told)}
    found = {}
    for facts in told:
        lane = lanes[facts["kind"], facts["name"], facts["lane"]]
        found[facts["id"]] = of_one(
            facts, known_of(lane["known"]), _around(lane["around"]), lane["generation"] or 0
        )
    return found


def _around(text: str) -> tuple[Known, ...]:
    return tuple(Known(k["realm"], k["desired"], k["state"]) for k in json.loads(text))


def _lanes(told: Sequence[Facts]) -> list[dict[str, Any]]:
    pairs = [
        (name, wider)
        for name in {facts["name"] for facts in told if facts["kind"] == "network"}
        for wider in subjects.wider(Subject("network", name, subjects.RULES))
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _LANES,
            {
                "ids": [facts["id"] for facts in told],
                "names": [name for name, _ in pairs],
                "wider": [wider for _, wider in pairs],
            },
        )
        columns = [column.name for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
