"""Reconcile doubts: once no late call can take effect any more, redo, settle or park, by redo class.

Every class waits for the settle time: a redo that succeeds before the first call arrives could be
followed by the opposite, and then by that first call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from actions import adapters, database, health, states, steps
from actions.connectors._base import Redo
from actions.models import Effect, Operation
from actions.outcomes import Found, Seen
from actions.settle import BLIND, END, LOST_IN_A_FAILOVER, lock, redo_wait, roll_up, spent, to_ready
from actions.states import EffectState
from actions.sweeping import each

PARK_AFTER = 15 * 60.0
PARK_OVERTAKEN_AFTER = 60.0
"""Seconds for which a later generation waits in a realm for the reading of what it has overtaken."""

SOONEST_LOOK, LATEST_LOOK = 1.0, 60.0
"""Seconds until it is read again: half of the time that the doubt has lasted, within these."""

_MESSAGES = {
    EffectState.SUCCEEDED: "Read back after a doubt: it is there.",
    EffectState.READY: "Not known whether it arrived: it is sent again, which this system allows.",
    EffectState.FAILED: "Read back after a doubt: it is not there, and it is not tried again.",
    EffectState.PARKED: "Not known whether it arrived, and it cannot be read back: a person must look.",
}
_NEVER = "Not known whether it arrived, and it may not be sent again: a person must look."
_NOT_THERE = "Read back after a doubt: it is not there."


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known of a doubt beside what is read, in seconds of the database's clock."""

    lasts: float  # since the doubted call began
    since_first: float  # since the first call under this key began
    redo: bool  # it may be tried again
    blind: bool  # … and without having read that it is not there
    endless: bool  # the end of something: neither parked nor given up
    overtaken: bool = False  # it is not to be any more, such as by a later generation: only read


# Ids first: every sweep asks this, and mostly there is nothing. After a failover a doubt may be older than
# the last call, and is not settled before it was said how much was lost.
_DUE = """
SELECT id FROM effect WHERE state = 'in_doubt' AND doubt_until <= statement_timestamp()
   AND (SELECT timeline_confirmed())
 ORDER BY doubt_until LIMIT 100
"""
_WHOLE = Effect.objects.select_related("realm", "subject", "operation__subject")


def reconcile_due() -> int:
    """Look at every effect whose settle time is over; how many moved."""
    with connection.cursor() as cursor:
        ids = [row[0] for row in cursor.execute(_DUE).fetchall()]
    if not ids:
        return 0
    silent = set(health.not_read_now())
    return each(lambda effect: _reconcile(_WHOLE.get(id=effect), silent), ids)


def _reconcile(effect: Effect, silent: set[UUID] | None = None) -> int:
    """`silent`: realms that did not answer lately. They are not waited for again and again."""
    silent = set() if silent is None else silent
    if effect.realm_id in silent:
        seen = Seen.UNREADABLE
    else:
        seen = _read(effect, _doubt(effect, effect.operation), silent)
    with transaction.atomic():
        operation = lock(effect.operation_id)
        moved = _move(effect, seen)
        roll_up(operation)
    return moved


def _read(effect: Effect, doubt: Doubt, silent: set[UUID]) -> Seen:
    if effect.redo == Redo.NEVER or (effect.redo == Redo.KEYED and doubt.blind):
        return Seen.UNREADABLE  # not asked: a person must look; or the same key goes again anyway
    begun = time.monotonic()
    seen = adapters.observe(effect)
    took = time.monotonic() - begun
    kind, realm = adapters.kind(effect), effect.realm_id
    if seen is Seen.UNREADABLE and health.could_not_be_read(kind, realm, took):
        silent.add(realm)
    return seen


_TIMES = """
SELECT extract(epoch FROM clock_timestamp() - CASE WHEN a.worker = %(lost)s THEN a.ended_at
         ELSE coalesce(a.call_started_at, a.claimed_at) END)::float AS lasts,
       extract(epoch FROM clock_timestamp() - (SELECT min(f.call_started_at) FROM attempt f
                                                WHERE f.effect_id = a.effect_id))::float AS since_first,
       a.outcome IN ('refused', 'retrylater') AS told_no
  FROM attempt a WHERE a.effect_id = %(effect)s ORDER BY a.number DESC LIMIT 1
"""


def _doubt(effect: Effect, operation: Operation) -> Doubt:
    row = database.one(_TIMES, {"effect": effect.pk, "lost": LOST_IN_A_FAILOVER})
    overtaken = operation.state in states.VOID or _behind_what_is_lost(effect, operation)
    redo = not (overtaken or row["told_no"] or spent(effect.pk, operation).enough)
    since_first = row["since_first"] or 0.0
    keeps = adapters.offer(effect).keeps
    remembered = effect.redo == Redo.NATURAL or keeps is None or since_first < keeps
    return Doubt(
        lasts=row["lasts"],
        since_first=since_first,
        redo=redo,
        blind=redo and effect.redo in BLIND and remembered,
        endless=operation.because.startswith(END),
        overtaken=overtaken,
    )


def _behind_what_is_lost(effect: Effect, operation: Operation) -> bool:
    before = operation.effects.filter(ord__lt=effect.ord, state__in=sorted(steps.LOST))
    return before.exists()


def verdict(redo: Redo, seen: Seen, doubt: Doubt) -> EffectState | None:
    """What becomes of a doubt after the settle time; None: look again later."""
    if seen is Seen.YES:
        return EffectState.SUCCEEDED
    if redo is Redo.NEVER:
        return EffectState.PARKED
    if seen is Seen.NO:
        return EffectState.READY if doubt.redo else EffectState.FAILED
    if doubt.blind:
        return EffectState.READY
    if doubt.overtaken:
        return EffectState.PARKED if doubt.lasts > PARK_OVERTAKEN_AFTER else None
    return EffectState.PARKED if doubt.lasts > PARK_AFTER and not doubt.endless else None


def _move(effect: Effect, seen: Seen) -> int:
    doubted = Effect.objects.filter(
        id=effect.id, state=EffectState.IN_DOUBT, fence=effect.fence, doubt_until__lte=Now()
    )
    if not doubted.exists():
        return 0
    operation = Operation.objects.get(id=effect.operation_id)
    doubt = _doubt(effect, operation)
    state = verdict(Redo(effect.redo), seen, doubt)
    if state is None:
        wait = min(LATEST_LOOK, max(SOONEST_LOOK, doubt.lasts / 2))
        return doubted.update(doubt_until=Now() + timedelta(seconds=wait))
    message = _said(Redo(effect.redo), seen, state)
    if state == EffectState.READY:
        at = Now() + redo_wait(spent(effect.pk, operation).tries)
        return to_ready(effect.id, EffectState.IN_DOUBT, message=message, run_at=at)
    change: dict[str, object] = {"state": state, "doubt_until": None, "message": message}
    if state != EffectState.PARKED:
        change["settled_at"] = Now()
    if state == EffectState.SUCCEEDED:
        change |= {"found": Found.NOT_KNOWN, "verified_at": Now()}
    return doubted.update(**change)


def _said(redo: Redo, seen: Seen, state: EffectState) -> str:
    if state == EffectState.READY and seen is Seen.NO:
        return _NOT_THERE
    return _NEVER if redo is Redo.NEVER and state == EffectState.PARKED else _MESSAGES[state]
