"""One request, parsed, and what it comes to: the two ends of deciding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from actions import keys, plan
from actions.approvals import Needs
from actions.catalogue._base import Action
from actions.registry import registry
from actions.standing import Facts
from actions.states import EffectState
from actions.subjects import Subject


@dataclass(frozen=True, slots=True)
class DraftGiven:
    """The draft that is confirmed: when it was made and first shown, and what it promised."""

    id: str
    caller_id: UUID
    created_at: datetime
    first_shown_at: datetime | None
    plan_digest: bytes


@dataclass(frozen=True, slots=True)
class Undoes:
    """The operation that is to be undone: its id and ref, and what becomes of what is not known.

    `not_known` is `include`, `leave`, or "" while nobody said.
    """

    operation: int
    ref: str
    not_known: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, parsed and canonical, before anybody looked at what stands."""

    action: Action
    subject: Subject
    params: Mapping[str, object]
    reason: str
    key: str
    via: str
    incident: int | None = None
    seen: int | None = None
    again: bool = False
    draft: DraftGiven | None = None
    undoes: Undoes | None = None
    # How it came, which its key does not stand for: from where, and what was typed to confirm it.
    address: IPv4Address | IPv6Address | None = None
    confirm: str = ""

    def fingerprint(self) -> bytes:
        """What the key stands for: everything that was asked, as it was asked."""
        undoes = self.undoes
        # Left out where nothing is undone: what was asked before it existed keeps its fingerprint.
        undo = {"undoes": undoes.ref, "not_known": undoes.not_known} if undoes else {}
        return keys.fingerprint(
            {
                **undo,
                "rules": keys.RULES,
                "action": self.action.name,
                "kind": self.subject.kind,
                "name": self.subject.name,
                "params": dict(self.params),
                "reason": self.reason,
                "incident": self.incident,
                "seen": self.seen,
                "again": self.again,
                "draft": self.draft.id if self.draft else None,
            }
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write and to answer. `told` is the operation that the answer names, if any.

    `on_lane` says that it rests on the lane being as it was seen.
    """

    disposition: str
    code: str = ""
    message: str = ""
    status: int = 200
    told: Facts | None = None
    plan: plan.Plan | None = None
    on_lane: bool = False
    exact: bool = True
    because: str = ""
    replayed: bool = False
    needs: Needs = field(default_factory=Needs)  # the approvals that what is made needs
    break_glass: UUID | None = None  # under which it waits for none of them
    keep_for: int | None = None  # seconds in which who asks must say that they are still there
    retry_after: int | None = None  # seconds after which a limit is over

    @property
    def waits(self) -> bool:
        """Whether what is made waits for approval."""
        return bool(self.needs.each) and self.break_glass is None


def named(told: Facts) -> str:
    """The subject in an answer: `203.0.113.7/32`, `account payments-db:alice`."""
    kind, name = told.get("kind", "network"), str(told.get("label") or told["name"])
    return name if kind == "network" else f"{kind} {name}"


def done_by(told: Facts) -> str:
    """Who asked for an operation, for what and when, its state, and what came of it."""
    at = datetime.fromisoformat(told["requested_at"])
    state = told["state"].replace("_", " ")
    return (
        f"{told['requested_by']} asked for {told['action']} of {named(told)} "
        f"at {at:%-d %b %Y %H:%M:%S} UTC ({told['ref']}, generation {told['generation']}): {state}."
        f"{_came_of(told)}"
    )


def unsent(told: Facts) -> str:
    """What is said of an operation that is over before it began: that nothing was sent, if that is known."""
    may_have_been = {EffectState.IN_DOUBT, EffectState.PARKED, EffectState.SUCCEEDED}
    if any(e["forgotten"] or e["state"] in may_have_been for e in told["effects"]):
        return (
            "It may have been sent before the failover: that is read, and nothing is sent again. "
            "Look at it again in a minute."
        )
    return "Nothing of it was sent, or will be."


def _came_of(told: Facts) -> str:
    """What the outside system named: ` Already version 42, in place in payments-db.`"""
    result = registry.result(told["action"], told["effects"])
    if "version" not in result:
        return ""
    places = result.get("in_place")
    where = f", in place in {', '.join(places)}" if isinstance(places, list) and places else ""
    return f" Already version {result['version']}{where}."
