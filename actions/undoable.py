"""What an undo touches, and when one may be asked for: only what we changed, and nothing since.

Pure, like `actions.compare`, which asks it.
"""

from __future__ import annotations

from collections.abc import Iterable

from actions import states
from actions.ask import Ask, Decision, done_by
from actions.force import on_its_lane
from actions.outcomes import Found
from actions.plan import Plan, RealmNow
from actions.standing import Facts, Standing
from actions.states import EffectState


def changed(undone: Facts) -> dict[str, str]:
    """The realms in which we changed something: id to title."""
    ours = on_its_lane(undone)  # the opposite gives nothing back on another lane
    return _realms(e for e in ours if _in_place(e) and e["found"] == Found.CHANGED)


def not_known(undone: Facts) -> dict[str, str]:
    """The realms of which nobody can say whether we changed anything: id to title."""
    unclear = (
        effect
        for effect in on_its_lane(undone)
        if effect["state"] == EffectState.PARKED
        or (_in_place(effect) and effect["found"] not in {Found.CHANGED, Found.SO_ALREADY})
    )
    return {id: title for id, title in _realms(unclear).items() if id not in changed(undone)}


def _in_place(effect: Facts) -> bool:
    return bool(effect["state"] == EffectState.SUCCEEDED)


def _realms(effects: Iterable[Facts]) -> dict[str, str]:
    return {effect["realm_id"]: effect["title"] for effect in effects}


def _touched(ask: Ask, undone: Facts) -> dict[str, str]:
    include = ask.undoes is not None and ask.undoes.not_known == "include"
    return changed(undone) | (not_known(undone) if include else {})


def realms(ask: Ask, seen: Standing) -> tuple[RealmNow, ...]:
    """The realms that the plan of `ask` is for: all, or of an undo those that it touches."""
    if ask.undoes is None or seen.undone is None:
        return seen.realms
    touched = _touched(ask, seen.undone)
    return tuple(realm for realm in seen.realms if realm.id in touched)


def decide(ask: Ask, seen: Standing, plan: Plan) -> Decision | None:
    """What an undo is told, unless it is to be made."""
    undone = seen.undone
    assert undone is not None
    return _undone_already(seen) or _not_now(seen, undone) or _not_so(ask, undone, plan)


def _undone_already(seen: Standing) -> Decision | None:
    by = seen.undone_by
    if by is None:
        return None
    said = f"It is undone already: {done_by(by)}"
    if by["state"] in states.WAITING:
        said = f"Its undo was asked for already: {done_by(by)}"
    if by["state"] in states.UNFINISHED and by["generation"] == seen.moved_to:
        if not seen.goes_on(by):
            return _refuse(
                "needs_approval", f"{said} To run the rest needs approval now: ask for it anew."
            )
        said += " Only what is unfinished runs again."
        return Decision("resumed", "", said, 200, by, on_lane=True)
    return Decision("existing", "", said, 200, by, on_lane=True)


def _not_now(seen: Standing, undone: Facts) -> Decision | None:
    busy = any(effect["state"] in states.BUSY for effect in undone["effects"])
    if busy and undone["state"] != states.OperationState.SUPERSEDED:
        return _refuse(
            "not_settled",
            "It is not settled yet, so it cannot be said what there is to undo. "
            "Wait until it is, cancel it if nothing was sent, or ask for the opposite.",
        )
    newest = seen.standing
    if not (changed(undone) or not_known(undone)):
        return _refuse("nothing_to_undo", "We changed nothing there, so there is nothing to undo.")
    if newest is None or newest["id"] != undone["id"] or busy:
        now = f" It is now generation {seen.generation}: {done_by(newest)}" if newest else ""
        return Decision(
            "stale",
            "moved",
            f"Only the newest generation can be undone.{now} Nothing changed.",
            412,
            newest,
            on_lane=True,
        )
    return None


def _not_so(ask: Ask, undone: Facts, plan: Plan) -> Decision | None:
    unclear = sorted(not_known(undone).values())
    assert ask.undoes is not None
    if unclear and not ask.undoes.not_known:
        return _refuse(
            "must_say",
            f"Whether we changed {', '.join(unclear)} is not known. Say what to do there, "
            "in not_known: include it in the undo, or leave it as it is.",
        )
    touched, planned = _touched(ask, undone), {effect.realm for effect in plan.effects}
    if not touched:
        return _refuse("nothing_to_undo", "All that is left to undo was to be left as it is.")
    if gone := sorted(title for id, title in touched.items() if id not in planned):
        return _refuse(
            "no_realm", f"{', '.join(gone)} is no longer set up, so it cannot be undone."
        )
    return None


def _refuse(code: str, what: str) -> Decision:
    return Decision("refused", code, f"{what} Nothing changed.", 409)
