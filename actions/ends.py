"""Ends: what was asked for until a moment is undone at that moment, unless the lane moved on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from actions import database, keys, log, plan
from actions.catalogue._base import Action, Values
from actions.database import dumps
from actions.models import Caller, EndsHold, Operation
from actions.plan import Plan, RealmNow
from actions.registry import registry
from actions.subjects import Subject
from actions.sweeping import each

MAY_JUMP = 30.0
"""Seconds that the database's clock may move against a keeper's own before ends are held."""

AT_ONCE = 1000
"""How many ends one sweep looks at; the next begins again with the longest due."""

OVERDUE_AFTER = timedelta(minutes=5)

_ISSUE_END = """
SELECT issue_end(%(of)s::bigint, %(caller)s::uuid, %(body)s::text, %(ref)s::text, %(action)s::text,
  %(version)s::int, %(desired)s::jsonb, %(digest)s::bytea, %(reason)s::text, %(effects)s::jsonb,
  %(decided_on)s::int)
"""


class Clock:
    """The database's clock beside this process's own, which nobody can set."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def jump(self, now: datetime) -> float:
        """How far the database's clock moved against ours since the last call, in seconds."""
        offset = now.timestamp() - time.clock_gettime(_STEADY)
        jumped = 0.0 if self._offset is None else offset - self._offset
        if self._offset is None or abs(jumped) > MAY_JUMP:
            self._offset = offset
        return jumped


# The boot clock goes on while a machine sleeps, as the database's does.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def hold_if_jumped(clock: Clock) -> None:
    """Hold all ends when the database's clock has jumped, until an admin releases them."""
    jumped = clock.jump(database.value("SELECT clock_timestamp()", {}))
    if abs(jumped) <= MAY_JUMP:
        return
    try:
        with transaction.atomic():
            EndsHold.objects.create(seconds=jumped, noticed_at=Now())
            log.append("ends.held", {"seconds": round(jumped)})
    except IntegrityError:
        return  # held already: one at a time, by a unique index


def held() -> bool:
    """True while ends are on hold."""
    return EndsHold.objects.filter(released_at__isnull=True).exists()


def end_due() -> int:
    """Issue the end of everything whose time is over; how many were issued or found void."""
    if held():
        return 0
    over = Q(ends_at__lte=Now(), ends_at__isnull=False)
    unkept = Q(keep_by__lte=Now(), keep_by__isnull=False, kept_at__isnull=True)
    due = Operation.objects.filter(over | unkept, ended_at__isnull=True).select_related("subject")
    console = Caller.objects.only("id").filter(kind=Caller.Kind.CONSOLE).first()
    if console is None:
        return 0
    return each(lambda operation: _end(operation, console), due.order_by("ends_at")[:AT_ONCE])


def _end(operation: Operation, console: Caller) -> bool:
    action = registry.action(operation.action)
    ending = action.ended_by(operation.desired)
    if ending is None:
        return False
    verdict = database.value(_ISSUE_END, _params(operation, console, ending))
    return verdict in {"written", "void", "ended"}


def _params(
    operation: Operation, console: Caller, ending: tuple[str, Values]
) -> Mapping[str, object]:
    name, values = ending
    action = registry.action(name)
    planned = _plan(operation, action, values)
    why = f"The time of {operation.ref} is over"
    if operation.keep_by and not operation.kept_at:
        why = f"Nobody said on a new connection that {operation.ref} cut nobody off"
    reason = f"{why}: {operation.reason}"
    ref = keys.new_ref("op")
    newest = Operation.objects.filter(subject=operation.subject, lane=operation.lane).latest(
        "generation"
    )
    body: dict[str, Any] = {
        "because": f"end of @{operation.generation}",
        "by": "console",
        "caller": str(console.id),
        "digest": planned.digest.hex(),
        "disposition": "created",
        "ends": operation.ref,
        "generation": newest.generation + 1,
        "plan": planned.content,
        "reason": reason,
        "via": "keeper",
    }
    return {
        "of": operation.id,
        "caller": console.id,
        "body": keys.canonical(body).decode(),
        "ref": ref,
        "action": action.name,
        "version": action.version,
        "desired": dumps(dict(planned.intent.desired)),
        "digest": planned.digest,
        "reason": reason,
        "effects": dumps(planned.content["effects"]),
        "decided_on": newest.generation,
    }


def _plan(operation: Operation, action: Action, values: Values) -> Plan:
    """The end's plan: in the very realms in which the operation had its effects."""
    subject = operation.subject
    assert operation.ends_at is not None
    realms = {effect.realm_id: effect.realm for effect in operation.effects.select_related("realm")}
    now = [
        RealmNow(str(r.id), r.name, r.title, r.connector, r.version, True, True)
        for r in realms.values()
    ]
    named = Subject(subject.kind, subject.name, subject.rules)
    return plan.make(action, named, action.resolve(values, operation.ends_at), now)
