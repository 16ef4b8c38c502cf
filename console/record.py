"""The log's events in words, for the record on an operation's page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actions.models import LogEvent
from console import steps
from console.wording import NOT_SHOWN, WORDS, on_day


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: its number within the operation, when, whose, in words, and its leaf's digest."""

    number: int | None
    at: datetime
    who: str
    what: str
    digest: str

    @property
    def clock(self) -> str:
        """When, to milliseconds, with the day when it is not today's."""
        return on_day(self.at, precise=True)


def entries(events: Iterable[LogEvent], *, reasons: bool = True) -> list[Entry]:
    """Events as a person reads them; without `reasons`, for whom may not know why it was asked."""
    return [_entry(event, reasons) for event in events]


def _entry(event: LogEvent, reasons: bool) -> Entry:
    raw = bytes(event.body)
    body = json.loads(raw)["body"]
    if not reasons:
        body.pop("reason", None)
    digest = hashlib.sha256(raw).hexdigest()[:12]
    return Entry(event.number, event.at, _who(body), _what(event.kind, body), digest)


def _who(body: Mapping[str, Any]) -> str:
    return str(body.get("by", "console")).removeprefix("steadyhand_")


def _what(kind: str, body: Mapping[str, Any]) -> str:
    if kind in _DECIDED:
        return f"{_DECIDED[kind]}: {_reason(body)}"
    match kind:
        case "operation.requested":
            return f"Asked for, generation {body['generation']}: {_reason(body)}"
        case "request.arrived":
            return _ARRIVED.get(body["disposition"], "Asked, and refused: nothing changed")
        case "operation.moved":
            return f"Operation: {_word(body['from'])} → {_word(body['to'])}"
        case "effect.moved":
            found = f", {body['found'].replace('_', ' ')}" if body["found"] else ""
            note = f". {body['message']}" if body["message"] else ""
            return f"{_step(body)}: {_word(body['from'])} → {_word(body['to'])}{found}{note}"
        case "effect.decided":
            said = f"{_word(body['from'])} → {_word(body['to'])}"
            return f"{_step(body)} in {body['realm']}, decided: {said}. {_reason(body)}"
        case "effect.forgotten":
            return f"{_step(body)}: it may have been sent before the failover, and is read first"
        case "end.issued":
            return f"Its time was over: ended by {body['operation']}"
        case "end.void":
            return f"Its time was over, and nothing was ended: {body['why']}"
        case "value.shown":
            return f"The new value was shown to who asked, by {body['via']}"
        case "value.erased":
            return f"The new value was erased: {body['why']}"
        case _:
            return _PLAIN.get(kind, kind.replace(".", " "))


_PLAIN = {
    "operation.cancelled": "Withdrawn: nothing of it was sent",
    "value.acknowledged": "Who asked says that they have the new value",
}
_DECIDED = {"approval.given": "Approved", "approval.declined": "Declined"}
_ARRIVED = {
    "existing": "Asked again: it stood already, and nothing else started",
    "resumed": "Asked again: what was unfinished was started",
    "stale": "Asked on what is no longer so: nothing changed",
    "conflict": "The opposite was asked for meanwhile: nothing changed",
    "key_reused": "A key of this was sent with other content: nothing changed",
    "too_soon": "Confirmed before it could be read: nothing changed",
}


def _reason(body: Mapping[str, Any]) -> str:
    return f"“{body['reason']}”" if "reason" in body else NOT_SHOWN


def _step(body: Mapping[str, Any]) -> str:
    return steps.TITLES.get(body["step"], f"Effect {body['step']}")


def _word(state: str) -> str:
    return WORDS.get(state, state.replace("_", " ")).lower()


def administered(kind: str, body: Mapping[str, Any]) -> str:
    """What an admin did, in words; "" for every other kind."""
    own = ": themselves" if body.get("own") == "yes" else ""
    match kind:
        case "account.added":
            return f"Added the account {body['account']}, a {body['kind']}"
        case "account.closed":
            return f"Closed the account {body['account']}"
        case "account.reopened":
            return f"Opened the account {body['account']} again, with a new password"
        case "group.made":
            return f"Made the group {body['group']}"
        case "member.added":
            return f"Put {body['account']} into {body['group']}{own}"
        case "member.removed":
            return f"Took {body['account']} out of {body['group']}{own}"
        case "rights.changed":
            return f"{body['group']} on {body['on']}: {_changed(body)}{own and ', a group of their own'}"
        case "token.issued":
            return f"Issued the token sh_{body['prefix']}… for {body['account']}"
        case "token.withdrawn":
            return f"Withdrew the token sh_{body['prefix']}… of {body['account']}"
        case _:
            return ""


def _changed(body: Mapping[str, Any]) -> str:
    found = [("given", body["given"]), ("taken away", body["taken"])]
    return ", ".join(f"{' and '.join(rights)} {word}" for word, rights in found if rights)
