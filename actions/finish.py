"""Finish an operation: only what is unfinished runs, under the rights and limits of now."""

from __future__ import annotations

from actions import limits, states
from actions.act import Case, Verb, act
from actions.answer import Answer
from actions.ask import Decision, done_by
from actions.issue import Who
from actions.states import EffectState, OperationState
from actions.subjects import RULES, Subject, width_refusal

_UNDER_WAY = states.HOLDING | {OperationState.AWAITING_APPROVAL}


def finish(who: Who, ref: str, key: str, via: str) -> Answer:
    """Set going what failed of an operation, and what was cancelled behind it.

    Raises NotFound, Unauthenticated and NotRecorded.
    """
    return act(who, Verb("finish", ref, key, via), judge)


def judge(case: Case) -> Decision:
    """What whoever may ask for it is told."""
    return _nothing_left(case) or _not_newest(case) or _not_now(case) or _resumed(case)


def _nothing_left(case: Case) -> Decision | None:
    state = case.told["state"]
    if state in _UNDER_WAY:
        return Decision("existing", "", f"It is under way already: {done_by(case.told)}")
    if state == OperationState.SUCCEEDED:
        return Decision("existing", "", f"Nothing is left to do: {done_by(case.told)}")
    return None


def _not_newest(case: Case) -> Decision | None:
    newest = case.seen.standing or case.seen.newest
    if case.is_newest or newest is None:
        return None
    now = f"Only the newest generation can be finished, and now that is {done_by(newest)}"
    if newest["state"] in states.HOLDING:
        return Decision("conflict", "conflict", f"{now} It holds the lane. Nothing changed.", 409)
    return Decision("stale", "moved", f"{now} Nothing changed.", 412)


def _not_now(case: Case) -> Decision | None:
    state = case.told["state"]
    if state == OperationState.PARKED and EffectState.FAILED not in case.states:
        return _refused(
            "needs_decision",
            "A person must look first, and say for each parked effect what they found.",
            409,
        )
    if state not in states.UNFINISHED | {OperationState.PARKED}:
        return _refused("over", f"It was never begun, and is over: {done_by(case.told)}", 409)
    if case.told.get("erased"):
        return _refused(
            "erased",
            "What it made is erased, so it cannot be finished. Ask for it anew.",
            409,
        )
    if not case.seen.goes_on(case.told):
        return _refused(
            "needs_approval",
            "To run what is left needs approval now, and what was given is not enough or is over. "
            "Ask for it anew: that waits for those who can approve.",
            403,
        )
    subject = Subject(case.told["kind"], case.told["name"], RULES)
    if no := limits.protected_from(case.told["desired"], subject, case.seen.protection):
        return no
    if too_wide := width_refusal(Subject(case.told["kind"], case.told["name"], RULES)):
        return _refused(too_wide.code, too_wide.message, 403)
    there = {realm.id for realm in case.seen.realms}
    left = {EffectState.FAILED, EffectState.CANCELLED}
    gone = sorted(
        e["realm"]
        for e in case.told["effects"]
        if e["state"] in left and e["realm_id"] not in there
    )
    if gone:
        return _refused("no_realm", f"{', '.join(gone)} is no longer set up.", 403)
    return None


def _refused(code: str, what: str, status: int) -> Decision:
    return Decision("refused", code, f"{what} Nothing changed.", status)


def _resumed(case: Case) -> Decision:
    return Decision("resumed", "", f"{done_by(case.told)} Only what is unfinished runs again.")
