"""Who sees which incident, and what is told of operations that belong to one: asked by every reader.

The rule itself is the database's function `may_see_incident`. What belongs to a restricted incident
stands apart in an operation's facts, as `withheld`: a reader that does not ask here tells it to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, F, Func, Value

from actions import database

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_SEEN = """
SELECT i.number FROM incident i
 WHERE i.number = ANY(%(numbers)s::bigint[]) AND may_see_incident(%(viewer)s::uuid, i.id)
"""


def seen(viewer: UUID, numbers: Iterable[int]) -> frozenset[int]:
    """Those of these incidents that there are and that the viewer sees."""
    wanted = sorted(set(numbers))
    if not wanted:
        return frozenset()
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, {"numbers": wanted, "viewer": viewer})
        return frozenset(number for (number,) in cursor.fetchall())


def administers(caller: UUID) -> bool:
    """Whether somebody is an admin of the whole console."""
    return bool(database.value("SELECT administers(%(caller)s::uuid)", {"caller": caller}))


def filtered(viewer: UUID, field: str) -> Func:
    """The rule as a condition of a query: whether the viewer sees the incident whose id is `field`."""
    return Func(Value(viewer), F(field), function="may_see_incident", output_field=BooleanField())


def number_seen(viewer: UUID, number: int | None) -> int | None:
    """The number, to filter by; 0, which no incident has, for one that the viewer does not see."""
    return number if number is None or number in seen(viewer, [number]) else 0


def unveil(told: Sequence[Mapping[str, Any]], viewer: UUID | None) -> list[dict[str, Any]]:
    """Operations' facts as the viewer may know them; one query, and none where nothing is withheld.

    The reason is told to who sees the incident because of which it was given, or any of them.
    """
    numbers = {n for facts in told if facts.get("withheld") for n in facts["withheld"]["incidents"]}
    sees = seen(viewer, numbers) if viewer is not None else frozenset()
    return [_unveiled(facts, sees) for facts in told]


def unveil_one(told: Mapping[str, Any] | None, viewer: UUID | None) -> dict[str, Any] | None:
    """The same of one, or of none."""
    return unveil([told], viewer)[0] if told is not None else None


def shown_to[T: "DataclassInstance"](viewer: UUID | None, holder: T, names: Iterable[str]) -> T:
    """A dataclass with the facts in its fields `names`, where there are any, as the viewer may know them."""
    told = {name: found for name in names if (found := getattr(holder, name)) is not None}
    shown = unveil(list(told.values()), viewer)
    return replace(holder, **dict(zip(told, shown, strict=True)))


def _unveiled(facts: Mapping[str, Any], sees: frozenset[int]) -> dict[str, Any]:
    shown = dict(facts)
    withheld = shown.pop("withheld", None)
    if withheld:
        shown["incidents"] = sorted(
            {*shown["incidents"], *sees.intersection(withheld["incidents"])}
        )
        if sees.intersection(withheld["made_in"] or ()):
            shown["reason"] = withheld["reason"]
    return shown
