"""The outbox: what is due, taken up by one process at a time under a lease and a rising fence."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from actions import database, forgotten, health, states, steps
from actions.adapters import offer
from actions.connectors._base import Redo
from actions.models import Attempt, Effect, Operation
from actions.registry import registry
from actions.settle import END, lock, mine, redo_wait, roll_up, spent, to_ready
from actions.states import EffectState, OperationState
from actions.sweeping import each

LEASE = timedelta(seconds=settings.LEASE_SECONDS)
BEGIN_WITHIN = timedelta(minutes=15)
OVERDUE_AFTER = timedelta(seconds=5)
PLACES_TRIED = 3


class Ring(NamedTuple):
    """An effect that is due: since when, under which fence, and whether nobody came for 5 seconds.

    `full`: as many of its realm are under way as may be; it has to wait for one of them.
    """

    id: int
    run_at: datetime
    fence: int
    overdue: bool
    realm: uuid.UUID
    full: bool = False


# For each realm, walks the index of what is ready there in its order, and stops: however much is due in
# one that is slow, what is due in the others is seen. The states stand in the text, for a partial index
# is used only where the plan can see that it fits.
_DUE = f"""
SELECT d.* FROM realm m LEFT JOIN realm_health h ON h.realm_id = m.id
 CROSS JOIN LATERAL (SELECT count(*) >= (%(at_once)s::jsonb ->> m.connector)::int AS is_full
   FROM effect x WHERE x.realm_id = m.id AND x.state = 'executing') AS under_way
 CROSS JOIN LATERAL (
  SELECT e.id, e.run_at, e.fence, e.run_at < statement_timestamp() - make_interval(secs => %(late)s),
         e.realm_id, under_way.is_full
    FROM effect e
   WHERE e.realm_id = m.id AND e.state = 'ready' AND e.run_at <= statement_timestamp()
     AND NOT EXISTS (SELECT FROM effect b WHERE b.subject_id = e.subject_id AND b.lane = e.lane
                        AND b.realm_id = e.realm_id
                        AND b.state IN ({", ".join(f"'{s}'" for s in sorted(states.OPEN))}))
   ORDER BY e.run_at, e.id LIMIT CASE WHEN h.paused_at IS NULL THEN %(most)s::int ELSE 1 END) d
 WHERE {health.MAY_BE_TRIED} AND jsonb_exists(%(at_once)s::jsonb, m.connector)
 ORDER BY d.run_at, d.id
"""


def due(most: int) -> list[Ring]:
    """What may be taken up now, the longest due first: at most so many of each realm.

    What waits for another effect of its lane and realm is not among it: others pass it by. Of a realm
    that is left alone there is nothing, and once its rest is over, one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE, _asked(most))
        return [Ring(*row) for row in cursor.fetchall()]


def _asked(most: int) -> dict[str, Any]:
    at_once = {kind.name: kind.at_once for kind in registry.connectors()}
    late = OVERDUE_AFTER.total_seconds()
    return {"most": most, "late": late, "at_once": database.dumps(at_once)}


def claim(effect_id: int, worker: str) -> Attempt | None:
    """Take up one effect; None when somebody else did, or another of its lane is under way.

    None too when its realm is left alone, or has as many under way as it may, and when there is no
    such effect: a message may name any. The attempt has its effect with it, and that its realm,
    subject and operation.
    """
    found = Effect.objects.filter(id=effect_id)
    at = found.values_list("operation_id", "realm_id", "realm__connector").first()
    if at is None:
        return None
    operation, realm, connector = at
    at_once = registry.connector(connector).at_once
    for _ in range(PLACES_TRIED):
        try:
            return _claim(effect_id, operation, realm, at_once, worker)
        except IntegrityError as error:
            match database.violated(error):
                case "effect_one_open_per_lane_and_realm" | "attempt_not_before_recovery":
                    return None
                case "effect_one_in_each_place_of_a_realm":
                    continue  # somebody else took the same place at the same time
                case _:
                    raise
    return None


def _claim(effect_id: int, at: int, realm: uuid.UUID, at_once: int, worker: str) -> Attempt | None:
    attempt = uuid.uuid4()
    with transaction.atomic():
        operation = lock(at)
        if operation.state not in states.HOLDING or _begins_too_late(operation):
            return None
        paused = _take(effect_id, realm, at_once)
        if paused is None and not forgotten.doubt(effect_id):
            return None
        if paused and not health.take_probe(realm, attempt, LEASE):
            transaction.set_rollback(True)
            return None
        if operation.state == OperationState.APPROVED:
            Operation.objects.filter(id=operation.id).update(state=OperationState.RUNNING)
        if paused is None:
            return None
        whole = Effect.objects.select_related("realm", "subject", "operation__subject")
        return _attempt(attempt, whole.get(id=effect_id), worker)


