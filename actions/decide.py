"""Decide a parked effect: a person looked, and says what they found and why they say so."""

from __future__ import annotations

from actions import database, states
from actions.act import SAID, Case, Verb, act
from actions.answer import Answer
from actions.ask import Decision, done_by
from actions.errors import ParamsRefused
from actions.issue import Who
from actions.standing import facts
from actions.states import EffectState


def decide(who: Who, ref: str, effect: int, to: str, reason: str, key: str, via: str) -> Answer:
    """Say of a parked effect that it is in place, is not, or is to be tried again.

    Raises NotFound, Unauthenticated, NotRecorded, and ParamsRefused `no_reason` or `bad_state`.
    """
    if not reason.strip():
        raise ParamsRefused(
            "no_reason", "Say what you saw, in reason. Nothing changed.", {"field": "reason"}
        )
    if to not in SAID:
        raise ParamsRefused(
            "bad_state", f"Say one of {', '.join(SAID)}. Nothing changed.", {"field": "to"}
        )
    return act(who, Verb("decide", ref, key, via, reason, effect, to), judge)


def judge(case: Case) -> Decision:
    """What whoever may ask for the action is told."""
    if case.seen.caller_kind != "person":
        return _refused("not_a_person", "Only a person decides this, having looked.", 403)
    effects = {effect["n"]: effect for effect in case.told["effects"]}
    effect = effects.get(case.verb.effect)
    if effect is None:
        return _refused("no_effect", "That operation has no such effect.", 404)
    if effect["state"] != EffectState.PARKED:
        return _decided_already(case) or _refused(
            "not_parked",
            f"Nobody has to decide this: it is {effect['state'].replace('_', ' ')}.",
            409,
        )
    if case.verb.to != EffectState.READY:
        return Decision("decided", "", f"Noted: {SAID[case.verb.to]}.")
    if case.is_newest and not case.seen.goes_on(case.told):
        return _refused(
            "needs_approval",
            "To send it again needs approval now, and what was given is not enough or is over. "
            "Say whether it is in place, then ask for it anew.",
            403,
        )
    return _not_again(case) or Decision("resumed", "", f"Noted: {SAID[EffectState.READY]}.")


def _not_again(case: Case) -> Decision | None:
    newest = case.seen.newest
    if case.told["state"] in states.VOID and case.is_newest:
        return Decision(
            "conflict",
            "conflict",
            f"Its operation is over, so this is not sent again: {done_by(case.told)} "
            "Say whether it is in place, then ask for it anew. Nothing changed.",
            409,
        )
    if case.is_newest or newest is None:
        return None
    return Decision(
        "conflict",
        "conflict",
        f"A later generation took the lane, so this is not sent again: {done_by(newest)} "
        "You can still say whether it is in place. Nothing changed.",
        409,
    )


_LAST = """
SELECT (SELECT convert_from(l.body, 'UTF8')::jsonb -> 'body' FROM log_event l
         WHERE l.operation_id = %(operation)s::bigint AND l.kind = 'effect.decided'
           AND convert_from(l.body, 'UTF8')::jsonb -> 'body' ->> 'effect' = %(effect)s::text
         ORDER BY l.number DESC LIMIT 1) AS body
"""


def _decided_already(case: Case) -> Decision | None:
    """Who decided it, and what, by the log; None when nobody did."""
    asked = {"operation": case.told["id"], "effect": str(case.verb.effect)}
    body = facts(database.one(_LAST, asked)["body"])
    if body is None:
        return None
    return Decision("existing", "", f"{body['by']} decided this already: {SAID[body['to']]}.")


def _refused(code: str, what: str, status: int) -> Decision:
    return Decision("refused", code, f"{what} Nothing changed.", status)
