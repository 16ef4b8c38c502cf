"""The steps of an operation in words: what each does, in which order, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from actions.errors import NotFound
from actions.registry import registry
from actions.standing import Facts, intent_of

TITLES = {
    "block": "Block sign-in",
    "cut": "End open sessions",
    "unblock": "Let it sign in",
    "make": "Make the new value",
    "prove": "Prove that it works",
    "retire": "Retire the old value",
}
"""What a step does, for those who read it; one that is not here is called by its system alone."""

_PLANNED = {"retire": "The old value, where it is still valid, is retired at"}
_SETTLED = {"succeeded", "failed", "cancelled", "parked"}


def name(effect: Mapping[str, Any]) -> str:
    """`Block sign-in in Payments database`; the system alone where the step says nothing more."""
    title = TITLES.get(effect["step"])
    return f"{title} in {effect['title']}" if title else str(effect["title"])


def order(told: Facts) -> dict[str, int]:
    """The rank of each step, from 0; empty where all begin at once."""
    try:
        steps = registry.action(told["action"]).steps(intent_of(told))
    except (NotFound, KeyError):  # no longer in the catalogue, or of an earlier version
        return {}
    ranks = {step.name: step.ord for step in steps}
    return ranks if len(set(ranks.values())) > 1 else {}


def later(effect: Mapping[str, Any]) -> datetime | None:
    """The moment before which nothing is sent, while that is still to come."""
    if effect["state"] != "ready" or not effect["run_at"]:
        return None
    at = datetime.fromisoformat(effect["run_at"]).astimezone(UTC)
    return at if at > datetime.now(UTC) else None


def planned(effect: Mapping[str, Any]) -> datetime | None:
    """As `later`, where the wait was asked for, and is no pause between two tries."""
    return None if effect["attempts"] else later(effect)


def waits_until(told: Facts) -> datetime | None:
    """When the operation goes on, if all that is left of it waits for a moment as was planned."""
    if told["state"] != "running":
        return None
    left = [effect for effect in told["effects"] if effect["state"] not in _SETTLED]
    moments = [at for effect in left if (at := planned(effect))]
    waiting = all(effect["state"] == "blocked" or planned(effect) for effect in left)
    return min(moments) if moments and waiting else None


def pause(effect: Mapping[str, Any], clock: str) -> str:
    """What a step that waits until `clock` waits for."""
    if effect["attempts"]:
        return f"Tried again at {clock}"
    return f"{_PLANNED.get(effect['step'], 'It begins at')} {clock}"


def found(effect: Mapping[str, Any], words: str) -> str:
    """What was found, in `words`, and what the system told with it."""
    note = str(effect["message"])
    if note.startswith("version "):
        note = note.capitalize()
    if effect["step"] == "prove" and effect["state"] == "succeeded":
        words = "Signed in with it"
    if words and note and " " not in note:  # a name alone: what was changed
        return f"{words}: {note}"
    return ". ".join(part.rstrip(".") for part in (words, note) if part)
