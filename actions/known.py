"""What is known of a subject from outside: the last outcome in each realm, a look, and networks around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actions import states


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a realm: when it began, how many seconds ago, and what it found (None: unreadable)."""

    taken_at: str
    age: float
    facts: Mapping[str, object] | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is last known of one realm of a lane: what its last effect left, and a later look at it.

    `asked` is for how many seconds a look has been due; None when none is. `found` as `Last` has it.
    """

    realm: str
    desired: Mapping[str, object]
    state: str
    operation: int | None = None
    capability: str = ""
    connector: str = ""
    reading: Reading | None = None
    asked: float | None = None
    found: str = ""


@dataclass(frozen=True, slots=True)
class Overlap:
    """A blocked network that covers the subject (`wider`) or lies within it, and its operation."""

    name: str
    ref: str
    wider: bool


def known_of(text: str) -> tuple[Known, ...]:
    """What the function `last_known` tells, out of its `jsonb` text."""
    return tuple(_known(known) for known in json.loads(text))


def _known(row: Mapping[str, Any]) -> Known:
    read = row["reading"] or {}
    reading = None
    if read.get("later"):
        reading = Reading(read["taken_at"], read["age"], read["facts"], read["message"])
    return Known(
        row["realm"],
        row["desired"],
        row["state"],
        row["operation"],
        row["capability"],
        row["connector"],
        reading,
        read.get("asked"),
        row["found"],
    )


def overlaps_of(text: str) -> tuple[tuple[Overlap, ...], tuple[Known, ...]]:
    """The blocked networks, each once; and what is known of the wider ones, realm by realm."""
    rows = json.loads(text)
    blocked = {
        row["name"]: Overlap(row["name"], row["ref"], row["wider"])
        for row in rows
        if row["state"] == states.EffectState.SUCCEEDED and row["desired"].get("blocked")
    }
    around = (Known(r["realm"], r["desired"], r["state"]) for r in rows if r["wider"])
    return tuple(blocked.values()), tuple(around)
