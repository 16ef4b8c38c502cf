"""A verb on an operation that there is: look, decide, write; and look again if somebody was first.

The same way as `actions.issue`: each request has a key and an arrival, Python decides, and the
database (`sql/verbs.sql`) writes nothing when what was decided on is no longer so.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from actions import database, history, keys, sight, subjects
from actions.answer import Answer, as_told
from actions.ask import Ask, Decision
from actions.compare import may_not
from actions.errors import NotFound
from actions.faults import point
from actions.issue import PASSES, Who, admit, surely, too_many, written
from actions.keyed import by_key
from actions.policy import rights
from actions.registry import registry
from actions.standing import Facts, Look, Standing, facts, look
from actions.subjects import Subject

NO_OPERATION = "There is no such operation that you may see."


@dataclass(frozen=True, slots=True)
class Verb:
    """One request about an operation: `name` is finish, cancel, decide, approve or decline.

    A decision has the effect's number and the state that it is to be in; an approval the digest of
    the plan that it is for, in hex.
    """

    name: str
    ref: str
    key: str
    via: str
    reason: str = ""
    effect: int | None = None
    to: str = ""
    digest: str = ""

    def fingerprint(self) -> bytes:
        """What the key stands for: everything that was asked, as it was asked."""
        # Left out where nothing is approved: what was sent before it existed keeps its fingerprint.
        shown = {"digest": self.digest} if self.digest else {}
        return keys.fingerprint(
            {
                **shown,
                "rules": keys.RULES,
                "verb": self.name,
                "operation": self.ref,
                "effect": self.effect,
                "to": self.to,
                "reason": self.reason,
            }
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One verb beside the operation that it is about, and what else was seen."""

    verb: Verb
    told: Facts
    seen: Standing

    @property
    def own(self) -> bool:
        """Whether who asks now is who asked for the operation."""
        return bool(self.told["requested_by_id"] == str(self.seen.caller_id))

    @property
    def is_newest(self) -> bool:
        """Whether no later generation of the lane is there, whatever came of it, but one that waits."""
        return bool(self.told["generation"] in {self.seen.generation, self.seen.moved_to})

    @property
    def states(self) -> set[str]:
        """The states of the operation's effects."""
        return {effect["state"] for effect in self.told["effects"]}


type Judge = Callable[[Case], Decision]
type Excuse = Callable[[Case, Decision], bool]


def act(who: Who, verb: Verb, judge: Judge, excused: Excuse = lambda case, no: False) -> Answer:
    """Take in one verb, once; the same request sent again is told what the first did.

    `judge` decides once the key and the rights have nothing to say; `excused` tells who may all the
    same. Raises NotFound, Unauthenticated and NotRecorded.
    """

    def decided() -> tuple[Case, Decision]:
        case = _look(who, verb)
        return case, _decide(case, judge, excused)

    return surely(
        lambda arrival: _passes(verb, decided, arrival),
        lambda arrival: _written_before(decided, arrival),
    )


def _passes(verb: Verb, decided: Callable[[], tuple[Case, Decision]], arrival: uuid.UUID) -> Answer:
    for _ in range(PASSES):
        case, decision = decided()
        point("act.decided")
        if written(_ACT, _params(case, decision, arrival)) is not None:
            return _answer(case, decision, arrival)
    raise too_many()


def _look(who: Who, verb: Verb) -> Case:
    row = database.one(_BY_REF, {"ref": verb.ref})
    told = facts(row["facts"])
    if told is None:
        raise NotFound("no_operation", f"{NO_OPERATION} Nothing changed.")
    action = registry.action(told["action"])
    subject = Subject(told["kind"], told["name"], subjects.RULES)
    seen = admit(who, look(Look(action, subject, verb.key, who.caller, who.token_prefix)))
    if seen.hidden:
        raise NotFound("no_operation", f"{NO_OPERATION} Nothing changed.")
    return Case(verb, told, seen)


_BY_REF = "SELECT (SELECT f.facts FROM operation_facts f WHERE f.ref = %(ref)s::text) AS facts"


def _decide(case: Case, judge: Judge, excused: Excuse) -> Decision:
    verb, seen = case.verb, case.seen
    ask = Ask(
        registry.action(case.told["action"]),
        Subject(case.told["kind"], case.told["name"], subjects.RULES),
        {},
        verb.reason,
        verb.key,
        verb.via,
    )
    if decision := by_key(ask, seen, verb.fingerprint()):
        return decision
    decision = may_not(ask, seen)
    if decision is None or (_in_scope(case) and excused(case, decision)):
        return replace(judge(case), told=case.told)
    if decision.status == 404:
        # The same words as for an operation that there is not: the two must read the same.
        return replace(decision, code="no_operation", message=f"{NO_OPERATION} Nothing changed.")
    return decision


