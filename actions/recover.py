"""Recover: after a failover that may have lost commits, have all that may have been sent read first.

Whoever called an effect wrote it down before; that line may be among what was lost. So every effect
that could have been called since counts as called: what was under way is in doubt, and what waits is
marked by an attempt that is *forgotten*, and is in doubt once its turn comes (`outbox.claim`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from actions import database, log, states
from actions.adapters import offer
from actions.errors import Refusal
from actions.models import Caller, Effect, Timeline
from actions.settle import LOST_IN_A_FAILOVER
from actions.states import EffectState

_NOW = """
SELECT t.id, t.noticed_at, t.last_known_at, t.confirmed_at, t.since, t.until, clock_timestamp() AS now
  FROM timeline_now() n LEFT JOIN timeline t ON t.system = n.system AND t.number = n.number
"""

# Nothing was sent since for what an attempt was made at after the failover: its own words say how it is.
# What waited, and was not due before the failover was noticed, was not sent either. A parked effect is
# looked at by a person anyway; one that failed or was cancelled may have been set going again.
_FOUND = """
SELECT e.id, e.operation_id, e.state, e.redo, o.ref, r.name AS realm, e.realm_id::text, e.step
  FROM effect e JOIN operation o ON o.id = e.operation_id JOIN realm r ON r.id = e.realm_id
 WHERE NOT EXISTS (SELECT FROM attempt a WHERE a.effect_id = e.id AND a.claimed_at > %(until)s)
   AND o.requested_at <= %(until)s
   AND (e.state IN ('executing', 'in_doubt')
     OR (e.state = 'ready' AND e.run_at <= %(until)s AND o.state IN ('approved', 'running'))
     OR (e.state IN ('held', 'blocked') AND o.state IN ('awaiting_approval', 'approved', 'running', 'parked'))
     OR (e.state IN ('failed', 'cancelled') AND o.state IN ('running', 'parked', 'partial', 'failed')
         AND (e.settled_at >= %(since)s OR o.last_arrival_at >= %(since)s)))
 ORDER BY o.id, e.id
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """What may be missing: commits from `since` to `until`; `timeline` is the row of this life."""

    timeline: int
    since: datetime
    until: datetime
    last_known_at: datetime | None
    held: bool  # nothing is sent before it is confirmed


@dataclass(frozen=True, slots=True)
class Found:
    """One effect that may have been sent."""

    id: int
    operation_id: int
    state: str
    redo: str
    ref: str
    realm: str
    realm_id: str
    step: str


class CannotRecover(Refusal):
    """What was stated cannot be so; nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__("cannot_recover", message)


def loss(lag: timedelta | None, since: datetime | None) -> Loss:
    """What may be missing when the standby was `lag` behind, or everything `since` then may be.

    Raises CannotRecover.
    """
    now = database.one(_NOW, {})
    if now["id"] is None:
        raise CannotRecover(
            "No keeper has looked at this database yet: start one, which notices it."
        )
    held = now["confirmed_at"] is None
    if lag is not None:
        # Later than this nothing is known from before the failover.
        base = now["last_known_at"] if held or now["since"] else None
        if base is None:
            raise CannotRecover(
                "No failover was noticed, so a lag cannot be counted from anything: say since when"
                " commits may be missing, with --since."
            )
        since = base - lag
    assert since is not None
    until = now["noticed_at"] if held else now["now"]
    if now["until"] is not None and since < now["until"]:
        until = now["until"]  # said before, and perhaps too little: the same loss
    if since > now["now"]:
        raise CannotRecover("That is yet to come.")
    if since > until:
        raise CannotRecover(f"The failover was noticed at {until.isoformat()}, before that.")
    return Loss(now["id"], since, until, now["last_known_at"], held)


def found(lost: Loss) -> list[Found]:
    """Every effect that may have been sent, and would be sent again unless it is read first."""
    with connection.cursor() as cursor:
        cursor.execute(_FOUND, {"since": lost.since, "until": lost.until})
        return [Found(*row) for row in cursor.fetchall()]


def recover(lost: Loss, by: Caller, reason: str, *, nothing_lost: bool) -> list[Found]:
    """Confirm the timeline; unless nothing was lost, doubt and mark all that may have been sent.

    All of it in one transaction with its events, or nothing. Done again, it finds what is left.
    """
    with transaction.atomic():
        rows = Timeline.objects.select_for_update().filter(id=lost.timeline)
        before = rows.get()
        first = before.confirmed_at is None
        _lock(found(lost))
        some = [] if nothing_lost else found(lost)  # as it is under the locks
        change: dict[str, object] = {"confirmed_at": database.value(_CLOCK, {})}
        if not nothing_lost:
            change |= {"until": lost.until, "since": min(lost.since, before.since or lost.since)}
        rows.update(**change)
        for one in some:
            if one.state in states.OPEN:
                _doubt(one, lost)
            else:
                _mark(one, lost, by)
        changed = [one for one in some if one.state != EffectState.IN_DOUBT]
        if first or changed:
            log.append("database.recovered", _body(lost, by, reason, changed))
    return some


_CLOCK = "SELECT clock_timestamp()"


def _lock(some: Sequence[Found]) -> None:
    ids = sorted({one.operation_id for one in some})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM operation WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [ids]
        )


# Whoever called it may do so until its lease is over; from then on no later than the settle time.
_DOUBT = """
UPDATE effect SET state = 'in_doubt', lease_until = NULL,
       fence = fence + CASE WHEN state = 'executing' THEN 1 ELSE 0 END,
       doubt_until = greatest(doubt_until, %(until)s + make_interval(secs => %(quiet)s)),
       going_since = CASE WHEN state = 'executing' THEN clock_timestamp() ELSE going_since END,
       message = CASE WHEN state = 'executing' THEN %(message)s ELSE message END
 WHERE id = %(id)s
