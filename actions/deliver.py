"""Deliver one effect: claim it, write down that it is called, call, settle what it came to.

No transaction is open during the call. Whatever goes wrong before it is written down that the call
begins is "not now": nothing was sent. Whatever goes wrong after is "not known".
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

from actions import adapters, health, made, outbox, settle
from actions.adapters import where
from actions.connectors._base import Call, Connector, NotMade
from actions.faults import point
from actions.models import Attempt, Effect
from actions.objection import objection
from actions.outcomes import Applied, Outcome, Refused, RetryLater, Seen, Unknown

log = logging.getLogger(__name__)


class Told(NamedTuple):
    """What an attempt came to, whether it was read back, and whether the system was asked at all."""

    outcome: Outcome
    verified: bool = False
    asked: bool = False


_NOT_CALLED = RetryLater(
    "It was not called: too little was left of the time for which it was held."
)


def deliver(effect_id: int, worker: str) -> bool:
    """Try one effect once. False when there was nothing to take up."""
    point("deliver.before_claim")
    attempt = outbox.claim(effect_id, worker)
    if attempt is None:
        return False
    point("deliver.claimed")
    effect = attempt.effect
    told = _bring_about(effect, attempt)
    point("deliver.called")
    rests = adapters.offer(effect).settle
    settle.settle(attempt, told.outcome, verified=told.verified, settle_seconds=rests)
    point("deliver.settled")
    # In a transaction of its own, for every effect of the realm would wait for this row.
    kind = adapters.kind(effect)
    health.heard(kind, effect.realm_id, attempt.id, told.outcome, asked=told.asked)
    return True


def _bring_about(effect: Effect, attempt: Attempt) -> Told:
    if found := objection(effect):
        return Told(Refused(found))
    try:
        connector, call = _ready(effect)
    except NotMade as no:
        return Told(no.outcome, asked=True)
    except made.Erased:
        return Told(Refused("What it made is erased: it must be asked for anew."))
    except Exception as error:
        log.warning("effect %s is not ready to be sent: %s", effect.pk, where(error))
        return Told(RetryLater(f"It could not be made ready: {type(error).__name__}."))
    until = outbox.intend(attempt, effect, adapters.offer(effect).timeout)
    point("deliver.intended")
    if until is None:
        return Told(_NOT_CALLED)
    try:
        return _call(connector, call, until)
    except Exception as error:
        # Whatever a connector raises leaves open whether the call arrived.
        log.warning("effect %s: %s", effect.pk, where(error))
        return Told(Unknown(f"The call ended in {type(error).__name__}."), asked=True)


def _ready(effect: Effect) -> tuple[Connector, Call]:
    connector = adapters.connector(str(effect.realm_id), effect.realm_version)
    call = adapters.call_of(effect)
    if adapters.offer(effect).makes:
        call = replace(call, made=made.once(effect.operation, lambda: connector.make(call)))
    return connector, call


def _call(connector: Connector, call: Call, until: float) -> Told:
    point("deliver.before_call")
    if outbox.steady() > until:  # this process stood still meanwhile
        return Told(_NOT_CALLED)
    outcome = connector.apply(call)
    point("deliver.after_call")
    if not isinstance(outcome, Applied):
        return Told(outcome, asked=True)
    if connector.verify(call):
        return Told(outcome, verified=True, asked=True)
    if connector.observe(call) is Seen.UNREADABLE:
        # Its word stands where it cannot be read, and is told as not verified.
        return Told(outcome, asked=True)
    return Told(Unknown("The system said yes, but reading it back does not show it."), asked=True)
