"""Readings as those who ask see them: ask for a look, wait a little for it, and tell what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from actions import database
from actions.force import fresh
from actions.known import Known
from actions.models import Reading
from actions.registry import registry
from actions.standing import Facts
from actions.states import OperationState

LONGEST = 1.5
"""Seconds that whoever asks waits for a reading, at most (contract §9)."""

type Wait = Callable[[Callable[[], bool], float], bool]
"""Waits until the first says True, for at most so many seconds, if there is a place to wait."""

type Pair = tuple[str, str]
"""A realm's id and a capability."""

_ASK = """
SELECT ask_readings(%(kind)s::text, %(name)s::text, %(realms)s::uuid[], %(capabilities)s::text[])
"""


@dataclass(frozen=True, slots=True)
class StateRead:
    """How a realm was last seen to stand, in words; `at` None: never; `facts` None: unreadable."""

    realm: str
    capability: str
    at: datetime | None
    reads_as: str
    readable: bool
    fresh: bool


def refresh(kind: str, name: str, pairs: Sequence[Pair], wait: Wait | None) -> bool:
    """Have these looked at now, and wait for it; True when all were.

    Changes nothing outside. Whoever asks within FRESH seconds of a look shares it.
    """
    if not pairs:
        return True
    ask(kind, name, pairs)
    return wait(lambda: not _due(kind, name, pairs), LONGEST) if wait else False


def ask(kind: str, name: str, pairs: Sequence[Pair]) -> None:
    """Say that somebody wants to know; the keeper looks."""
    given = {
        "kind": kind,
        "name": name,
        "realms": [realm for realm, _ in pairs],
        "capabilities": [capability for _, capability in pairs],
    }
    database.value(_ASK, given)


def _rows(kind: str, name: str, pairs: Iterable[Pair]) -> list[Reading]:
    wanted = {(str(realm), capability) for realm, capability in pairs}
    rows = Reading.objects.filter(kind=kind, name=name, realm__in={realm for realm, _ in wanted})
    return [row for row in rows if (str(row.realm_id), row.capability) in wanted]


def _due(kind: str, name: str, pairs: Sequence[Pair]) -> bool:
    return any(
        row.taken_at is None or row.asked_at > row.taken_at for row in _rows(kind, name, pairs)
    )


def unread(told: Facts, known: Iterable[Known]) -> list[Known]:
    """The realms of a succeeded operation that must be looked at before it is said to stand."""
    if told["state"] != OperationState.SUCCEEDED:
        return []
    return [k for k in known if k.operation == told["id"] and not fresh(k)]


def brought_up_to_date(told: Facts, known: Iterable[Known], wait: Wait) -> bool:
    """Have what is unread of `told` looked at; True when somebody should look at the lane again.

    A look that has been due for longer than anybody waits is not waited for: nobody takes it, and
    a storm of repeats would sit here one after another.
    """
    stale = unread(told, known)
    pairs = [(k.realm, k.capability) for k in stale]
    if any(k.asked is None for k in stale):
        ask(told["kind"], told["name"], pairs)
    left = LONGEST - max((k.asked or 0.0 for k in stale), default=LONGEST)
    if left <= 0:
        return False
    return wait(lambda: not _due(told["kind"], told["name"], pairs), left)


def check(told: Facts, wait: Wait) -> bool:
    """Have every system of an operation looked at now; True when all were. Changes nothing."""
    pairs = [(e["realm_id"], e["capability"]) for e in told["effects"]]
    return refresh(told["kind"], told["name"], pairs, wait)


def states(
    kind: str, name: str, pairs: Sequence[Pair], connectors: dict[str, str]
) -> list[StateRead]:
    """How each pair was last read; `connectors` names the connector of each realm."""
    found = {(str(row.realm_id), row.capability): row for row in _rows(kind, name, pairs)}
    return [
        _state(realm, capability, connectors[realm], found.get((realm, capability)))
        for realm, capability in dict.fromkeys(pairs)
    ]


def _state(realm: str, capability: str, connector: str, row: Reading | None) -> StateRead:
    if row is None or row.taken_at is None:
        return StateRead(realm, capability, None, "not read yet", False, False)
    new = row.asked_at <= row.taken_at
    if row.facts is None:
        return StateRead(realm, capability, row.taken_at, row.message, False, new)
    said = registry.connector(connector).words(capability, row.facts)
    return StateRead(realm, capability, row.taken_at, said, True, new)


def words(known: Known) -> str | None:
    """What the last look at a realm found, in words; None when there was none since its effect."""
    if known.reading is None:
        return None
    if known.reading.facts is None:
        return known.reading.message
    return registry.connector(known.connector).words(known.capability, known.reading.facts)
