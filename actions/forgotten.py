"""Forgotten: what a failover may have lost is put in doubt when its turn comes, and so read first."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from actions import database
from actions.adapters import offer
from actions.connectors._base import Redo
from actions.models import Attempt, Effect, Timeline
from actions.settle import FORGOTTEN, LOST_IN_A_FAILOVER
from actions.states import EffectState

LOOKED_AT_FOR = timedelta(days=1)
"""After commits were lost, for how long what is asked for anew is read before its first call: it may
have been asked for, and sent, before."""

_MESSAGE = "It may have been sent before the failover: it is read before it is sent."

MARKED = Exists(
    Attempt.objects.filter(effect=OuterRef("id"), number=OuterRef("attempts"), outcome=FORGOTTEN)
)
# Where a repeat is dropped or changes nothing, nobody need look; where none can look, a person asked.
ASKED_ANEW = Q(attempts=0, redo=Redo.OBSERVED) & Q(
    Exists(Timeline.objects.filter(since__isnull=False, confirmed_at__gt=Now() - LOOKED_AT_FOR))
)

NOT_TO_BE_READ_FIRST = f"""
NOT EXISTS (SELECT FROM attempt a WHERE a.effect_id = e.id AND a.number = e.attempts
               AND a.outcome = '{FORGOTTEN}')
    AND NOT (e.attempts = 0 AND e.redo = '{Redo.OBSERVED}' AND EXISTS (SELECT FROM timeline t
               WHERE t.since IS NOT NULL AND t.confirmed_at > statement_timestamp()
                   - interval '{LOOKED_AT_FOR.total_seconds():.0f} s'))
"""
"""The same in SQL, of an effect `e`: none of them is so."""


def doubt(effect_id: int) -> bool:
    """Put a due effect in doubt if it may have been sent; the caller holds its operation's lock."""
    due = Effect.objects.filter(id=effect_id, state=EffectState.READY, run_at__lte=Now())
    effect = due.filter(MARKED | ASKED_ANEW).select_related("realm").first()
    if effect is None or not database.value("SELECT timeline_confirmed()", {}):
        return False
    if effect.attempts == 0:
        _mark(effect)
    lost = Attempt.objects.filter(effect=effect, outcome=FORGOTTEN)
    quiet = timedelta(seconds=settings.LEASE_SECONDS + offer(effect).settle)
    over = Timeline.objects.filter(confirmed_at__isnull=False).latest("confirmed_at").confirmed_at
    assert over is not None
    Effect.objects.filter(id=effect_id, state=EffectState.READY, fence=effect.fence).update(
        state=EffectState.IN_DOUBT,
        fence=F("fence") + 1,
        attempts=max(1, effect.attempts),
        # Whoever called it before may do so until a lease is over.
        doubt_until=over + quiet,
        going_since=Now(),
        message=_MESSAGE,
    )
    lost.update(outcome="unknown", ended_at=Now())
    return True


def _mark(effect: Effect) -> None:
    Attempt.objects.create(
        id=uuid.uuid4(),
        effect=effect,
        number=1,
        fence=effect.fence,
        worker=LOST_IN_A_FAILOVER,
        claimed_at=Now(),
        call_started_at=Now(),
        ended_at=Now(),
        outcome=FORGOTTEN,
        message=_MESSAGE,
    )
