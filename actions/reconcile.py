"""Reconcile doubts: read first, and send again only what is surely not there."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from actions import adapters
from actions.models import Effect
from actions.outcomes import Found, Seen
from actions.settle import lock, roll_up, to_ready
from actions.states import EffectState
from actions.sweeping import each

PARK_AFTER = timedelta(minutes=15)
LOOK_AGAIN_AFTER = timedelta(seconds=5)

log = logging.getLogger(__name__)


def reconcile_due() -> int:
    """Look at every effect whose settle time is over; how many moved."""
    due = Effect.objects.filter(state=EffectState.IN_DOUBT, doubt_until__lte=Now())
    whole = due.select_related("realm", "subject", "operation__subject")
    return each(_reconcile, whole.order_by("doubt_until")[:100])


def _reconcile(effect: Effect) -> int:
    seen = _read(effect)
    with transaction.atomic():
        operation = lock(effect.operation_id)
        moved = _move(effect, seen)
        roll_up(operation)
    return moved


def _read(effect: Effect) -> Seen:
    try:
        connector = adapters.connector(str(effect.realm_id), effect.realm_version)
        return connector.observe(adapters.call_of(effect))
    except Exception as error:
        log.warning("reading effect %s: %s", effect.pk, type(error).__name__, exc_info=error)
        return Seen.UNREADABLE


def _move(effect: Effect, seen: Seen) -> int:
    doubted = Effect.objects.filter(
        id=effect.id, state=EffectState.IN_DOUBT, fence=effect.fence, doubt_until__lte=Now()
    )
    if seen is Seen.YES:
        return doubted.update(
            state=EffectState.SUCCEEDED,
            doubt_until=None,
            found=Found.NOT_KNOWN,
            message="Read back after a doubt: it is there.",
            settled_at=Now(),
            verified_at=Now(),
        )
    if seen is Seen.NO:
        message = "Read back after a doubt: it is not there."
        return to_ready(effect.id, EffectState.IN_DOUBT, message=message) if doubted.exists() else 0
    parked = doubted.filter(operation__requested_at__lt=Now() - PARK_AFTER).update(
        state=EffectState.PARKED, doubt_until=None, message="It cannot be read back."
    )
    return parked or doubted.update(doubt_until=Now() + LOOK_AGAIN_AFTER)
