"""Approve or decline what waits: a second person decides, once, on the plan that they were shown.

Who may is judged in one place, `approval_objection` in `sql/approvals.sql`: asked here before anything
is written, and again by the database when it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from actions import sight
from actions.act import Case, Verb, act
from actions.answer import Answer
from actions.approvals import needs_of
from actions.ask import Decision, done_by, unsent
from actions.errors import ParamsRefused
from actions.issue import Who
from actions.standing import Facts
from actions.states import WAITING

_DONE = {"approve": "approved", "decline": "declined"}


@dataclass(frozen=True, slots=True)
class No:
    """Why somebody may not decide: the rule's name, in words, and the HTTP status that says so."""

    code: str
    words: str
    status: int = 403


_WORDS = {
    "approval_by_a_person": "Only a person decides this.",
    "approval_not_by_requester": "You asked for it: somebody else must decide.",
    "approval_not_by_drafter": "You prepared it, or a token of yours did: somebody else must decide.",
    "approval_not_by_token_owner": "You answer for the token that asked: somebody else must decide.",
    "approval_needs_the_right": "You may not approve this action in every system that it is for.",
    "approval_needs_the_group": "You are in none of the groups that must approve it.",
    "approval_not_under_break_glass": (
        "You go alone under break-glass: nobody who does approves anything. Close it first."
    ),
    "approval_only_while_awaiting": "It waits for nobody any more.",
    "approval_not_too_late": "The time in which it could be approved is over.",
    "approval_of_the_newest": "A later operation took its place.",
    "approval_of_this_plan": "What you were shown is not what it would do. Look at it again.",
}
_LATE = {
    "approval_only_while_awaiting": 409,
    "approval_not_too_late": 409,
    "approval_of_the_newest": 409,
    "approval_of_this_plan": 412,
}


def approve(who: Who, ref: str, reason: str, digest: str, key: str, via: str) -> Answer:
    """Say yes to the plan of that digest (hex); the last yes that was needed lets it run.

    Raises NotFound, Unauthenticated, NotRecorded, and ParamsRefused `no_reason` or `bad_digest`.
    """
    return _decide("approve", who, ref, reason, digest, key, via)


def decline(who: Who, ref: str, reason: str, digest: str, key: str, via: str) -> Answer:
    """Say no, which ends it: nothing of it is sent. Raises as `approve`."""
    return _decide("decline", who, ref, reason, digest, key, via)


def _decide(name: str, who: Who, ref: str, reason: str, digest: str, key: str, via: str) -> Answer:
    reason = " ".join(reason.split())
    verb = Verb(name, ref, key, via, reason, digest=digest)
    if who.caller is not None:  # a token is told that it may not, whatever it sends
        _check(reason, digest)
    # Who may see it is told why they may not decide; to others there is no such operation.
    return act(who, verb, judge, lambda case, no: no.status != 404)


def _check(reason: str, digest: str) -> None:
    if not reason:
        raise ParamsRefused(
            "no_reason", "Say why, in reason: it is kept. Nothing changed.", {"field": "reason"}
        )
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ParamsRefused(
            "bad_digest",
            "Say which plan you decide on, in digest: the operation tells it. Nothing changed.",
            {"field": "digest"},
        )


def judge(case: Case) -> Decision:
    """What whoever may see it is told."""
    if case.seen.token is not None:
        return _refused(No("token_never_approves", "A token asks, and never approves."))
    return _decided_before(case) or _not_by_you(case) or _written_down(case)


def _decided_before(case: Case) -> Decision | None:
    mine = _decision_of(case.told, case.seen.caller_id)
    if mine is None:
        return None
    stands = f"You {_DONE[mine['decision']]} it already, {_at(mine)}: “{mine['reason']}”."
    if mine["decision"] == case.verb.name:
        return Decision("existing", "", f"{stands} {_now(case.told)}")
    return _refused(No("approval_once_per_person", f"{stands} A decision is not taken back.", 409))


def _not_by_you(case: Case) -> Decision | None:
    assert case.seen.caller_id is not None
    why = objections([case.told["id"]], case.seen.caller_id, case.verb.digest)[case.told["id"]]
    if why is None:
        return None
    if why.code == "approval_only_while_awaiting":
        return _told_meanwhile(case, why)
    return _refused(why)


def _told_meanwhile(case: Case, why: No) -> Decision:
    """Who decided it before this one, or what became of it: the second of two is told that."""
    last = case.told["decisions"][-1] if case.told["decisions"] else None
    if last is None:
        return _refused(No(why.code, f"{why.words} {done_by(case.told)}", why.status))
    # Who may not know why it was asked for is not told it by who decided either.
    shown = sight.unveil_one(case.told, case.seen.caller_id)
    why_so = f": “{last['reason']}”" if shown and shown["reason"] is not None else ""
    said = f"{last['by']} {_DONE[last['decision']]} it {_at(last)}{why_so}."
    if last["decision"] == case.verb.name:
        return Decision("existing", "", f"{said} Yours changed nothing. {_now(case.told)}")
    return _refused(No(why.code, f"{said} {_now(case.told)}", why.status))


def _written_down(case: Case) -> Decision:
    if case.verb.name == "decline":
        return Decision("declined", "", f"You declined it. {unsent(case.told)}")
    return Decision("approved", "", "Your approval is written down.")


def _refused(why: No) -> Decision:
    return Decision("refused", why.code, f"{why.words} Nothing changed.", why.status)


def _decision_of(told: Facts, caller: UUID | None) -> Facts | None:
    found = (d for d in told["decisions"] if d["by_id"] == str(caller))
    return next(found, None)


def _at(decision: Facts) -> str:
    return f"at {datetime.fromisoformat(decision['at']):%H:%M:%S} UTC"


def _now(told: Facts) -> str:
    if told["state"] in WAITING:
        return f"It waits for {needs_of(told['approvals']).words} in all."
    return f"It is {told['state'].replace('_', ' ')} now."


_OBJECTIONS = """
SELECT o.id, approval_objection(o.id, %(caller)s::uuid,
         coalesce(decode(%(digest)s::text, 'hex'), o.plan_digest))
  FROM operation o WHERE o.id = ANY(%(ids)s::bigint[])
"""


def objections(
    operations: Sequence[int], caller: UUID, digest: str | None = None
) -> dict[int, No | None]:
    """Why this person may not decide on each of these operations, or None where they may.

    `digest` is that of the plan that they were shown; without it, the operation's own.
    """
    given: dict[str, Any] = {"ids": list(operations), "caller": caller, "digest": digest}
    with connection.cursor() as cursor:
        cursor.execute(_OBJECTIONS, given)
        return {id: _no(rule) if rule else None for id, rule in cursor.fetchall()}


def _no(rule: str) -> No:
    return No(rule, _WORDS[rule], _LATE.get(rule, 403))
