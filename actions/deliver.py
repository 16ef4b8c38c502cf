"""Deliver one effect: claim it, write down that it is called, call, settle what it came to.

No transaction is open during the call. Whatever goes wrong before it is written down that the call
begins is "not now": nothing was sent. Whatever goes wrong after is "not known".
"""

from __future__ import annotations

import logging
from dataclasses import replace

from actions import adapters, made, outbox, settle
from actions.adapters import where
from actions.connectors._base import Call, Connector, NotMade
from actions.faults import point
from actions.models import Attempt, Effect
from actions.objection import objection
from actions.outcomes import Applied, Outcome, Refused, RetryLater, Seen, Unknown

log = logging.getLogger(__name__)

type Told = tuple[Outcome, bool]
"""What an attempt came to, and whether it was read back."""

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
    outcome, verified = _bring_about(effect, attempt)
    point("deliver.called")
    settle.settle(attempt, outcome, verified=verified, settle_seconds=adapters.offer(effect).settle)
    point("deliver.settled")
    return True


def _bring_about(effect: Effect, attempt: Attempt) -> Told:
    if found := objection(effect):
        return Refused(found), False
    try:
        connector, call = _ready(effect)
    except NotMade as no:
        return no.outcome, False
    except made.Erased:
        return Refused("What it made is erased: it must be asked for anew."), False
    except Exception as error:
        log.warning("effect %s is not ready to be sent: %s", effect.pk, where(error))
        return RetryLater(f"It could not be made ready: {type(error).__name__}."), False
    until = outbox.intend(attempt, effect, adapters.offer(effect).timeout)
    point("deliver.intended")
    if until is None:
        return _NOT_CALLED, False
    try:
        return _call(connector, call, until)
    except Exception as error:
        # Whatever a connector raises leaves open whether the call arrived.
        log.warning("effect %s: %s", effect.pk, where(error))
        return Unknown(f"The call ended in {type(error).__name__}."), False


def _ready(effect: Effect) -> tuple[Connector, Call]:
    connector = adapters.connector(str(effect.realm_id), effect.realm_version)
    call = adapters.call_of(effect)
    if adapters.offer(effect).makes:
        call = replace(call, made=made.once(effect.operation, lambda: connector.make(call)))
    return connector, call


def _call(connector: Connector, call: Call, until: float) -> Told:
    point("deliver.before_call")
    if outbox.steady() > until:  # this process stood still meanwhile
        return _NOT_CALLED, False
    outcome = connector.apply(call)
    point("deliver.after_call")
    if not isinstance(outcome, Applied):
        return outcome, False
    if connector.verify(call):
        return outcome, True
    if connector.observe(call) is Seen.UNREADABLE:
        return (
            outcome,
            False,
        )  # its word stands where it cannot be read, and is told as not verified
    return Unknown("The system said yes, but reading it back does not show it."), False
