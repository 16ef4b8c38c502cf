"""Deliver one effect: claim it, call with no transaction open, settle what it came to."""

from __future__ import annotations

import logging

from actions import adapters, outbox, settle
from actions.connectors._base import Call, Connector
from actions.faults import point
from actions.models import Effect
from actions.outcomes import Applied, Outcome, Refused, Unknown

log = logging.getLogger(__name__)


def deliver(effect_id: int, worker: str) -> bool:
    """Try one effect once. False when there was nothing to take up."""
    point("deliver.before_claim")
    attempt = outbox.claim(effect_id, worker)
    if attempt is None:
        return False
    point("deliver.claimed")
    effect = _whole(effect_id)
    outcome, verified = _bring_about(effect)
    point("deliver.called")
    settle.settle(attempt, outcome, verified=verified, settle_seconds=adapters.offer(effect).settle)
    point("deliver.settled")
    return True


def _whole(effect_id: int) -> Effect:
    return Effect.objects.select_related("realm", "subject", "operation__subject").get(id=effect_id)


def _bring_about(effect: Effect) -> tuple[Outcome, bool]:
    if objection := outbox.objection(effect):
        return Refused(objection), False
    try:
        connector = adapters.connector(str(effect.realm_id), effect.realm_version)
        return _call(connector, adapters.call_of(effect))
    except Exception as error:
        # Whatever a connector raises leaves open whether the call arrived.
        log.warning("effect %s: %s", effect.pk, type(error).__name__, exc_info=error)
        return Unknown(f"The call ended in {type(error).__name__}."), False


def _call(connector: Connector, call: Call) -> tuple[Outcome, bool]:
    point("deliver.before_call")
    outcome = connector.apply(call)
    point("deliver.after_call")
    if not isinstance(outcome, Applied):
        return outcome, False
    if connector.verify(call):
        return outcome, True
    return Unknown("The system said yes, but reading it back does not show it."), False
