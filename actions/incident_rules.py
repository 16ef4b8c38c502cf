"""What is told to somebody who would change an incident: pure, from what was asked and what was seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from actions import keys
from actions.errors import NotFound, ParamsRefused, Refusal
from actions.states import IncidentState

LONGEST_TITLE = 200
LONGEST_NOTE = 4000

NO_INCIDENT = "There is no such incident."

INCIDENT_KINDS = (
    "opened", "noted", "renamed", "handed_over", "closed", "reopened", "restricted", "unrestricted",
    "joined", "left", "changed",
)  # fmt: skip
"""What an entry of an incident, and its event of the log, is called; `changed`: several at once."""

# Control characters, but for the ends of lines and tabs that a note may have; and those that turn round
# the direction of text, which make a line read as what it is not.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody named in a change; `asks` is whether they may ask for any action."""

    id: UUID
    username: str
    kind: str
    active: bool
    asks: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed; None or empty: stays. People are named by their user names.

    `version` is the one that was seen; `confirm` the digest of what closing leaves in force.
    """

    title: str | None = None
    lead: str | None = None
    state: str | None = None
    restricted: bool | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    note: str = ""
    version: int | None = None
    confirm: str = ""

    def fingerprint(self, ref: str) -> bytes:
        """What the key stands for: everything that was asked, as it was asked."""
        asked = {
            "title": self.title, "lead": self.lead, "state": self.state, "restricted": self.restricted,
            "add": list(self.add), "remove": list(self.remove), "note": self.note,
            "version": self.version, "confirm": self.confirm,
        }  # fmt: skip
        return keys.fingerprint({"rules": keys.RULES, "incident": ref, **asked})

    @property
    def guarded(self) -> bool:
        """Whether it must name the version that was seen; members come and go in any order."""
        return any(x is not None for x in (self.title, self.lead, self.state, self.restricted))


@dataclass(frozen=True, slots=True)
class Before:
    """What was done under this key before."""

    incident: UUID
    entry: UUID
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """An incident as it stands, and who asks; `changed_by` and `changed_at` are of its last change."""

    id: UUID
    ref: str
    title: str
    state: str
    restricted: bool
    version: int
    linked: int  # the last operation that was linked to it, by the link's id; 0: none
    lead: str
    members: frozenset[str]
    changed_by: str
    changed_at: datetime
    caller: UUID
    caller_name: str
    may_see: bool
    administers: bool
    asks: bool
    people: Mapping[str, Person] = field(default_factory=dict)
    key: Before | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What is to be written: the kind of entry and what it changes; no kind when nothing is."""

    kind: str
    change: dict[str, object]
    message: str
    replayed: bool = False


def title_of(text: str) -> str:
    """A title in one line. Raises ParamsRefused `bad_title`."""
    title = " ".join(text.split())
    if not title or len(title) > LONGEST_TITLE:
        raise ParamsRefused(
            "bad_title",
            f"Give the incident a title of up to {LONGEST_TITLE} characters. Nothing changed.",
            {"field": "title"},
        )
    return _plain(title, "bad_title", "title")


def note_of(text: str, *, needed: bool = False) -> str:
    """A note, with its lines. Raises ParamsRefused `bad_note`."""
    note = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if (needed and not note) or len(note) > LONGEST_NOTE:
        raise ParamsRefused(
            "bad_note",
            f"Write a note of 1 to {LONGEST_NOTE} characters. Nothing changed.",
            {"field": "note"},
        )
    return _plain(note, "bad_note", "note")


def _plain(text: str, code: str, name: str) -> str:
    if _UNWANTED.search(text):
        what = f"The {name} holds a control character. Leave it out. Nothing changed."
        raise ParamsRefused(code, what, {"field": name})
    return text


def admitted(change: Change, seen: IncidentSeen | None) -> IncidentSeen:
    """The incident, if who asks may know of it. Raises NotFound, the same where there is none."""
    joins = seen is not None and seen.administers and change == Change(add=(seen.caller_name,))
    if seen is None or not (seen.may_see or joins):
        raise NotFound("no_incident", f"{NO_INCIDENT} Nothing changed.")
    return seen


