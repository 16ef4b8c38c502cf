"""The last look before a call: whether what was asked is still the plan, and may still be asked."""

from __future__ import annotations

from actions import database, limits
from actions.catalogue._base import Intent
from actions.models import Effect, Operation
from actions.plan import Plan, PlannedEffect
from actions.policy import granted
from actions.protection import protection_of
from actions.registry import registry
from actions.subjects import Subject

_STILL_MAY = f"""
SELECT c.kind = 'console' OR (c.is_active
   AND (a.token_id IS NULL OR EXISTS (SELECT FROM api_token t WHERE t.id = a.token_id
         AND t.revoked_at IS NULL AND 'ask:' || n.name = ANY(t.scopes)))
   AND {granted("entry", "ask_entry", "n.id", "c.id")}
   AND {granted("realm", "ask_realm", "%(realm)s::uuid", "c.id")})
  FROM arrival a JOIN request r ON r.id = a.request_id JOIN caller c ON c.id = r.caller_id,
       catalogue_entry n
 WHERE a.operation_id = %(operation)s AND a.disposition IN ('created', 'resumed', 'decided')
   AND n.name = %(action)s
 ORDER BY a.at DESC LIMIT 1
"""


def objection(effect: Effect) -> str | None:
    """Why this effect must not be sent after all, by the plan and the rights of now; or None.

    The rights are those of whoever last set it going: who asked, or later resumed it or decided on a
    step; and of the token that they used, though its time may be over by now.
    """
    operation = effect.operation
    if _plan_digest(operation) != bytes(operation.plan_digest):
        return "Its plan is not what was asked for: it was altered after it was issued."
    if not _is_a_step(effect):
        return "What is to be sent is no step of its action as the catalogue has it now."
    asked = {"operation": operation.id, "action": operation.action}
    if not database.value(_STILL_MAY, {**asked, "realm": effect.realm_id}):
        return "Who asked for this may no longer ask for it."
    if not database.value("SELECT approvals_stand(%(operation)s)", {"operation": operation.id}):
        return "What let it run is no longer so: an approval was given by somebody who may not now."
    return _protected_since(effect)


_PROTECTION = """
SELECT protection(s.kind, s.name, s.network, o.requested_by_id) AS found, asked_twice(o.id) AS agreed
  FROM operation o JOIN subject s ON s.id = o.subject_id WHERE o.id = %(operation)s
"""


def _protected_since(effect: Effect) -> str | None:
    """Asked again: what it would hit may have been protected since. What gives back is always sent."""
    if limits.gives_back(effect.desired):
        return None
    row = database.one(_PROTECTION, {"operation": effect.operation_id})
    found = protection_of(row["found"])
    subject = effect.operation.subject
    return limits.why_not_now(
        Subject(subject.kind, subject.name, subject.rules), found, row["agreed"]
    )


def _is_a_step(effect: Effect) -> bool:
    """Who writes an operation past our own code may write a ban under the name of a lift."""
    operation = effect.operation
    action = registry.find(operation.action)
    if action is None:
        return False
    steps = action.steps(Intent(operation.desired, operation.ends_at, operation.span))
    lane = effect.lane if effect.lane != operation.lane else ""
    found = (effect.step, effect.ord, effect.capability, effect.desired, lane, effect.after)
    return found in [(s.name, s.ord, s.capability, s.desired, s.lane or "", s.after) for s in steps]


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
