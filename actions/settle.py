"""Settle: record an outcome once, and roll the operation up under its lock.

Locks are taken in one order everywhere: the operation first, then its effects. Settling two
effects together without the operation's lock leaves it running for ever: each reads the other as
unsettled. The lock is a statement of its own, because the statement that waited for it still sees
what it saw before.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from actions import database, states, steps
from actions.connectors._base import Redo
from actions.models import Attempt, Effect, Operation
from actions.outcomes import Applied, Outcome, Refused, RetryLater, Unknown
from actions.states import EffectState, OperationState

MOST_ATTEMPTS = 8
LONGEST_WAIT = 300.0
GIVES_UP_AFTER = timedelta(minutes=15)
END = "end of @"
"""How `because` begins for what ends a timed operation: it is tried without limit."""

BLIND = frozenset({Redo.NATURAL, Redo.KEYED})
"""Classes that are sent again without having read that the first call did nothing."""


def lock(operation: int) -> Operation:
    """The operation, locked against everybody else who settles, claims or issues on it."""
    return Operation.objects.select_for_update(no_key=True).get(id=operation)


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent on an effect since it was last set going: tries, and seconds that are left."""

    tries: int
    left: float

    @property
    def enough(self) -> bool:
        return self.tries >= MOST_ATTEMPTS or self.left <= 0


_SPENT = """
SELECT attempts - attempts_before AS tries,
       extract(epoch FROM going_since + %(most)s - clock_timestamp())::float AS left
  FROM effect WHERE id = %(effect)s
"""


def spent(effect: int, operation: Operation) -> Spent:
    """By the database's clock. An end is never spent: it is tried without limit."""
    row = database.one(_SPENT, {"effect": effect, "most": GIVES_UP_AFTER})
    if operation.because.startswith(END):
        return Spent(min(row["tries"], MOST_ATTEMPTS - 1), float("inf"))
    return Spent(row["tries"], row["left"])


def settle(attempt: Attempt, outcome: Outcome, *, verified: bool, settle_seconds: float) -> bool:
    """Record what an attempt came to. False when it no longer held its effect.

    A late outcome stays on its own attempt; where it is definite, it decides a doubt of that very
    attempt: it is the truth about the call that is doubted. Once another try began, it decides nothing.
    """
    effect = Effect.objects.only("operation_id", "redo", "attempts_before").get(
        id=attempt.effect_id
    )
    with transaction.atomic():
        operation = lock(effect.operation_id)
        change = _change(attempt, effect, operation, outcome, settle_seconds)
        if isinstance(outcome, Applied):
            change["verified_at"] = Now() if verified else None
        moved = _mine(attempt).update(**change)
        if not moved:
            _decide_doubt(attempt, outcome, change)
        _record(attempt, outcome, late=not moved)
        roll_up(operation)
    return bool(moved)


def _mine(attempt: Attempt) -> QuerySet[Effect]:
    return Effect.objects.filter(
        id=attempt.effect_id, state=EffectState.EXECUTING, fence=attempt.fence
    )


def _change(
    attempt: Attempt, effect: Effect, operation: Operation, outcome: Outcome, settle: float
) -> dict[str, object]:
    """The columns of the effect that this outcome sets."""
    match outcome:
        case Applied():
            done = _settled(EffectState.SUCCEEDED, outcome.message)
            return done | {"found": outcome.found}
        case Refused():
            return _no(attempt, effect, outcome.message, settle)
        case RetryLater():
            before = spent(effect.pk, operation)
            wait = _wait(before.tries, outcome.after)
            if before.enough or wait > before.left:
                return _no(attempt, effect, _given_up(outcome, before), settle)
            return _open(EffectState.READY, outcome.message) | {
                "run_at": Now() + timedelta(seconds=wait)
            }
        case Unknown():
            return _doubt(outcome.message, settle)


def _settled(state: EffectState, message: str) -> dict[str, object]:
    return _open(state, message) | {"settled_at": Now()}


def _open(state: EffectState, message: str) -> dict[str, object]:
    return {"state": state, "lease_until": None, "doubt_until": None, "message": message}


