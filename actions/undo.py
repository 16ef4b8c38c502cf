"""Undo an operation: what is asked for when somebody presses it, to be prepared or issued as ever."""

from __future__ import annotations

from actions import history, subjects
from actions.ask import Ask, Undoes
from actions.catalogue._base import Action
from actions.errors import Refusal
from actions.registry import registry
from actions.standing import Facts
from actions.subjects import Subject


def inverse(told: Facts) -> Action:
    """The action that undoes the operation. Raises Refusal `no_inverse`, which says so."""
    action = registry.action(told["action"])
    if action.inverse is None:
        raise _refusal("no_inverse", f"There is no way back: {action.title} has no undo.")
    return registry.action(action.inverse)


def ask_of(
    told: Facts,
    reason: str,
    key: str,
    via: str,
    *,
    incident: int | None = None,
    not_known: str = "",
) -> Ask:
    """What undoing the operation asks for: its action's inverse, having seen its generation.

    Raises Refusal `no_inverse`, or `nothing_to_undo` when what stood before would be over by now.
    """
    action = inverse(told)
    return Ask(
        action=action,
        subject=Subject(told["kind"], told["name"], subjects.RULES),
        params=_params(action, told),
        reason=reason,
        key=key,
        via=via,
        incident=incident,
        seen=told["generation"],
        undoes=Undoes(told["id"], told["ref"], not_known),
    )


def _params(action: Action, told: Facts) -> dict[str, object]:
    """The inverse's parameters: where it takes an end, that of what stood before."""
    if not any(param.name == "until" for param in action.params):
        return {}
    before = history.stood_before(told)
    return {"until": before["ends_at"] if before else None}


def _refusal(code: str, what: str) -> Refusal:
    return Refusal(code, f"{what} Nothing changed.", {"status": 409, "disposition": "refused"})
