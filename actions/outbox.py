"""The outbox: what is due, taken up by one process at a time under a lease and a rising fence."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, Exists, F, OuterRef, Subquery, When
from django.db.models.functions import Now

from actions import database, forgotten, states, steps
from actions.adapters import offer
from actions.connectors._base import Redo
from actions.models import Attempt, Effect, Operation
from actions.settle import END, lock, mine, redo_wait, roll_up, spent, to_ready
from actions.states import EffectState, OperationState
from actions.sweeping import each

LEASE = timedelta(seconds=settings.LEASE_SECONDS)
BEGIN_WITHIN = timedelta(minutes=15)
OVERDUE_AFTER = timedelta(seconds=5)


class Ring(NamedTuple):
    """An effect that is due: since when, under which fence, and whether nobody came for 5 seconds."""

    id: int
    run_at: datetime
    fence: int
    overdue: bool
    realm: uuid.UUID


# For each realm, walks the index of what is ready there in its order, and stops: however much is due in
# one that is slow, what is due in the others is seen. The states stand in the text, for a partial index
# is used only where the plan can see that it fits.
_DUE = f"""
SELECT d.* FROM realm m CROSS JOIN LATERAL (
  SELECT e.id, e.run_at, e.fence, e.run_at < statement_timestamp() - make_interval(secs => %s),
         e.realm_id
    FROM effect e
   WHERE e.realm_id = m.id AND e.state = 'ready' AND e.run_at <= statement_timestamp()
     AND NOT EXISTS (SELECT FROM effect b WHERE b.subject_id = e.subject_id AND b.lane = e.lane
                        AND b.realm_id = e.realm_id
                        AND b.state IN ({", ".join(f"'{s}'" for s in sorted(states.OPEN))}))
   ORDER BY e.run_at, e.id LIMIT %s) d
 ORDER BY d.run_at, d.id
"""


def due(most: int) -> list[Ring]:
    """What may be taken up now, the longest due first: at most so many of each realm.

    What waits for another effect of its lane and realm is not among it: others pass it by.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [OVERDUE_AFTER.total_seconds(), most])
        return [Ring(*row) for row in cursor.fetchall()]


def claim(effect_id: int, worker: str) -> Attempt | None:
    """Take up one effect; None when somebody else did, or another of its lane is under way.

    None too when there is no such effect: a message may name any. The attempt has its effect with it,
    and that its realm, subject and operation.
    """
    at = Effect.objects.filter(id=effect_id).values_list("operation_id", flat=True).first()
    if at is None:
        return None
    try:
        with transaction.atomic():
            operation = lock(at)
            if operation.state not in states.HOLDING:
                return None
            taken = _take(effect_id)
            if not taken and not forgotten.doubt(effect_id):
                return None
            if operation.state == OperationState.APPROVED:
                Operation.objects.filter(id=operation.id).update(state=OperationState.RUNNING)
            if not taken:
                return None
            whole = Effect.objects.select_related("realm", "subject", "operation__subject")
            return _attempt(whole.get(id=effect_id), worker)
    except IntegrityError as error:
        if database.violated(error) in _NOT_NOW:
            return None
        raise


_NOT_NOW = frozenset({"effect_one_open_per_lane_and_realm", "attempt_not_before_recovery"})


def _take(effect_id: int) -> int:
    due = Effect.objects.filter(id=effect_id, state=EffectState.READY, run_at__lte=Now())
    return due.filter(~forgotten.MARKED, ~forgotten.ASKED_ANEW).update(
        state=EffectState.EXECUTING,
        fence=F("fence") + 1,
        attempts=F("attempts") + 1,
        lease_until=Now() + LEASE,
        settled_at=None,
        # The time for which it is tried begins with the first try, not while it waits for its turn.
        going_since=Case(When(attempts=F("attempts_before"), then=Now()), default=F("going_since")),
    )


