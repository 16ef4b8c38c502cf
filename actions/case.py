"""One request beside what was seen, and what follows from both: what it is compared with, and how."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from actions import approvals, limits, mended, plan, spared, states
from actions.approvals import Needs, waits
from actions.ask import Ask
from actions.catalogue._base import Intent, Relation
from actions.standing import Facts, Standing, intent_of


@dataclass(frozen=True, slots=True)
class Case:
    """One request beside what was seen, and what follows from both."""

    ask: Ask
    seen: Standing
    intent: Intent
    plan: plan.Plan
    standing: Facts | None  # what stands, and so is compared with what is asked
    relation: Relation | None  # of what stands to what is asked; None when nothing stands
    drifted: bool = False  # what stands was enough, but a fresh look found the world otherwise
    left: tuple[str, ...] = ()  # why realms that could do it are left as they are
    needs: Needs = field(default_factory=Needs)  # the approvals that the rules ask for
    to_waiting: Relation | None = (
        None  # of what waits for approval, where what stands is not enough
    )

    @property
    def waits(self) -> bool:
        """Whether what is asked would have to wait for approval."""
        return bool(self.needs.each) and self.seen.break_glass is None


def consider(ask: Ask, seen: Standing) -> Case:
    """Resolve what is asked as of the moment that was seen. Raises ParamsRefused."""
    # A draft's end was made absolute when the draft was made, and comes out the same again.
    intent = ask.action.resolve(ask.params, ask.draft.created_at if ask.draft else seen.now)
    because = () if ask.incident is None else (ask.incident,)
    intent = replace(intent, incidents=frozenset(because))
    realms, left = spared.reached(ask, seen, intent)
    planned = plan.make(ask.action, ask.subject, intent, realms)
    standing, failed = seen.standing, mended.failed(seen)
    relation = _relation(ask, standing, intent, planned, seen)
    finishes = _relation(ask, failed, intent, planned, seen) is Relation.COVERED
    if relation is not Relation.COVERED and finishes:
        # A failed operation changed nothing; but whoever asks for the same again means to finish it.
        standing, relation = failed, Relation.COVERED
    enough = relation is Relation.COVERED and ask.action.mends
    drift = enough and standing is not None and mended.has_drifted(standing, seen)
    # Never put back under the old operation: it takes a generation of its own, asked for by somebody.
    if drift and standing is not None:
        relation = Relation.MORE
        if not ask.again:
            intent = mended.at_least(intent, intent_of(standing))
            planned = plan.make(ask.action, ask.subject, intent, realms)
    where = {effect.realm for effect in planned.effects}
    twice = limits.asks_twice(intent.desired, seen.protection)
    needs = approvals.needs(seen.approval_rules, ask.subject, where, twice)
    beyond = ask.again or relation is not Relation.COVERED
    waiting = seen.newest if beyond and waits(seen.newest) else None
    to_waiting = _relation(ask, waiting, intent, planned, seen)
    return Case(ask, seen, intent, planned, standing, relation, drift, left, needs, to_waiting)


def _relation(
    ask: Ask, standing: Facts | None, intent: Intent, planned: plan.Plan, seen: Standing
) -> Relation | None:
    if standing is None:
        return None
    stands = replace(limits.sure(intent_of(standing), standing, ask, seen.seats), read=seen.read)
    relation = ask.action.compare(stands, intent, seen.now)
    if relation is not Relation.COVERED:
        return relation
    has = {(e["realm_id"], e["step"]) for e in standing["effects"]}
    lacks = any((e.realm, e.step) not in has for e in planned.effects)
    # Only the newest generation can be finished; one beneath it can only be gone beyond.
    unfinished = standing["state"] in {
        states.OperationState.PARTIAL,
        states.OperationState.SUPERSEDED,
    }
    beneath = standing["generation"] != seen.moved_to and standing is not seen.newest
    # Its steps would send what is erased: it can only be asked for anew.
    gone = standing["state"] in states.UNFINISHED and standing.get("erased")
    return Relation.MORE if lacks or gone or (unfinished and beneath) else relation
