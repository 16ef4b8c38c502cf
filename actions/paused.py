"""Which realms are left alone now because they do not answer, for pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from actions.policy import granted


@dataclass(frozen=True, slots=True)
class Paused:
    """A realm that is left alone: since when, when it is tried next, after how many calls for nothing."""

    realm: str
    title: str
    since: datetime
    try_at: datetime
    failures: int
    message: str


_PAUSED = """
SELECT m.id::text, m.title, h.paused_at, h.try_at, h.failures, h.message
  FROM realm_health h JOIN realm m ON m.id = h.realm_id
 WHERE h.paused_at IS NOT NULL AND m.enabled
"""
_IN_SIGHT = f"""{_PAUSED} AND {granted("realm", "see_realm", "m.id", "%(caller)s::uuid")}
 ORDER BY h.paused_at, m.name
"""
_AMONG = f"{_PAUSED} AND m.id = ANY(%(realms)s::uuid[])"


def in_sight(caller: UUID) -> list[Paused]:
    """Those that the caller may see, the longest first."""
    return _found(_IN_SIGHT, {"caller": caller})


def among(realms: Iterable[str]) -> dict[str, Paused]:
    """Those of `realms` (ids), by id."""
    return {one.realm: one for one in _found(_AMONG, {"realms": list(realms)})}


def _found(sql: str, given: dict[str, Any]) -> list[Paused]:
    with connection.cursor() as cursor:
        return [Paused(*row) for row in cursor.execute(sql, given).fetchall()]
