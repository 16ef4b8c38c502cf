"""What a request is told: the rules of contract §4, in the order in which they are judged.

Everything here is pure: from what was asked and what was seen, to a decision. Writing it, and
deciding again if somebody else was first, is `actions.issue`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from actions import awaited, limits, plan, states, undoable
from actions.ask import Ask, Decision, done_by
from actions.case import Case, consider
from actions.catalogue._base import Relation
from actions.keyed import by_key
from actions.standing import Facts, Standing, intent_of
from actions.subjects import width_refusal

DRAFT_GOES_STALE_AFTER = timedelta(minutes=30)
NO_REALM = "No system is set up that could do this."
TOO_SOON = timedelta(seconds=0.8)


def may_not(ask: Ask, seen: Standing) -> Decision | None:
    if not seen.may_see and not seen.may_ask:
        # The same words as for an action that there is not: the two must read the same.
        return _refused("unknown_action", "There is no such action in the catalogue.", 404)
    if seen.token is not None and f"ask:{ask.action.name}" not in seen.token.scopes:
        return _refused("token_scope", f"This token may not ask for {ask.action.name}.", 403)
    if not seen.may_ask:
        return _refused("may_not_ask", f"You may not ask for {ask.action.name}.", 403)
    closed = [r for r in plan.within(ask.subject, seen.realms) if not r.may_ask]
    if closed:
        named = ", ".join(sorted(r.name for r in closed if r.may_see)) or "in every system it needs"
        return _refused("may_not_ask_realm", f"You may not ask {named}.", 403)
    if seen.hidden and ask.undoes is not None:
        return _refused("no_realm", NO_REALM, 403)
    if ask.incident is not None and seen.incident_id is None:
        return _refused("no_incident", f"There is no incident INC-{ask.incident}.", 404)
    if ask.incident is not None and seen.incident_closed:
        return _refused(
            "incident_closed",
            f"INC-{ask.incident} is closed. Have it reopened, or ask because of another or none.",
            409,
        )
    return None


def _too_soon(case: Case) -> Decision | None:
    draft = case.ask.draft
    if draft is None or case.ask.via != "browser":
        return None
    shown = draft.first_shown_at
    if shown is not None and case.seen.now - shown >= TOO_SOON:
        return None
    after = (
        f" {(case.seen.now - shown).total_seconds():.1f} seconds after it opened" if shown else ""
    )
    return Decision(
        "too_soon",
        "too_soon",
        f"You confirmed before you could read it{after}. Nothing changed. "
        "Check the details, then confirm.",
        409,
    )


def _stale(case: Case) -> Decision | None:
    ask, seen = case.ask, case.seen
    if ask.seen is not None and ask.seen > seen.generation:
        return _gone_stale(case, "seen_unknown", f"There is no generation {ask.seen} yet.")
    if case.relation is Relation.OPPOSED and ask.seen is not None and ask.seen < seen.moved_to:
        return _gone_stale(case, "moved", f"You saw generation {ask.seen}.")
    if case.relation is Relation.OPPOSED and ask.seen is None and _against_a_person(case):
        return _gone_stale(case, "against_a_person", "A person decided otherwise meanwhile.")
    if case.relation is Relation.LAPSED and not _orders_again(case):
        return _gone_stale(
            case,
            "too_long_ago",
            "That it was done is too long ago to be enough. If it must happen again, say so: "
            "again, the generation that you have seen, and a reason of its own.",
        )
    return _stale_draft(case)


def _stale_draft(case: Case) -> Decision | None:
    draft = case.ask.draft
    if draft is None:
        return None
    if case.seen.now - draft.created_at > DRAFT_GOES_STALE_AFTER:
        return _gone_stale(case, "draft_old", "This was prepared more than 30 minutes ago.")
    if case.intent.until is not None and case.intent.until <= case.seen.now:
        return _gone_stale(case, "draft_old", "The end that this draft was given has passed.")
    if draft.plan_digest != case.plan.digest:
        return _gone_stale(case, "plan_changed", "What it would do has changed since you saw it.")
    return None


def _gone_stale(case: Case, code: str, why: str) -> Decision:
    newest = case.standing or case.seen.newest
    now = f" It is now generation {case.seen.generation}: {done_by(newest)}" if newest else ""
    return Decision(
        "stale",
        code,
        f"{why}{now} Nothing changed. Look at what is there, then ask again.",
        412,
        newest,
        on_lane=True,
    )


def _against_a_person(case: Case) -> bool:
    """Whether a token asks against what a person took back; that it may take back what one did."""
    standing, ask = case.standing, case.ask
    if ask.action.takes_back:
        return False
    if case.seen.token is None or standing is None or standing["requested_by_kind"] != "person":
        return False
    incidents = standing["incidents"]
    return ask.incident in incidents if ask.incident is not None else not incidents


def _covered(case: Case) -> Decision | None:
    standing = case.standing
    if standing is None or case.relation is not Relation.COVERED or _orders_again(case):
        return None
    exact = _exact(standing, case)
    if standing["state"] in states.UNFINISHED:
        if not case.seen.goes_on(standing):
            return None  # what it was given lets it go on no more: it is asked for anew, and waits
        return Decision(
            "resumed",
            "",
            f"{done_by(standing)} Only what is unfinished runs again.",
            200,
            standing,
            on_lane=True,
            exact=exact,
        )
    return Decision("existing", "", done_by(standing), 200, standing, on_lane=True, exact=exact)


def _orders_again(case: Case) -> bool:
    """`again` names the generation that it follows; whoever is late meets the one who was first."""
    return case.ask.again and case.ask.seen in {case.seen.generation, case.seen.moved_to}


def _exact(told: Facts, case: Case) -> bool:
    return intent_of(told).until == case.intent.until


def _awaited(case: Case) -> Decision | None:
    waiting = case.seen.newest
    if waiting is None or not case.waits:
        return None
    told = awaited.decide(case.ask, waiting, case.to_waiting)
    if told is None or told.status >= 400:
        return told
    return _stale_draft(case) or replace(told, exact=_exact(waiting, case))


def _conflict(case: Case) -> Decision | None:
    standing = case.standing
    if standing is None or case.relation is not Relation.OPPOSED:
        return None
    has_seen = case.ask.seen is not None and case.ask.seen >= standing["generation"]
    if standing["state"] not in states.HOLDING or has_seen:
        return None
    return Decision(
        "conflict",
        "conflict",
        f"{done_by(standing)} That is the opposite, and it is not settled yet. Nothing changed. "
        f"To go against it, say that you have seen generation {standing['generation']}.",
        409,
        standing,
        on_lane=True,
    )


def _limits(case: Case) -> Decision | None:
    if too_wide := width_refusal(case.ask.subject):
        return _refused(too_wide.code, too_wide.message, 403)
    if not case.plan.effects and case.left:
        also = " To do it anyway, ask for that." if case.ask.action.params else ""
        return _refused("not_ours", f"{' '.join(case.left)}{also}", 409)
    if not case.plan.effects:
        return _refused("no_realm", NO_REALM, 403)
    if limited := limits.of_width(case.ask, case.intent, case.seen.protection, case.seen.seats):
        return limited
    standing = case.standing
    if case.ask.again and standing and _same_words(case.ask.reason, standing["reason"]):
        return _refused(
            "again_needs_reason",
            f"Say why it must happen again: this is the reason that {standing['ref']} was given.",
            422,
        )
    return None


def _same_words(one: str, other: str | None) -> bool:
    return one.split() == (other or "").split()


def _alone(case: Case) -> Decision | None:
    seen = case.seen
    if seen.break_glass is not None:
        return None
    return limits.nobody_to_agree(
        case.ask.subject, case.intent.desired, seen.protection, case.needs
    )


def _create(case: Case) -> Decision:
    because = ""
    if case.drifted and case.standing is not None:
        because = f"drift of @{case.standing['generation']}"
    if case.ask.again:
        because = f"again after @{case.seen.generation}"
    made = Decision("created", "", "", 201, plan=case.plan, on_lane=True, because=because)
    return replace(
        made,
        needs=case.needs,
        break_glass=case.seen.break_glass,
        keep_for=limits.keep_for(case.ask, case.seen.seats),
    )


def _refused(code: str, what: str, status: int) -> Decision:
    return Decision("refused", code, f"{what} Nothing changed.", status)


_RULES: tuple[Callable[[Case], Decision | None], ...] = (
    _too_soon,
    _awaited,
    _stale,
    _covered,
    _conflict,
    _limits,
)


_UNDO_RULES = (
    _too_soon,
    lambda case: undoable.decide(case.ask, awaited.but_for(case.seen, case.waits), case.plan),
    _stale_draft,
    _limits,
)


def decide(ask: Ask, seen: Standing, fingerprint: bytes) -> Decision:
    """The first rule that has something to say; if none has, the operation is made.

    Raises ParamsRefused when what is asked makes no sense now, such as an end that has passed;
    that, too, is told only to those who may ask.
    """
    if decision := by_key(ask, seen, fingerprint) or may_not(ask, seen):
        return decision
    if decision := limits.protected(ask, seen.protection):
        return decision
    case = consider(ask, seen)
    if decision := _alone(case):
        return decision
    for rule in _UNDO_RULES if ask.undoes else _RULES:
        if decision := rule(case):
            # Of a lane that they may not know of, nothing is seen that the write could hold on to.
            return replace(decision, on_lane=decision.on_lane and not seen.hidden)
    return _create(case)