def _doubt(message: str, settle: float) -> dict[str, object]:
    until = Now() + timedelta(seconds=settle)
    return _open(EffectState.IN_DOUBT, message) | {"doubt_until": until}


def _no(attempt: Attempt, effect: Effect, message: str, settle: float) -> dict[str, object]:
    """Refused for good; unless an earlier call, sent again without reading, may still be in force."""
    earlier = effect.tries.filter(
        number__gt=effect.attempts_before,
        number__lt=attempt.number,
        call_started_at__isnull=False,
        outcome__in=("", "unknown"),
    )
    if effect.redo in BLIND and earlier.exists():
        return _doubt(f"{message} An earlier call may have arrived.", settle)
    return _settled(EffectState.FAILED, message)


def _given_up(outcome: RetryLater, before: Spent) -> str:
    if before.tries >= MOST_ATTEMPTS:
        return f"{outcome.message} Given up after {before.tries} tries."
    if outcome.after and before.left > 0:
        return (
            f"{outcome.message} Given up: it asks to wait {outcome.after:.0f} s, which is longer than"
            f" the {GIVES_UP_AFTER.seconds // 60} minutes for which this is tried."
        )
    return f"{outcome.message} Given up after {GIVES_UP_AFTER.seconds // 60} minutes."


def _wait(tries: int, asked: float | None) -> float:
    """Seconds: full jitter inside bounds, and never sooner than the system asked for."""
    return max(asked or 0.0, random.uniform(0, min(LONGEST_WAIT, 2.0**tries)))  # noqa: S311 - jitter


def redo_wait(tries: int) -> timedelta:
    """How long a redo after a doubt waits: the first not at all, later ones with full jitter."""
    return timedelta(seconds=_wait(tries, None) if tries > 1 else 0)


def _record(attempt: Attempt, outcome: Outcome, *, late: bool) -> None:
    Attempt.objects.filter(id=attempt.id).update(
        ended_at=Now(),
        outcome=type(outcome).__name__.lower(),
        found=outcome.found if isinstance(outcome, Applied) else "",
        message=outcome.message,
        late=late,
    )


def _decide_doubt(attempt: Attempt, outcome: Outcome, change: dict[str, object]) -> None:
    if isinstance(outcome, Unknown):
        return
    doubt = Effect.objects.filter(
        id=attempt.effect_id, state=EffectState.IN_DOUBT, attempts=attempt.number
    )
    if isinstance(outcome, RetryLater):
        # "Not now" only as the first word on this call, never after it was called unknown.
        doubt = doubt.filter(tries__id=attempt.id, tries__ended_at__isnull=True)
    doubt.update(**change)


def to_ready(effect: int, old: EffectState, **also: object) -> int:
    """Move an effect back to ready under a higher fence, whoever still believes to hold it."""
    change = {"run_at": Now(), **also}
    return Effect.objects.filter(id=effect, state=old).update(
        state=EffectState.READY,
        fence=F("fence") + 1,
        lease_until=None,
        doubt_until=None,
        **change,
    )


# It gives nothing back, which is one row.
_CANCEL_UNSENT = "SELECT cancel_unsent(%(operation)s, clock_timestamp())"


def roll_up(operation: Operation) -> None:
    """Bring the operation, and the steps that wait behind others, up to its effects.

    The caller holds its lock. Whoever moves an effect ends with this, a person's decision too.
    """
    if operation.state == OperationState.SUPERSEDED:
        # What was still under way when a later generation came is settled, but not sent again.
        database.value(_CANCEL_UNSENT, {"operation": operation.pk})
        return
    if operation.state != OperationState.RUNNING:
        return
    effects = list(operation.effects.values_list("ord", "state", "verified_at"))
    if steps.advance(operation, [(ord, state) for ord, state, _ in effects]):
        effects = list(operation.effects.values_list("ord", "state", "verified_at"))
    state = states.roll_up(state for _, state, _ in effects)
    if state == OperationState.RUNNING:
        return
    verified = [at for _, _, at in effects if at is not None]
    Operation.objects.filter(id=operation.id, state=OperationState.RUNNING).update(
        state=state,
        settled_at=Now(),
        verified_at=min(verified) if len(verified) == len(effects) else None,
    )
