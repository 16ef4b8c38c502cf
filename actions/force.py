"""Whether what an operation wanted is so now: judged by what was settled, and by what was read since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actions import states
from actions.known import Known
from actions.registry import registry
from actions.standing import Facts

FRESH = 5.0
"""Seconds for which one look at a realm is shared by all who ask how it is."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Since when an operation is known to be in place, and when its realms were last read at all."""

    verified_at: str | None
    read_at: str | None


def in_force(facts: Facts, known: tuple[Known, ...], around: tuple[Known, ...] = ()) -> str:
    """Whether the world is now as this operation wanted it: `yes`, `no` or `unknown`.

    Judged realm by realm, by what is last known there, whichever operation brought it about; for
    networks by the address: a lifted ban is still in force under a wider one, and a lift is not.
    A look that was taken after the last effect had settled outdoes it; one that could read nothing
    takes nothing away from what was settled.
    """
    verdicts = _verdicts(facts, known, around)
    if "no" in verdicts:
        return "no"
    return "yes" if verdicts == {"yes"} else "unknown"


def anywhere(facts: Facts, known: tuple[Known, ...], around: tuple[Known, ...] = ()) -> str:
    """Whether any realm is now as this operation wanted it, whatever the others are."""
    verdicts = _verdicts(facts, known, around)
    return next((verdict for verdict in ("yes", "unknown") if verdict in verdicts), "no")


def _verdicts(facts: Facts, known: tuple[Known, ...], around: tuple[Known, ...]) -> set[str]:
    """What each of its effects is judged to be, in its own realm."""
    own = {k.realm: k for k in known}
    verdicts = set()
    for effect in on_its_lane(facts):
        wider = [k for k in around if k.realm == effect["realm_id"]]
        found = own.get(effect["realm_id"])
        held = "unknown" if _unread(facts, effect, found) else _holds(facts, effect, found)
        verdicts.add(_by_address(effect, held, wider))
    return verdicts


def drifted(facts: Facts, known: tuple[Known, ...], around: tuple[Known, ...] = ()) -> bool:
    """Whether a fresh look found a realm to be otherwise than this very operation had left it.

    What another operation left there, and what a wider network makes of the address, is no drift.
    """
    own = {k.realm: k for k in known if k.operation == facts["id"]}
    for effect in on_its_lane(facts):
        found = own.get(effect["realm_id"])
        if found is None or not fresh(found) or agrees(found, effect["desired"]) is not False:
            continue
        wider = [k for k in around if k.realm == effect["realm_id"]]
        if _by_address(effect, "no", wider) == "no":
            return True
    return False


def on_its_lane(facts: Facts) -> list[Facts]:
    """The effects on the operation's own lane: what it did on another one is told there."""
    return [e for e in facts["effects"] if e.get("lane") in (None, "", facts.get("lane"))]


def fresh(known: Known) -> bool:
    """Whether the realm was read so lately that it need not be read again."""
    return known.reading is not None and known.reading.age <= FRESH


def agrees(known: Known, desired: Mapping[str, object]) -> bool | None:
    """Whether the last look at the realm found what is wanted; None where it tells nothing."""
    if known.state != states.EffectState.SUCCEEDED or known.reading is None:
        return None
    if known.reading.facts is None:
        return None
    connector = registry.connector(known.connector)
    return connector.agrees(known.capability, known.reading.facts, desired)


def verified(facts: Facts, known: tuple[Known, ...]) -> Verified:
    """The earliest moment among its effects at which each was last seen in place."""
    own = {k.realm: k for k in known}
    seen, read = [], []
    for effect in on_its_lane(facts):
        found = own.get(effect["realm_id"])
        at = effect["verified_at"]
        if found and found.reading and found.operation == facts["id"]:
            read.append(found.reading.taken_at)
            if agrees(found, effect["desired"]):
                at = found.reading.taken_at  # later: it was begun after the effect had settled
        seen.append(at)
    whole = bool(seen) and None not in seen
    return Verified(min(seen) if whole else facts["verified_at"], min(read, default=None))


def _unread(facts: Facts, effect: Mapping[str, Any], known: Known | None) -> bool:
    """Whether it may have been sent before a failover, and nothing later is known of its realm."""
    later = known is not None and known.operation is not None and known.operation > facts["id"]
    return bool(effect.get("forgotten")) and not later


def _by_address(effect: Mapping[str, Any], own: str, wider: list[Known]) -> str:
    """The verdict of one realm, with the wider networks of that realm taken into account."""
    wants_it_blocked = effect["desired"].get("blocked")
    settled = [k for k in wider if k.state == states.EffectState.SUCCEEDED]
    if any(k.desired.get("blocked") for k in settled):
        return "yes" if wants_it_blocked else "no"
    if len(settled) == len(wider) or own == ("yes" if wants_it_blocked else "no"):
        return own
    return "unknown"


def _holds(facts: Facts, effect: Mapping[str, Any], known: Known | None) -> str:
    if known is None:
        return "no"
    if known.state != states.EffectState.SUCCEEDED:
        return "unknown"
    read = agrees(known, effect["desired"])
    if read is not None:
        return "yes" if read else "no"
    # An action may say that what came later, or went further, covers what was wanted.
    holds = registry.holds(facts.get("action", ""), known.desired, effect["desired"])
    return "yes" if holds else "no"
