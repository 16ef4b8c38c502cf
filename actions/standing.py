"""What stands: everything that deciding on a request needs, read in one query.

The one query is the first of a submission's two round trips (`architecture.md` of the design:
plain reads through guardian and the ORM reached a tenth of the rate).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from actions import database, sight, states, subjects
from actions.approvals import Rule, moved_to, rules_of
from actions.catalogue._base import Action, Intent
from actions.known import Known, Overlap, known_of, overlaps_of
from actions.plan import RealmNow, connectors_for
from actions.protection import Protection, protection_of
from actions.subjects import Subject
from actions.translated import Address

type Facts = dict[str, Any]
"""An operation as the view `operation_facts` tells it."""


@dataclass(frozen=True, slots=True)
class TokenSeen:
    """An API token as stored; `digest` is SHA-256 of the whole token."""

    id: UUID
    digest: bytes
    scopes: frozenset[str]
    live: bool
    owner: UUID | None = None


@dataclass(frozen=True, slots=True)
class KeySeen:
    """A request key that came before."""

    id: int
    fingerprint: bytes
    rules: int
    first_seen_at: datetime
    operation: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """All that was seen, at one moment of the database's clock."""

    now: datetime
    caller_id: UUID | None
    caller_name: str
    caller_kind: str
    token: TokenSeen | None
    may_see: bool
    may_ask: bool
    realms: tuple[RealmNow, ...]
    incident_id: UUID | None  # None also where the asker does not see it
    key: KeySeen | None
    keyed: Facts | None  # the operation that the key names
    newest: Facts | None  # the lane's newest generation, whatever its state
    known: tuple[Known, ...]
    overlaps: tuple[Overlap, ...] = ()
    around: tuple[Known, ...] = ()  # what is known of wider networks, realm by realm
    beneath: Facts | None = None  # what stands beneath a newest generation that came to nothing
    undone: Facts | None = None  # the operation that is to be undone
    undone_by: Facts | None = None  # the one that undoes it already
    hidden: bool = False  # what is asked about is in a realm that the caller may not know of
    incident_closed: bool = False
    approval_rules: tuple[Rule, ...] = ()  # those that may apply to the action
    break_glass: UUID | None = None  # what the caller goes alone under
    protection: Protection | None = None
    seats: tuple[Address, ...] = ()  # where the caller works from, besides where they ask from

    @property
    def read(self) -> Mapping[str, object]:
        """What was read of the lane since it was settled; an action may compare by it."""
        looks = (k.reading.facts for k in self.known if k.reading and k.reading.facts)
        return {name: value for facts in looks for name, value in facts.items()}

    @property
    def generation(self) -> int:
        """The lane's newest generation; 0 when there is none."""
        return int(self.newest["generation"]) if self.newest else 0

    @property
    def standing(self) -> Facts | None:
        """The newest operation of the lane that did something or still may, and waits for nobody."""
        return stands(self.newest, self.beneath)

    @property
    def moved_to(self) -> int:
        """The generation that the lane has come to, leaving out one that only waits."""
        return moved_to(self.newest)

    def goes_on(self, told: Facts) -> bool:
        """Whether who asks may set it going again by what it was given, their own yes left out."""
        own = {str(self.caller_id), str(self.token.owner) if self.token else ""}
        return bool(told.get("may_go_on", True)) and own.isdisjoint(told.get("not_by", ()))


@dataclass(frozen=True, slots=True)
class Look:
    """What to look at: who asks for what. `token_prefix` or `caller` says who."""

    action: Action
    subject: Subject
    key: str
    caller: UUID | None = None
    token_prefix: str = ""
    incident: int | None = None
    undoes: int | None = None  # the operation that is to be undone


# Both functions stand in `sql/look.sql`.
_LANE_ARGUMENTS = """
%(kind)s::text, %(name)s::text, %(lane)s::text, %(around)s::text[], %(low)s::inet, %(high)s::inet
"""
_LOOK = f"""
SELECT * FROM look(%(prefix)s::text, %(caller)s::uuid, %(action)s::text, %(connectors)s::text[],
  %(key)s::text, %(incident)s::int, {_LANE_ARGUMENTS})
"""
_LANE = f"SELECT * FROM lane_now({_LANE_ARGUMENTS})"


def stands(newest: Facts | None, beneath: Facts | None) -> Facts | None:
    """What stands on a lane: the newest generation, or what is beneath one that did nothing."""
    if newest is None or newest["state"] not in states.CAME_TO_NOTHING | states.WAITING:
        return newest
    return beneath