def _in_scope(case: Case) -> bool:
    token = case.seen.token
    return token is None or f"ask:{case.told['action']}" in token.scopes


_ACT = """
SELECT verdict, at FROM act(
  %(arrival)s::uuid, %(caller)s::uuid, %(key)s::text, %(fingerprint)s::bytea, %(rules)s::int,
  %(via)s::text, %(token)s::uuid, %(request)s::bigint, %(disposition)s::text, %(code)s::text,
  %(operation)s::bigint, %(state)s::text, %(newest)s::int, %(named)s::boolean, %(verb)s::text,
  %(effect)s::bigint, %(to)s::text, %(message)s::text, %(body)s::text)
"""


def _params(case: Case, decision: Decision, arrival: uuid.UUID) -> dict[str, Any]:
    verb, seen = case.verb, case.seen
    told = decision.told
    return {
        "arrival": arrival,
        "caller": seen.caller_id,
        "key": verb.key,
        "fingerprint": verb.fingerprint(),
        "rules": keys.RULES,
        "via": verb.via,
        "token": seen.token.id if seen.token else None,
        "request": seen.key.id if seen.key else None,
        "disposition": decision.disposition,
        "code": decision.code,
        "operation": case.told["id"],
        "state": case.told["state"],
        "newest": seen.generation,
        "named": told is not None and told["id"] == case.told["id"],
        "verb": verb.name,
        "effect": verb.effect,
        "to": verb.to,
        "message": f"{seen.caller_name} decided: {SAID[verb.to]}." if verb.to else "",
        "body": keys.canonical(_event(case, decision, arrival)).decode(),
    }


SAID = {
    "succeeded": "it is in place",
    "failed": "it is not in place, and is given up",
    "ready": "it is not in place, and is to be tried again",
}
"""What a person says of a parked effect, by the state that it is to be in."""


def _event(case: Case, decision: Decision, arrival: uuid.UUID) -> dict[str, object]:
    verb, seen = case.verb, case.seen
    event: dict[str, object] = {
        "arrival": str(arrival),
        "by": seen.caller_name,
        "caller": str(seen.caller_id),
        "code": decision.code,
        "disposition": decision.disposition,
        "key": verb.key,
        "reason": verb.reason,
        "token": str(seen.token.id) if seen.token else None,
        "verb": verb.name,
        "via": verb.via,
    }
    if verb.digest:
        event["digest"] = verb.digest
    if verb.effect is not None:
        which = next((e for e in case.told["effects"] if e["n"] == verb.effect), None)
        event |= {
            "effect": verb.effect,
            "from": which["state"] if which else None,
            "realm": which["realm"] if which else None,
            "step": which["step"] if which else None,
            "to": verb.to,
        }
    return event


def _answer(case: Case, decision: Decision, arrival: uuid.UUID) -> Answer:
    """What was just written, beside what is true now that it is."""
    named = decision.told
    assert case.seen.caller_id is not None
    told = history.facts_of([named["id"]])[0] if named else None
    told = sight.unveil_one(told, case.seen.caller_id)
    now = history.now_of(told) if told else None
    return Answer(
        disposition=decision.disposition,
        code=decision.code,
        message=decision.message,
        status=decision.status,
        arrival=arrival,
        in_force=now.in_force if now else "unknown",
        read_at=now.read_at if now else None,
        exact=True,
        replayed=decision.replayed,
        operation=told,
        superseded_by=now.superseded_by if now else None,
        overlaps=now.overlaps if now else (),
        retry_after=None,
        sees=rights(case.seen.caller_id).sees,
    )


_BEFORE = """
SELECT a.disposition, a.code FROM (SELECT 1) AS always LEFT JOIN arrival a ON a.id = %(arrival)s
"""


def _written_before(
    decided: Callable[[], tuple[Case, Decision]], arrival: uuid.UUID
) -> Answer | None:
    """What this very arrival was told, if its write was committed and only the answer was lost."""
    row = database.one(_BEFORE, {"arrival": arrival})
    if row["disposition"] is None:
        return None
    case, now = decided()
    status, message = as_told(row["disposition"], row["code"], now, now.told)
    before = replace(
        now,
        disposition=row["disposition"],
        code=row["code"],
        status=status,
        message=message,
        replayed=False,
    )
    return _answer(case, before, arrival)