def _unbegun() -> QuerySet[Operation]:
    """What was let run and was not begun in time; never the end of what is over."""
    let_run = Coalesce("approved_at", "requested_at")
    late = Operation.objects.filter(state=OperationState.APPROVED).annotate(let_run=let_run)
    return late.filter(let_run__lt=Now() - BEGIN_WITHIN).exclude(because__startswith=END)


def _begins_too_late(operation: Operation) -> bool:
    return (
        operation.state == OperationState.APPROVED and _unbegun().filter(id=operation.id).exists()
    )


# Any free place of its realm's will do, and not the first: two at once would often want the same.
# The time for which it is tried begins with the first try, not while it waits for its turn.
_TAKE = f"""
UPDATE effect e
   SET state = 'executing', fence = e.fence + 1, attempts = e.attempts + 1,
       lease_until = statement_timestamp() + %(lease)s, settled_at = NULL, place = f.place,
       going_since = CASE WHEN e.attempts = e.attempts_before THEN statement_timestamp()
                          ELSE e.going_since END,
       rested_before = CASE WHEN e.attempts = e.attempts_before THEN {health.RESTED}
                            ELSE e.rested_before END
  FROM (SELECT p AS place FROM generate_series(1, %(at_once)s) p
         WHERE NOT EXISTS (SELECT FROM effect x WHERE x.realm_id = %(realm)s
                              AND x.state = 'executing' AND x.place = p)
         ORDER BY random() LIMIT 1) f
  LEFT JOIN realm_health h ON h.realm_id = %(realm)s
 WHERE e.id = %(effect)s AND e.state = 'ready' AND e.run_at <= statement_timestamp()
   AND {health.MAY_BE_TRIED} AND {forgotten.NOT_TO_BE_READ_FIRST}
RETURNING h.paused_at IS NOT NULL
"""


def _take(effect_id: int, realm: uuid.UUID, at_once: int) -> bool | None:
    """Whether its realm is left alone; None when it could not be taken up."""
    given: dict[str, Any] = {
        "effect": effect_id,
        "realm": realm,
        "lease": LEASE,
        "at_once": at_once,
    }
    with connection.cursor() as cursor:
        row = cursor.execute(_TAKE, given).fetchone()
    return bool(row[0]) if row else None


def _attempt(attempt: uuid.UUID, effect: Effect, worker: str) -> Attempt:
    natural = effect.redo == Redo.NATURAL
    return Attempt.objects.create(
        id=attempt,
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
    return each(_expire_unbegun, _unbegun().values_list("id", flat=True)[:100])


def expire_unapproved() -> int:
    """Close what nobody approved in time, the longest over first."""
    late = Operation.objects.filter(
        state=OperationState.AWAITING_APPROVAL, approve_by__lte=Now()
    ).order_by("approve_by")
    return each(_expire_unapproved, late.values_list("id", flat=True)[:500])


def _expire_unapproved(operation_id: int) -> int:
    return _expire_whole(operation_id, OperationState.AWAITING_APPROVAL)


def _expire_unbegun(operation_id: int) -> int:
    return _expire_whole(operation_id, OperationState.APPROVED)


def _expire_whole(operation_id: int, old: OperationState) -> int:
    with transaction.atomic():
        operation = lock(operation_id)
        if operation.state != old:
            return 0
        steps.cancel(operation.effects.filter(state__in=sorted(states.UNSENT)))
        return Operation.objects.filter(id=operation_id, state=old).update(
            state=OperationState.EXPIRED, settled_at=Now()
        )


def roll_up_unseen() -> int:
    """Roll up operations in which nothing is under way while nobody rolled them up; how many.

    What was left waiting behind a step that is in place is set going too.
    """
    busy = Effect.objects.filter(operation=OuterRef("id"), state__in=sorted(states.BUSY))
    stuck = Operation.objects.filter(~Exists(busy), state=OperationState.RUNNING)
    ids = list(stuck.order_by("id").values_list("id", flat=True)[:100])
    for operation_id in ids:
        with transaction.atomic():
            roll_up(lock(operation_id))
    return len(ids)
