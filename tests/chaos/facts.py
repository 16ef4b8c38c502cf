"""The final read: what the database, its log, the API and the outside systems' ledgers say."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
import psycopg

from actions import keys
from tests.chaos.scene import Scene
from tests.console_process import Console


class CannotRead(Exception):
    """A part of the final read failed, so that nothing can be said of the run."""


@dataclass
class Facts:
    """Everything that the checker judges; plain values, so that it can be given others."""

    history: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    requests: dict[tuple[str, str], str | None]  # (client, key) -> ref
    operations: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    events: list[dict[str, Any]]
    in_force: dict[str, str] = field(default_factory=dict)  # ref -> what is told now


_REQUESTS = """
SELECT c.username, q.key, o.ref FROM request q JOIN caller c ON c.id = q.caller_id
  LEFT JOIN operation o ON o.id = q.operation_id
"""
_OPERATIONS = """
SELECT o.id, o.ref, o.state, o.action, o.generation, o.event_count, s.kind, s.name
  FROM operation o JOIN subject s ON s.id = o.subject_id ORDER BY o.id
"""
_EFFECTS = """
SELECT e.id, o.ref, r.name, e.realm_id::text, e.step, e.redo, e.state, e.desired->>'blocked',
       s.kind, s.name, o.action, o.generation,
       (SELECT count(*) FROM attempt a WHERE a.effect_id = e.id AND a.call_started_at IS NOT NULL),
       s.name
  FROM effect e JOIN operation o ON o.id = e.operation_id JOIN realm r ON r.id = e.realm_id
  JOIN subject s ON s.id = o.subject_id ORDER BY e.id
"""
_EVENTS = """
SELECT operation_id, number, kind, convert_from(body, 'UTF8') FROM log_event
 WHERE operation_id IS NOT NULL ORDER BY operation_id, number
"""


def read(scene: Scene, history: list[dict[str, Any]]) -> Facts:
    """Raises CannotRead."""
    try:
        console = scene.console
        facts = Facts(
            history=history,
            ledger=scene.ledger(),
            requests={(c, k): ref for c, k, ref in console.rows(_REQUESTS)},
            operations=_operations(console),
            effects=_effects(console),
            events=_events(console),
        )
        facts.in_force = _in_force(console, [o["ref"] for o in facts.operations])
    except (psycopg.Error, httpx.HTTPError, OSError, ValueError, KeyError) as error:
        raise CannotRead(f"{type(error).__name__}: {error}") from error
    return facts


def _operations(console: Console) -> list[dict[str, Any]]:
    names = ("id", "ref", "state", "action", "generation", "event_count", "kind", "name")
    return [dict(zip(names, row, strict=True)) for row in console.rows(_OPERATIONS)]


def _effects(console: Console) -> list[dict[str, Any]]:
    found = []
    for row in console.rows(_EFFECTS):
        id, ref, realm, realm_id, step, redo, state, blocked, kind, name, action, generation = row[
            :12
        ]
        operation = keys.operation_key(action, kind, name, generation)
        found.append(
            {
                "id": id,
                "ref": ref,
                "realm": realm,
                "realm_id": realm_id,
                "step": step,
                "redo": redo,
                "state": state,
                "blocked": blocked == "true",
                "key": keys.effect_key(operation, realm_id, step),
                "called": row[12],
                "subject": row[13],
            }
        )
    return found


def _events(console: Console) -> list[dict[str, Any]]:
    return [
        {"operation": operation, "number": number, "kind": kind, "body": json.loads(body)["body"]}
        for operation, number, kind, body in console.rows(_EVENTS)
    ]


def _in_force(console: Console, refs: list[str]) -> dict[str, str]:
    api = console.api()

    def told(ref: str) -> str:
        answer = api.get(f"/operations/{ref}")
        answer.raise_for_status()
        return str(answer.json()["in_force"])

    with ThreadPoolExecutor(6) as pool:
        return dict(zip(refs, pool.map(told, refs), strict=True))
