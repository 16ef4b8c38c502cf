"""Settle: record an outcome once, and roll the operation up under its lock.

Locks are taken in one order everywhere: the operation first, then its effects. Settling two
effects together without the operation's lock leaves it running for ever: each reads the other as
unsettled. The lock is a statement of its own, because the statement that waited for it still sees
what it saw before.
"""

from __future__ import annotations

import random
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from actions import states
from actions.models import Attempt, Effect, Operation
from actions.outcomes import Applied, Outcome, Refused, RetryLater, Unknown
from actions.states import EffectState, OperationState

MOST_ATTEMPTS = 8
LONGEST_WAIT = 300.0
GIVES_UP_AFTER = timedelta(minutes=15)
END = "end of @"
"""How `because` begins for what ends a timed operation: it is tried without limit."""


def lock(operation: int) -> Operation:
    """The operation, locked against everybody else who settles, claims or issues on it."""
    return Operation.objects.select_for_update(no_key=True).get(id=operation)


def settle(attempt: Attempt, outcome: Outcome, *, verified: bool, settle_seconds: float) -> bool:
    """Record what an attempt came to. False when it no longer held its effect.

    A late outcome stays on its own attempt; only a late "applied" decides a doubt.
    """
    effect = Effect.objects.only("operation_id").get(id=attempt.effect_id)
    with transaction.atomic():
        operation = lock(effect.operation_id)
        moved = _move(attempt, operation, outcome, verified=verified, settle=settle_seconds)
        _record(attempt.id, outcome, late=not moved)
        if not moved and isinstance(outcome, Applied):
            _decide_doubt(attempt, outcome, verified=verified)
        roll_up(operation)
    return moved


def _mine(attempt: Attempt):  # type: ignore[no-untyped-def]  # django-stubs' queryset generics
    return Effect.objects.filter(
        id=attempt.effect_id, state=EffectState.EXECUTING, fence=attempt.fence
    )


def _move(
    attempt: Attempt, operation: Operation, outcome: Outcome, *, verified: bool, settle: float
) -> bool:
    mine = _mine(attempt)
    match outcome:
        case Applied():
            moved = mine.update(**_succeeded(outcome, verified=verified))
        case Refused():
            moved = mine.update(**_ended(EffectState.FAILED, outcome.message))
        case RetryLater() if _tried_enough(attempt, operation):
            moved = mine.update(**_ended(EffectState.FAILED, outcome.message))
        case RetryLater():
            moved = mine.update(
                state=EffectState.READY,
                lease_until=None,
                message=outcome.message,
                run_at=Now() + _wait(attempt.number, outcome.after),
            )
        case Unknown():
            moved = mine.update(
                state=EffectState.IN_DOUBT,
                lease_until=None,
                message=outcome.message,
                doubt_until=Now() + timedelta(seconds=settle),
            )
    return bool(moved)


def _succeeded(outcome: Applied, *, verified: bool) -> dict[str, object]:
    return {
        "state": EffectState.SUCCEEDED,
        "lease_until": None,
        "doubt_until": None,
        "found": outcome.found,
        "message": outcome.message,
        "settled_at": Now(),
        "verified_at": Now() if verified else None,
    }


def _ended(state: EffectState, message: str) -> dict[str, object]:
    return {
        "state": state,
        "lease_until": None,
        "doubt_until": None,
        "message": message,
        "settled_at": Now(),
    }


def _tried_enough(attempt: Attempt, operation: Operation) -> bool:
    if operation.because.startswith(END):
        return False
    old = attempt.claimed_at - operation.requested_at > GIVES_UP_AFTER
    return attempt.number >= MOST_ATTEMPTS or old


def _wait(tries: int, asked: float | None) -> timedelta:
    """Full jitter inside bounds, and never sooner than the system asked for."""
    return timedelta(
        seconds=max(asked or 0.0, random.uniform(0, min(LONGEST_WAIT, 2.0**tries)))  # noqa: S311 - jitter
    )


def _record(attempt: UUID, outcome: Outcome, *, late: bool) -> None:
    Attempt.objects.filter(id=attempt).update(
        ended_at=Now(),
        outcome=type(outcome).__name__.lower(),
        found=outcome.found if isinstance(outcome, Applied) else "",
        message=outcome.message,
        late=late,
    )


def _decide_doubt(attempt: Attempt, outcome: Applied, *, verified: bool) -> None:
    Effect.objects.filter(
        id=attempt.effect_id, state=EffectState.IN_DOUBT, attempts=attempt.number
    ).update(**_succeeded(outcome, verified=verified))


def to_ready(effect: int, old: EffectState, **also: object) -> int:
    """Move an effect back to ready under a higher fence, whoever still believes to hold it."""
    return Effect.objects.filter(id=effect, state=old).update(
        state=EffectState.READY,
        fence=F("fence") + 1,
        lease_until=None,
        doubt_until=None,
        run_at=Now(),
        **also,
    )


def roll_up(operation: Operation) -> None:
    """Bring the operation's state up to its effects'. The caller holds its lock."""
    if operation.state == OperationState.SUPERSEDED:
        # What was still under way when a later generation came is settled, but not sent again.
        Effect.objects.filter(operation=operation, state__in=states.UNSENT).update(
            state=EffectState.CANCELLED, settled_at=Now()
        )
        return
    if operation.state != OperationState.RUNNING:
        return
    effects = list(operation.effects.values_list("state", "verified_at"))
    state = states.roll_up(state for state, _ in effects)
    if state == OperationState.RUNNING:
        return
    verified = [at for _, at in effects if at is not None]
    Operation.objects.filter(id=operation.id, state=OperationState.RUNNING).update(
        state=state,
        settled_at=Now(),
        verified_at=min(verified) if len(verified) == len(effects) else None,
    )
