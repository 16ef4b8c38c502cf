"""Cancel an operation: it is withdrawn before anything of it was sent, or not at all."""

from __future__ import annotations

from actions.act import Case, Verb, act
from actions.answer import Answer
from actions.ask import Decision, done_by, unsent
from actions.issue import Who
from actions.registry import registry
from actions.states import OperationState

_UNBEGUN = frozenset({OperationState.AWAITING_APPROVAL, OperationState.APPROVED})
_NEVER_SENT = frozenset({OperationState.DECLINED, OperationState.EXPIRED, OperationState.CANCELLED})


def cancel(who: Who, ref: str, key: str, via: str) -> Answer:
    """Withdraw an operation: who asked for it may, and whoever may ask for the same.

    Raises NotFound, Unauthenticated and NotRecorded.
    """
    return act(who, Verb("cancel", ref, key, via), judge, lambda case, no: case.own)


def judge(case: Case) -> Decision:
    """What whoever may withdraw it is told."""
    state = case.told["state"]
    if state in _UNBEGUN:
        return Decision("cancelled", "", f"It is cancelled. {unsent(case.told)}")
    if state in _NEVER_SENT:
        return Decision("existing", "", f"{unsent(case.told)} {done_by(case.told)}")
    undo = "It can be undone instead." if _has_undo(case) else "There is no undo for it."
    return Decision(
        "refused", "begun", f"It has begun: {done_by(case.told)} {undo} Nothing changed.", 409
    )


def _has_undo(case: Case) -> bool:
    return registry.action(case.told["action"]).inverse is not None