@dataclass(frozen=True, slots=True)
class LaneNow:
    """A lane as it stands: what is known of each realm, its generations that count, its overlaps."""

    known: tuple[Known, ...]
    newest: Facts | None
    overlaps: tuple[Overlap, ...]
    around: tuple[Known, ...]
    beneath: Facts | None

    @property
    def standing(self) -> Facts | None:
        """The newest operation of the lane that did something or still may."""
        return stands(self.newest, self.beneath)


def lane_now(subject: Subject, lane: str) -> LaneNow:
    """Read one lane, whoever asks."""
    row = database.one(_LANE, {"lane": lane, **_named(subject)})
    overlaps, around = overlaps_of(row["overlapping"])
    known, newest = known_of(row["known"]), facts(row["newest"])
    return LaneNow(known, newest, overlaps, around, facts(row["beneath"]))


_UNDO = f"""
SELECT (SELECT f.facts FROM operation_facts f WHERE f.id = %(undoes)s::bigint) AS undone,
       (SELECT f.facts FROM operation_facts f WHERE f.id = (SELECT o.id FROM operation o
          WHERE o.undoes_id = %(undoes)s::bigint
            AND o.state NOT IN ({", ".join(f"'{s}'" for s in sorted(states.VOID))}))) AS undone_by
"""


def look(at: Look) -> Standing:
    """Read it all, in one snapshot; then what is to be undone: an undo between makes it moved."""
    seen = _standing(database.one(_LOOK, _params(at)))
    if seen.hidden:  # what one may not know of is told as what is not there
        return replace(seen, realms=(), newest=None, known=(), beneath=None)
    if at.undoes is not None:
        row = database.one(_UNDO, {"undoes": at.undoes})
        seen = replace(seen, undone=facts(row["undone"]), undone_by=facts(row["undone_by"]))
    # As the asker may know it: by that it is decided, so that no decision tells of more.
    return sight.shown_to(
        seen.caller_id, seen, ("keyed", "newest", "beneath", "undone", "undone_by")
    )


def _around(subject: Subject) -> tuple[list[str], str | None, str | None]:
    if subject.kind != "network":
        return [], None, None
    low, high = subjects.span(subject)
    return list(subjects.wider(subject)), low, high


def _params(at: Look) -> dict[str, object]:
    return {
        **_named(at.subject),
        "caller": at.caller,
        "prefix": at.token_prefix,
        "lane": at.action.lane,
        "action": at.action.name,
        "connectors": _array(connectors_for(at.action)),
        "key": at.key,
        "incident": at.incident,
    }


def _named(subject: Subject) -> dict[str, object]:
    around, low, high = _around(subject)
    named: dict[str, object] = {"kind": subject.kind, "name": subject.name}
    return {**named, "around": _array(around), "low": low, "high": high}


def _array(names: Iterable[str]) -> str:
    """An array as PostgreSQL reads it, of names that need no quotes."""
    return "{" + ",".join(names) + "}"


def facts(text: str | None) -> Facts | None:
    """An operation's facts out of the view's `jsonb` text."""
    return json.loads(text) if text is not None else None


def _token(row: Mapping[str, Any]) -> TokenSeen | None:
    if row["token"] is None:
        return None
    return TokenSeen(
        row["token"], row["digest"], frozenset(row["scopes"]), row["live"], row["owner"]
    )


def _standing(row: Mapping[str, Any]) -> Standing:
    active = bool(row["is_active"])
    overlaps, around = overlaps_of(row["overlapping"])
    key = None
    if row["request"] is not None:
        names = ("request", "fingerprint", "rules", "first_seen_at", "operation_id")
        key = KeySeen(*(row[name] for name in names))
    return Standing(
        now=row["now"],
        caller_id=row["caller"] if active else None,
        caller_name=row["username"] or "",
        caller_kind=row["caller_kind"] or "",
        token=_token(row),
        may_see=active and bool(row["may_see"]),
        may_ask=active and bool(row["may_ask"]),
        realms=tuple(RealmNow(**realm) for realm in json.loads(row["realms"])),
        incident_id=row["incident"],
        key=key,
        keyed=facts(row["keyed"]),
        newest=facts(row["newest"]),
        known=known_of(row["known"]),
        overlaps=overlaps,
        around=around,
        beneath=facts(row["beneath"]),
        hidden=bool(row["hidden"]),
        incident_closed=bool(row["incident_closed"]),
        approval_rules=rules_of(row["approval_rules"]),
        break_glass=row["break_glass"],
        protection=protection_of(row["protected"]),
        seats=tuple(map(ip_address, row["seats"] or ())),
    )


def intent_of(facts: Facts) -> Intent:
    """The intent that an operation stands for."""
    ends_at = facts["ends_at"]
    return Intent(
        facts["desired"],
        datetime.fromisoformat(ends_at) if ends_at else None,
        facts["span"],
        datetime.fromisoformat(facts["requested_at"]),
        frozenset(facts["incidents"]),
    )