def _attempt(effect: Effect, worker: str) -> Attempt:
    natural = effect.redo == Redo.NATURAL
    return Attempt.objects.create(
        id=uuid.uuid4(),
        effect=effect,
        number=effect.attempts,
        fence=effect.fence,
        worker=worker,
        claimed_at=Now(),
        call_started_at=Now() if natural else None,
    )


def steady() -> float:
    """This process's own seconds, which nobody can set, and which go on while it stands still."""
    return time.clock_gettime(_STEADY)


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def intend(attempt: Attempt, effect: Effect, timeout: float) -> float | None:
    """Write down that the call begins now; until when, on `steady`, it may. None: it must not.

    Committed before the call: what is not written down was surely not called. It must still hold its
    effect, and for longer than the call may take. A `natural` call was written down with the claim,
    and is only kept from being begun after its lease, when others may have done the opposite.
    """
    asked = steady()
    held = mine(attempt).annotate(left=F("lease_until") - Now())
    if effect.redo == Redo.NATURAL:
        left = held.filter(left__gt=timedelta(0)).values_list("left", flat=True).first()
        return None if left is None else asked + float(left.total_seconds())
    with transaction.atomic():
        lock(effect.operation_id)
        longer = held.filter(left__gt=timedelta(seconds=timeout))
        left = longer.values_list("left", flat=True).first()
        if left is None:
            return None
        Attempt.objects.filter(id=attempt.id).update(call_started_at=Now())
    return asked + float(left.total_seconds()) - timeout


def expire_leases() -> int:
    """Take back what was claimed and not settled in time; how many."""
    over = Effect.objects.filter(state=EffectState.EXECUTING, lease_until__lt=Now())
    rows = over.select_related("realm").order_by("lease_until")[:100]
    return each(_expire, rows)


def _expire(effect: Effect) -> int:
    called = Attempt.objects.filter(effect=effect, number=effect.attempts).values("call_started_at")
    with transaction.atomic():
        operation = lock(effect.operation_id)
        held = Effect.objects.filter(
            id=effect.id, state=EffectState.EXECUTING, fence=effect.fence, lease_until__lt=Now()
        )
        never_called = held.annotate(called=Subquery(called)).filter(called__isnull=True)
        if never_called.exists():
            # What kills whoever takes it up must not do so all the time.
            at = Now() + redo_wait(spent(effect.id, operation).tries)
            moved = to_ready(effect.id, EffectState.EXECUTING, run_at=at)
        else:
            moved = held.update(
                state=EffectState.IN_DOUBT,
                fence=F("fence") + 1,
                lease_until=None,
                doubt_until=Now() + timedelta(seconds=offer(effect).settle),
                message="The process that was sending it did not come back.",
            )
        roll_up(operation)
    return moved


def expire_unbegun() -> int:
    """Close what was approved and not begun in time: it must be asked for again."""
    late = Operation.objects.filter(
        state=OperationState.APPROVED, requested_at__lt=Now() - BEGIN_WITHIN
    ).exclude(because__startswith=END)
    return each(_expire_unbegun, late.values_list("id", flat=True)[:100])


def _expire_unbegun(operation_id: int) -> int:
    with transaction.atomic():
        operation = lock(operation_id)
        if operation.state != OperationState.APPROVED:
            return 0
        steps.cancel(operation.effects.filter(state__in=sorted(states.UNSENT)))
        return Operation.objects.filter(id=operation_id, state=OperationState.APPROVED).update(
            state=OperationState.EXPIRED, settled_at=Now()
        )


def roll_up_unseen() -> int:
    """Roll up operations in which nothing is under way while nobody rolled them up; how many.

    What was left waiting behind a step that is in place is set going too.
    """
    busy = Effect.objects.filter(operation=OuterRef("id"), state__in=sorted(states.BUSY))
    stuck = Operation.objects.filter(~Exists(busy), state=OperationState.RUNNING)
    ids = list(stuck.values_list("id", flat=True)[:100])
    for operation_id in ids:
        with transaction.atomic():
            roll_up(lock(operation_id))
    return len(ids)
