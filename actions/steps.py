"""Steps: the order within an operation. What waits is set going, or cancelled when its turn cannot come."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Func, QuerySet
from django.db.models.functions import Now

from actions import states
from actions.models import Effect, Operation
from actions.states import EffectState, OperationState

LOST = frozenset({EffectState.FAILED, EffectState.CANCELLED})
"""A step that came to this is not followed by any other."""

# A later generation that is only asked for yet, or came to nothing, takes no turn away.
_TAKES_NOTHING = states.VOID | {OperationState.AWAITING_APPROVAL}


def advance(operation: Operation, steps: Iterable[tuple[int, str]]) -> bool:
    """Set the next steps going once every step before them is in place. True when some moved.

    `steps` are the order and the state of each of its effects, read under the operation's lock, which
    the caller holds: without it, two steps that succeed together would each see the other as
    unsettled, and what waits for both would wait for ever.
    """
    steps = list(steps)
    waiting = [ord for ord, state in steps if state == EffectState.BLOCKED]
    if not waiting:
        return False
    blocked = operation.effects.filter(state=EffectState.BLOCKED)
    lost = [ord for ord, state in steps if state in LOST]
    if lost:
        return bool(cancel(blocked.filter(ord__gt=min(lost))))
    if all(state == EffectState.SUCCEEDED for ord, state in steps if ord < min(waiting)):
        return _set_going(operation, blocked.filter(ord=min(waiting)), blocked)
    return False


def _set_going(
    operation: Operation, next_ones: QuerySet[Effect], blocked: QuerySet[Effect]
) -> bool:
    if _overtaken(operation):
        return bool(cancel(blocked))
    wait = Func(
        F("after"),
        template="make_interval(secs => %(expressions)s)",
        output_field=DurationField(),
    )
    at = ExpressionWrapper(Now() + wait, output_field=DateTimeField())
    return bool(next_ones.update(state=EffectState.READY, run_at=at, going_since=at))


def _overtaken(operation: Operation) -> bool:
    """A parked operation holds no lane: a later generation may have come before it was decided."""
    later = Operation.objects.filter(
        subject_id=operation.subject_id,
        lane=operation.lane,
        generation__gt=operation.generation,
    )
    return later.exclude(state__in=sorted(_TAKES_NOTHING)).exists()


def cancel(unsent: QuerySet[Effect]) -> int:
    """Cancel effects that nothing was sent for; how many."""
    return unsent.update(state=EffectState.CANCELLED, settled_at=Now())