def decide(change: Change, seen: IncidentSeen, left: Callable[[], str]) -> Decided:
    """What to write; raises Refusal where nothing may be.

    `left` gives the digest of what closing it now leaves in force, "" when nothing is left.
    """
    if not seen.asks:
        raise _refuse("may_not_change", "You may read incidents and not change them.", 403)
    differs = _differences(change, seen)
    if not differs:
        return _nothing(change, seen)
    if change.guarded:
        _check_version(change, seen)
    if set(differs) - {"note"} and not _may_change(change, seen):
        what = f"{seen.lead} leads {seen.ref}. Only they or an admin may change it."
        raise _refuse("not_its_lead", what, 403)
    _check_people(change, seen)
    if change.state == IncidentState.OPEN and not change.note:
        raise ParamsRefused(
            "no_reason", "Say in a note why it is opened again. Nothing changed.", {"field": "note"}
        )
    if change.state == IncidentState.CLOSED and (now := left()) and change.confirm != now:
        what = "Look at what is still in force or under way, then confirm that it may stay so."
        raise _refuse("confirm_needed", what, 409)
    return Decided(_kind(differs), differs, _told(differs, change, seen))


def _may_change(change: Change, seen: IncidentSeen) -> bool:
    return seen.administers or seen.lead == seen.caller_name


def _differences(change: Change, seen: IncidentSeen) -> dict[str, object]:
    """What would be other than it is; a note goes with that, or stands alone where nothing was asked."""
    found: dict[str, object] = {}
    for name in ("title", "lead", "state", "restricted"):
        wanted = getattr(change, name)
        if wanted is not None and wanted != getattr(seen, name):
            found[name] = wanted
    if add := sorted(set(change.add) - seen.members):
        found["add"] = add
    if remove := sorted(set(change.remove) & seen.members):
        found["remove"] = remove
    asked = change.guarded or change.add or change.remove
    return found | ({"note": change.note} if change.note and (found or not asked) else {})


def _nothing(change: Change, seen: IncidentSeen) -> Decided:
    unsaid = " Your note was not added." if change.note else ""
    return Decided("", {}, f"It is so already. {_stands(seen)}{unsaid} Nothing changed.")


def _stands(seen: IncidentSeen) -> str:
    at = f"{seen.changed_at:%-d %b %Y %H:%M:%S} UTC"
    return (
        f"{seen.ref} is {seen.state}, {seen.lead} leads it; "
        f"last changed by {seen.changed_by} at {at}, version {seen.version}."
    )


def _check_version(change: Change, seen: IncidentSeen) -> None:
    if change.version is None:
        raise _refuse(
            "version_needed",
            "Say which version of the incident you have seen, in If-Match or version.",
            428,
        )
    if change.version != seen.version:
        raise _refuse("stale", f"It has changed since you saw it. {_stands(seen)}", 412)


def _check_people(change: Change, seen: IncidentSeen) -> None:
    for name in (*change.add, *([change.lead] if change.lead else [])):
        person = seen.people.get(name)
        if person is None or not person.active or person.kind == "console":
            raise _refuse("no_such_person", f"There is nobody called {name[:80]} here.", 422)
    if change.lead is not None and change.lead != seen.lead:
        person = seen.people[change.lead]
        if person.kind != "person" or not person.asks:
            what = f"{person.username} cannot lead it: a lead is a person who may ask for actions."
            raise _refuse("cannot_lead", what, 422)
    if (change.lead or seen.lead) in change.remove:
        raise _refuse("lead_stays", "Its lead sees it. Hand it over first.", 409)


def _refuse(code: str, what: str, status: int) -> Refusal:
    disposition = {"stale": "stale", "confirm_needed": "conflict"}.get(code, "refused")
    return Refusal(code, f"{what} Nothing changed.", {"status": status, "disposition": disposition})


def _kind(differs: Mapping[str, object]) -> str:
    """What the entry is called; `changed` when it is several things at once."""
    did = set(differs) - {"note"}
    if len(did) != 1:
        return "changed" if did else "noted"
    match did.pop():
        case "state":
            return "closed" if differs["state"] == IncidentState.CLOSED else "reopened"
        case "restricted":
            return "restricted" if differs["restricted"] else "unrestricted"
        case what:
            return {"title": "renamed", "lead": "handed_over", "add": "joined", "remove": "left"}[
                what
            ]


def _told(differs: Mapping[str, object], change: Change, seen: IncidentSeen) -> str:
    """What was done, in words."""
    said = {
        "title": f"It is called: {change.title}.",
        "lead": f"{change.lead} leads it now.",
        "state": "It is closed; what was done because of it stays as it is."
        if change.state == IncidentState.CLOSED
        else "It is open again.",
        "restricted": "Only its members see it now."
        if change.restricted
        else "Everybody sees it now.",
        "add": f"It is open to {', '.join(change.add)}.",
        "remove": f"No longer members: {', '.join(change.remove)}.",
        "note": "Your note is kept.",
    }
    return " ".join([f"{seen.ref}:", *(said[name] for name in said if name in differs)])
