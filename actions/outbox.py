"""The outbox: what is due, taken up by one process at a time under a lease and a rising fence."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import BooleanField, Case, Exists, F, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import Now

from actions import database, states
from actions.adapters import offer
from actions.catalogue._base import Intent
from actions.connectors._base import Redo
from actions.models import Attempt, Effect, Operation
from actions.plan import Plan, PlannedEffect
from actions.policy import granted
from actions.settle import END, lock, roll_up, to_ready
from actions.states import EffectState, OperationState
from actions.subjects import Subject
from actions.sweeping import each

LEASE = timedelta(seconds=settings.LEASE_SECONDS)
BEGIN_WITHIN = timedelta(minutes=15)


OVERDUE_AFTER = timedelta(seconds=5)


class Due(NamedTuple):
    """An effect that may be taken up now, as it was when it became so."""

    id: int
    run_at: datetime
    fence: int


def due(most: int) -> list[int]:
    """Ids of effects that may be taken up now, the longest due first."""
    return list(_due().values_list("id", flat=True)[:most])


def due_and_overdue(most: int) -> tuple[list[Due], list[int]]:
    """What may be taken up now, the longest due first; and the ids of what nobody took up in time."""
    late = When(run_at__lte=Now() - OVERDUE_AFTER, then=True)
    marked = _due().annotate(late=Case(late, default=False, output_field=BooleanField()))
    rows = list(marked.values_list("id", "run_at", "fence", "late")[:most])
    return [Due(*row[:3]) for row in rows], [row[0] for row in rows if row[3]]


def _due() -> QuerySet[Effect]:
    busy = Effect.objects.filter(
        subject=OuterRef("subject"),
        lane=OuterRef("lane"),
        realm=OuterRef("realm"),
        state__in=sorted(states.OPEN),
    )
    ready = Effect.objects.filter(state=EffectState.READY, run_at__lte=Now())
    return ready.filter(~Exists(busy)).order_by("run_at", "id")


def claim(effect_id: int, worker: str) -> Attempt | None:
    """Take up one effect; None when somebody else did, or another of its lane is under way.

    None too when there is no such effect: a message may name any.
    """
    known = Effect.objects.select_related("realm", "subject", "operation")
    effect = known.filter(id=effect_id).first()
    if effect is None:
        return None
    try:
        with transaction.atomic():
            operation = lock(effect.operation_id)
            if operation.state not in states.HOLDING or not _take(effect_id):
                return None
            if operation.state == OperationState.APPROVED:
                Operation.objects.filter(id=operation.id).update(state=OperationState.RUNNING)
            effect.refresh_from_db(fields=["fence", "attempts"])
            return _attempt(effect, worker)
    except IntegrityError as error:
        if database.violated(error) == "effect_one_open_per_lane_and_realm":
            return None
        raise


def _take(effect_id: int) -> int:
    return Effect.objects.filter(id=effect_id, state=EffectState.READY, run_at__lte=Now()).update(
        state=EffectState.EXECUTING,
        fence=F("fence") + 1,
        attempts=F("attempts") + 1,
        lease_until=Now() + LEASE,
        settled_at=None,
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


_STILL_MAY = f"""
SELECT c.kind = 'console' OR (c.is_active
   AND (a.token_id IS NULL OR EXISTS (SELECT FROM api_token t WHERE t.id = a.token_id
         AND t.revoked_at IS NULL AND 'ask:' || n.name = ANY(t.scopes)))
   AND {granted("entry", "ask_entry", "n.id", "c.id")}
   AND {granted("realm", "ask_realm", "%(realm)s::uuid", "c.id")})
  FROM arrival a JOIN request r ON r.id = a.request_id JOIN caller c ON c.id = r.caller_id,
       catalogue_entry n
 WHERE a.operation_id = %(operation)s AND a.disposition IN ('created', 'resumed')
   AND n.name = %(action)s
 ORDER BY a.at DESC LIMIT 1
"""


def objection(effect: Effect) -> str | None:
    """Why this effect must not be sent after all, by the plan and the rights of now; or None.

    The rights are those of whoever last set it going: who asked, or later resumed it; and of the
    token that they used, though its time may be over by now.
    """
    operation = effect.operation
    if _plan_digest(operation) != bytes(operation.plan_digest):
        return "Its plan is not what was asked for: it was altered after it was issued."
    asked = {"operation": operation.id, "action": operation.action}
    if not database.value(_STILL_MAY, {**asked, "realm": effect.realm_id}):
        return "Who asked for this may no longer ask for it."
    return None


def _plan_digest(operation: Operation) -> bytes:
    subject = operation.subject
    effects = operation.effects.order_by("ord", "realm_id", "step")
    return Plan(
        operation.action,
        operation.action_version,
        Subject(subject.kind, subject.name, subject.rules),
        Intent(operation.desired, operation.ends_at),
        tuple(
            PlannedEffect(
                str(e.realm_id),
                e.realm_version,
                e.step,
                e.ord,
                e.capability,
                e.redo,
                e.desired,
                e.lane if e.lane != operation.lane else "",
                e.after,
            )
            for e in effects
        ),
    ).digest


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
            moved = to_ready(effect.id, EffectState.EXECUTING)
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
        operation.effects.filter(state__in=sorted(states.UNSENT)).update(
            state=EffectState.CANCELLED, settled_at=Now()
        )
        return Operation.objects.filter(id=operation_id, state=OperationState.APPROVED).update(
            state=OperationState.EXPIRED, settled_at=Now()
        )


def roll_up_unseen() -> int:
    """Roll up operations whose effects all settled while nobody rolled them up; how many."""
    busy = Effect.objects.filter(operation=OuterRef("id"), state__in=sorted(states.BUSY))
    stuck = Operation.objects.filter(~Exists(busy), state=OperationState.RUNNING)
    ids = list(stuck.values_list("id", flat=True)[:100])
    for operation_id in ids:
        with transaction.atomic():
            roll_up(lock(operation_id))
    return len(ids)
