"""What one request is told, put together from what was decided and what was written."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from actions import states
from actions.approvals import needs_of
from actions.ask import Ask, Decision
from actions.catalogue._ends import moment
from actions.force import in_force, verified
from actions.known import Overlap
from actions.plan import Plan, PlannedEffect, RealmNow
from actions.policy import Sight, rights
from actions.standing import Facts, Standing

DID = frozenset({"created", "resumed", "cancelled", "decided", "approved", "declined", "kept"})
"""Dispositions of what a request made happen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request is told. `changed` is true only where this very request did something."""

    disposition: str
    code: str
    message: str
    status: int
    arrival: uuid.UUID
    in_force: str
    exact: bool
    replayed: bool
    operation: Facts | None
    superseded_by: Facts | None
    overlaps: tuple[Overlap, ...]
    read_at: str | None  # when what is told was last looked at; None: not since it settled
    sees: Sight  # of what is named here, what the asker may see
    retry_after: int | None  # seconds after which a limit is over

    @property
    def changed(self) -> bool:
        """Whether this very request made something happen."""
        return self.disposition in DID


@dataclass(frozen=True, slots=True)
class Written:
    """What the database wrote: the operation that the answer names, when, and its arrivals so far."""

    operation: int | None
    ref: str | None
    at: datetime
    arrivals: int | None


def of_written(
    ask: Ask, seen: Standing, decision: Decision, arrival: uuid.UUID, written: Written
) -> Answer:
    """The answer to a request whose decision was just written."""
    told = decision.told
    if decision.plan is not None:
        told = _new_facts(ask, seen, decision, written)
    elif told is not None and written.arrivals is not None:
        told = {**told, "arrivals": written.arrivals, "last_arrival_at": moment(written.at)}
        if decision.disposition == "resumed":
            told["state"] = "running"
    later = _later(told, seen) if decision.disposition not in {"created", "key_reused"} else None
    told, read_at = _verified(told, ask, seen)
    return Answer(
        disposition=decision.disposition,
        code=decision.code,
        message=decision.message or made_message(told),
        status=decision.status,
        arrival=arrival,
        in_force=_in_force(told, ask, seen),
        exact=decision.exact,
        replayed=decision.replayed,
        operation=told,
        superseded_by=later,
        overlaps=seen.overlaps,
        read_at=read_at,
        retry_after=decision.retry_after,
        sees=_sees(ask, seen, told, later),
    )


def of_lost(
    ask: Ask,
    seen: Standing,
    decision: Decision,
    arrival: uuid.UUID,
    before: tuple[str, str, Facts | None],
) -> Answer:
    """The answer that was lost: `before` is the disposition, code and operation as written then."""
    disposition, code, told = before
    status, message = as_told(disposition, code, decision, told)
    later = _later(told, seen) if disposition != "key_reused" else None
    told, read_at = _verified(told, ask, seen)
    return Answer(
        disposition=disposition,
        code=code,
        message=message,
        status=status,
        arrival=arrival,
        in_force=_in_force(told, ask, seen),
        exact=decision.exact,
        replayed=False,
        operation=told,
        superseded_by=later,
        overlaps=seen.overlaps,
        read_at=read_at,
        retry_after=decision.retry_after,
        sees=_sees(ask, seen, told, later),
    )


def _in_force(told: Facts | None, ask: Ask, seen: Standing) -> str:
    """Whether what is told is in force; of another lane than the one looked at, it is not known."""
    if told is None or (told["kind"], told["name"]) != (ask.subject.kind, ask.subject.name):
        return "unknown"
    return in_force(told, seen.known, seen.around)


def _verified(told: Facts | None, ask: Ask, seen: Standing) -> tuple[Facts | None, str | None]:
    if told is None or (told["kind"], told["name"]) != (ask.subject.kind, ask.subject.name):
        return told, None
    found = verified(told, seen.known)
    return {**told, "verified_at": found.verified_at}, found.read_at


def _later(told: Facts | None, seen: Standing) -> Facts | None:
    """What took the lane after the operation that is told."""
    standing = seen.standing
    return standing if told and standing and standing["generation"] > told["generation"] else None


def _sees(ask: Ask, seen: Standing, *told: Facts | None) -> Sight:
    """What of that which is named the asker may see: reasons are told to nobody else."""
    asked = frozenset({ask.action.name} if seen.may_see else ())
    realms = frozenset(realm.name for realm in seen.realms if realm.may_see)
    others = {facts["action"] for facts in told if facts} - {ask.action.name}
    if not others or seen.caller_id is None:
        return Sight(asked, realms)
    return rights(seen.caller_id).sees


def made_message(facts: Facts | None) -> str:
    """That it was issued, and what it waits for, if it does."""
    if facts is None:
        return ""
    said = f"Issued as {facts['ref']}, generation {facts['generation']}."
    if facts["state"] not in states.WAITING:
        return said
    until = datetime.fromisoformat(facts["approve_by"])
    return (
        f"{said} It waits for approval by {needs_of(facts['approvals']).words}, until "
        f"{until:%-d %b %Y %H:%M} UTC. Nothing is sent before that."
    )


def _new_facts(ask: Ask, seen: Standing, decision: Decision, written: Written) -> Facts:
    """The operation just made, as `operation_facts` will tell it: no third round trip for that."""
    made = decision.plan
    assert made is not None
    at = moment(written.at)
    names = {realm.id: realm for realm in seen.realms}
    return {
        "id": written.operation,
        "ref": written.ref,
        "generation": seen.generation + 1,
        "lane": ask.action.lane,
        "action": made.action,
        "kind": ask.subject.kind,
        "name": ask.subject.name,
        "label": ask.subject.called or ask.subject.name,
        "state": "awaiting_approval" if decision.waits else "approved",
        "desired": dict(made.intent.desired),
        "span": made.intent.span,
        "ends_at": moment(made.intent.until) if made.intent.until else None,
        "reason": ask.reason,
        "because": decision.because,
        "undoes": ask.undoes.ref if ask.undoes else None,
        "again_of": seen.generation if ask.again else None,
        "requested_by": seen.caller_name,
        "requested_by_id": str(seen.caller_id),
        "requested_by_kind": seen.caller_kind,
        "via": ask.via,
        "requested_at": at,
        "settled_at": None,
        "verified_at": None,
        "ended_at": None,
        "end_note": "",
        "keep_for": decision.keep_for,
        "keep_by": _keep_by(decision, written),
        "kept_at": None,
        "arrivals": 1,
        "last_arrival_at": at,
        "incidents": [ask.incident] if ask.incident is not None else [],
        "effects": [
            _new_effect(effect, made, names[effect.realm], decision.waits)
            for effect in made.effects
        ],
        **_new_approvals(decision, made, written),
    }


def _keep_by(decision: Decision, written: Written) -> str | None:
    if not decision.keep_for or decision.waits:
        return None
    return moment(written.at + timedelta(seconds=decision.keep_for))


def _new_approvals(decision: Decision, made: Plan, written: Written) -> Facts:
    by = written.at + timedelta(minutes=decision.needs.minutes or 0)
    if made.intent.until is not None:
        by = min(by, made.intent.until)
    return {
        "approvals": decision.needs.rows,
        "approve_by": moment(by) if decision.waits else None,
        "approved_at": None if decision.waits else moment(written.at),
        "digest": made.digest.hex(),
        "break_glass": str(decision.break_glass) if decision.break_glass else None,
        "decisions": [],
        "may_go_on": True,
        "not_by": [],
    }


def _new_effect(effect: PlannedEffect, made: Plan, realm: RealmNow, held: bool) -> Facts:
    first = "held" if held else "ready" if effect.ord == made.effects[0].ord else "blocked"
    return {
        **effect.row(),
        "realm": realm.name,
        "realm_id": effect.realm,
        "title": realm.title,
        "state": first,
        "found": "",
        "message": "",
        "attempts": 0,
        "settled_at": None,
        "verified_at": None,
    }


_STATUS = {"created": 201, "existing": 200, "resumed": 200, "cancelled": 200, "decided": 200}
_STATUS |= {"approved": 200, "declined": 200, "kept": 200}
_STATUS |= {"key_reused": 422, "stale": 412, "conflict": 409, "too_soon": 409, "refused": 403}


def as_told(disposition: str, code: str, now: Decision, told: Facts | None) -> tuple[int, str]:
    """Status and message of what was written, beside what would be decided now."""
    if disposition == "created":
        return _STATUS[disposition], made_message(told)
    if (disposition, code) == (now.disposition, now.code):
        return now.status, now.message
    if _STATUS[disposition] == 200:
        return _STATUS[disposition], now.message
    # Judged again now, it would be told something else; but this time it was refused.
    return _STATUS[disposition], "Nothing changed. What stood against it has passed: ask again."
