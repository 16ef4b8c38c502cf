"""The plan: exactly what an operation will do and where; its digest is what everyone holds to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from actions import keys
from actions.catalogue._base import Action, Intent, Step
from actions.catalogue._ends import moment
from actions.registry import registry
from actions.subjects import Subject


@dataclass(frozen=True, slots=True)
class RealmNow:
    """A realm as it stands: its id, what the caller may of it, its settings' version."""

    id: str
    name: str
    title: str
    connector: str
    version: int
    may_ask: bool
    may_see: bool


@dataclass(frozen=True, slots=True)
class PlannedEffect:
    """One effect before it is issued."""

    realm: str
    realm_version: int
    step: str
    ord: int
    capability: str
    redo: str
    desired: Mapping[str, object]
    lane: str = ""  # "": that of its operation
    after: int = 0

    def row(self) -> dict[str, object]:
        """As `issue` takes it, and as the digest covers it."""
        row = {
            "realm": self.realm,
            "realm_version": self.realm_version,
            "step": self.step,
            "ord": self.ord,
            "capability": self.capability,
            "redo": self.redo,
            "desired": dict(self.desired),
        }
        # Left out where they say nothing: what was issued before they existed keeps its digest.
        return (
            row
            | ({"lane": self.lane} if self.lane else {})
            | ({"after": self.after} if self.after else {})
        )


@dataclass(frozen=True)
class Plan:
    """Action and version, subject, desired state with its end, and every effect."""

    action: str
    version: int
    subject: Subject
    intent: Intent
    effects: tuple[PlannedEffect, ...]

    @cached_property
    def content(self) -> dict[str, object]:
        """The plan as JSON values, times as RFC 3339 text."""
        return {
            "action": self.action,
            "version": self.version,
            "subject": {
                "kind": self.subject.kind,
                "name": self.subject.name,
                "rules": self.subject.rules,
            },
            "desired": dict(self.intent.desired),
            "until": moment(self.intent.until) if self.intent.until else None,
            "effects": [effect.row() for effect in self.effects],
        }

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the canonical form of `content`."""
        return keys.fingerprint(self.content)


def _effects(step: Step, realms: Iterable[RealmNow]) -> Iterable[PlannedEffect]:
    for realm in realms:
        offer = registry.connector(realm.connector).offers.get(step.capability)
        if offer is not None:
            yield PlannedEffect(
                realm.id,
                realm.version,
                step.name,
                step.ord,
                step.capability,
                offer.redo.value,
                step.desired,
                step.lane or "",
                step.after,
            )


def within(subject: Subject, realms: Iterable[RealmNow]) -> list[RealmNow]:
    """The realms in which the subject can be: its own where its name says one, else all."""
    return [realm for realm in realms if subject.realm in (None, realm.name)]


def make(action: Action, subject: Subject, intent: Intent, realms: Iterable[RealmNow]) -> Plan:
    """The plan of `action` on `subject` in every realm that offers what it needs."""
    by_id = sorted(within(subject, realms), key=lambda realm: realm.id)
    steps = action.steps(intent)
    effects = [e for step in steps for e in _effects(step, by_id)]
    # A realm that cannot take the first step takes none: sessions cut where nothing is blocked is
    # no suspension.
    first = min((step.ord for step in steps), default=0)
    able = {effect.realm for effect in effects if effect.ord == first}
    effects = [effect for effect in effects if effect.realm in able]
    effects.sort(key=lambda e: (e.ord, e.realm, e.step))
    return Plan(action.name, action.version, subject, intent, tuple(effects))


def connectors_for(action: Action) -> list[str]:
    """The names of the connectors that some step of `action` may need."""
    offers = (registry.offering(c) for c in sorted(action.capabilities))
    return sorted({name for names in offers for name in names})