"""
_CALLED = """
UPDATE attempt a SET call_started_at = a.claimed_at FROM effect e
 WHERE e.id = %(id)s AND a.effect_id = e.id AND a.number = e.attempts AND a.call_started_at IS NULL
"""
_MESSAGE = "It may have been sent before the failover: it is read before it is sent."


def _doubt(one: Found, lost: Loss) -> None:
    quiet = settings.LEASE_SECONDS + _settle(one.id)
    given = {"id": one.id, "until": lost.until, "quiet": quiet, "message": _MESSAGE}
    with connection.cursor() as cursor:
        if one.state == EffectState.EXECUTING:
            cursor.execute(_CALLED, given)
        cursor.execute(_DOUBT, given)


def _settle(effect: int) -> float:
    """Seconds after which a late call takes no effect; a minute where its connector is not loaded."""
    try:
        return offer(Effect.objects.select_related("realm").get(id=effect)).settle
    except KeyError:
        return 60.0


_ATTEMPT = """
INSERT INTO attempt (id, effect_id, number, fence, worker, claimed_at, call_started_at, ended_at, outcome,
                     found, message, late)
SELECT gen_random_uuid(), e.id, e.attempts + 1, e.fence + 1, %(worker)s, clock_timestamp(), %(since)s,
       %(over)s, 'forgotten', '', %(message)s, false FROM effect e WHERE e.id = %(id)s
"""
_MARKED = "UPDATE effect SET attempts = attempts + 1, fence = fence + 1 WHERE id = %(id)s"
_BEGUN = "UPDATE operation SET state = 'running' WHERE id = %(operation)s AND state = 'approved'"


def _mark(one: Found, lost: Loss, by: Caller) -> None:
    given: Mapping[str, Any] = {
        "id": one.id,
        "operation": one.operation_id,
        "worker": LOST_IN_A_FAILOVER,
        "since": lost.since,
        # Whoever called it before may do so until then.
        "over": lost.until + timedelta(seconds=settings.LEASE_SECONDS + _settle(one.id)),
        "message": _MESSAGE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ATTEMPT, given)
        cursor.execute(_MARKED, given)
        if one.state == EffectState.READY:
            cursor.execute(_BEGUN, given)  # else it would end as one that was never begun
    body = {"by": by.username, "realm": one.realm_id, "state": one.state, "step": one.step}
    log.append("effect.forgotten", body, one.operation_id)


def _body(lost: Loss, by: Caller, reason: str, some: Sequence[Found]) -> dict[str, object]:
    return {
        "by": by.username,
        "caller": str(by.id),
        "effects": len(some),
        "operations": len({one.operation_id for one in some}),
        "reason": reason,
        "since": lost.since.isoformat(),
        "until": lost.until.isoformat(),
    }
