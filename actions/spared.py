"""Which realms an action leaves as they are, by what was last done there: pure, like `compare`."""

from __future__ import annotations

from collections.abc import Iterable

from actions import plan, undoable
from actions.ask import Ask
from actions.catalogue._base import Intent, Last
from actions.force import agrees
from actions.known import Known
from actions.plan import RealmNow
from actions.standing import Standing


def last_in(realm: str, known: Iterable[Known]) -> Last | None:
    """What was last done in one realm; None when nothing ever was."""
    for k in known:
        if k.realm == realm:
            return Last(k.desired, k.state, k.found, agrees(k, k.desired) is False)
    return None


def reached(ask: Ask, seen: Standing, intent: Intent) -> tuple[list[RealmNow], tuple[str, ...]]:
    """The realms that are acted in, and why the others are left as they are."""
    if ask.undoes is not None:  # what an undo touches is told by what it undoes
        return list(undoable.realms(ask, seen)), ()
    found = [
        (realm, ask.action.spares(intent, last_in(realm.id, seen.known)))
        for realm in plan.within(ask.subject, seen.realms)
    ]
    spared = tuple(dict.fromkeys(why for _, why in found if why))
    return [realm for realm, why in found if not why], spared
