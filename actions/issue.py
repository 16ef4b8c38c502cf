"""Issue an operation: look, decide, write; and if somebody else was first, look again.

Python decides, the database referees. The write names the generation that it was decided on, and
writes nothing when the lane or the key is no longer as it was. Whatever is answered was written.
"""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection

from actions import database, keys, limits, read
from actions.answer import Answer, Written, of_lost, of_written
from actions.ask import Ask, Decision
from actions.compare import decide
from actions.database import dumps
from actions.errors import NotRecorded, Unauthenticated
from actions.faults import point
from actions.standing import Look, Standing, facts, look

PASSES = 20
"""Every pass that fails means that another request succeeded; a trial never needed as many."""

PATIENCE = 3.0
"""Seconds to go on trying to reach the database after the line to it was lost."""

_LOST = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks: somebody signed in (`caller`), or the bearer of a token."""

    caller: uuid.UUID | None = None
    token_prefix: str = ""
    token_digest: bytes = b""
    address: IPv4Address | IPv6Address | None = None  # from where, as the door knows it


def submit(who: Who, ask: Ask, wait: read.Wait | None = None) -> Answer:
    """Take in one request, once; the same request sent again is told what the first was.

    With `wait`, what stands is looked at before it is said to stand, for a moment.

    Raises ParamsRefused, Unauthenticated, and NotRecorded when the database cannot be reached.
    """
    ask = replace(ask, address=who.address)
    return surely(
        lambda arrival: _passes(who, ask, arrival, wait),
        lambda arrival: _written_before(who, ask, arrival),
    )


def surely[T](write: Callable[[uuid.UUID], T], before: Callable[[uuid.UUID], T | None]) -> T:
    """Write one request under a new arrival's id, also when the line is lost on the way.

    `before` tells what that arrival was told, if its write was committed and the answer lost.
    """
    arrival = uuid.uuid4()
    deadline = time.monotonic() + PATIENCE
    may_be_written = False
    while True:
        try:
            if may_be_written and (answer := before(arrival)):
                return answer
            return write(arrival)
        except psycopg.errors.UniqueViolation as error:
            # The lost write was committed after all, while this one waited for its key.
            if error.diag.constraint_name != "arrival_pkey":
                raise
            may_be_written = True
        except psycopg.errors.ReadOnlySqlTransaction as error:
            # A standby took over, perhaps after the first try was committed.
            raise _unrecorded(may_be_written) from error
        except _LOST as error:
            # The line was lost. If that was while writing, the write may have been committed: the
            # arrival's id tells, on a new line. Writing again is safe either way, by the key.
            may_be_written = may_be_written or getattr(error, "while_writing", False)
            connection.close()
            if time.monotonic() > deadline or connection.in_atomic_block:
                raise _unrecorded(may_be_written) from error
            time.sleep(0.05)


def too_many() -> NotRecorded:
    """It moved under every pass, and so was not written."""
    return NotRecorded(
        "not_recorded", "Too many are asking for this at once. Nothing changed. Send it again."
    )


def _unrecorded(may_be_written: bool) -> NotRecorded:
    if may_be_written:
        return NotRecorded(
            "unknown_outcome",
            "The database did not answer in time: we do not know whether this was written down. "
            "Send it again under the same key: it cannot run twice.",
        )
    return NotRecorded(
        "not_recorded",
        "We could not write this down, so we did not run it. Nothing changed. Send it again.",
    )


def _passes(who: Who, ask: Ask, arrival: uuid.UUID, wait: read.Wait | None) -> Answer:
    fingerprint = ask.fingerprint()
    for _ in range(PASSES):
        seen = _look(who, ask)
        point("issue.looked")
        decision = decide(ask, seen, fingerprint)
        if wait and decision.disposition == "existing":
            if _looked_at(ask, seen, decision, wait):
                seen = _look(who, ask)
                decision = decide(ask, seen, fingerprint)
            wait = None  # once for a request, however often it is decided
        point("issue.decided")
        try:
            made = _write(ask, seen, decision, arrival, fingerprint)
        except limits.Reached as reached:
            decision = limits.told(reached)
            made = _write(ask, seen, decision, arrival, fingerprint)
        point("issue.written")
        if made is not None:
            return of_written(ask, seen, decision, arrival, made)
    raise too_many()


def _looked_at(ask: Ask, seen: Standing, decision: Decision, wait: read.Wait) -> bool:
    told = decision.told
    if told is None or (told["kind"], told["name"]) != (ask.subject.kind, ask.subject.name):
        return False
    return read.brought_up_to_date(told, seen.known, wait)


def _look(who: Who, ask: Ask) -> Standing:
    return admit(who, look(look_at(who, ask)))


def look_at(who: Who, ask: Ask) -> Look:
    """What deciding on `ask` looks at."""
    undoes = ask.undoes.operation if ask.undoes else None
    return Look(
        ask.action, ask.subject, ask.key, who.caller, who.token_prefix, ask.incident, undoes
    )


def admit(who: Who, seen: Standing) -> Standing:
    """What was seen, if it is known who asks. Raises Unauthenticated."""
    if who.caller is None:
        token = seen.token
        known = token is not None and hmac.compare_digest(bytes(token.digest), who.token_digest)
        if token is None or not known or not token.live:
            raise Unauthenticated("unauthenticated", "This token is unknown, over or withdrawn.")
    if seen.caller_id is None:
        raise Unauthenticated("unauthenticated", "This account is closed.")
    return seen


_ISSUE = """
SELECT verdict, operation, at, arrivals FROM issue(
  %(arrival)s::uuid, %(caller)s::uuid, %(key)s::text, %(fingerprint)s::bytea, %(rules)s::int,
  %(via)s::text, %(token)s::uuid, %(request)s::bigint, %(disposition)s::text, %(code)s::text,
  %(told)s::bigint, %(incident)s::uuid, %(kind)s::text, %(body)s::text, %(subject_kind)s::text,
  %(subject_name)s::text, %(subject_rules)s::int, %(network)s::cidr, %(lane)s::text,
  %(decided_on)s::int, %(decided_state)s::text, %(ref)s::text, %(action)s::text,
  %(action_version)s::int, %(desired)s::jsonb, %(span)s::int, %(ends_at)s::timestamptz,
  %(digest)s::bytea, %(reason)s::text, %(because)s::text, %(again_of)s::int, %(draft)s::text,
  %(effects)s::jsonb, %(undoes)s::bigint, %(approvals)s::jsonb, %(break_glass)s::uuid,
  %(keep_for)s::int)
"""


def _write(
    ask: Ask, seen: Standing, decision: Decision, arrival: uuid.UUID, fingerprint: bytes
) -> Written | None:
    """Write the decision; None when somebody else was first and it must be decided again."""
    params = _params(ask, seen, decision, arrival, fingerprint)
    row = written(_ISSUE, params)
    if row is None:
        return None
    return Written(row["operation"], params["ref"], row["at"], row["arrivals"])


def written(statement: str, params: Mapping[str, object]) -> dict[str, Any] | None:
    """What a function of ours wrote; None when somebody else was first, and nothing was written."""
    try:
        row = database.one(statement, params)
    except psycopg.Error as error:
        if error.sqlstate in database.TRY_AGAIN:
            return None
        limits.raise_reached(error)
        error.while_writing = True  # type: ignore[attr-defined]  # read by surely above
        raise
    return None if row["verdict"] == "moved" else row


def _params(
    ask: Ask, seen: Standing, decision: Decision, arrival: uuid.UUID, fingerprint: bytes
) -> dict[str, Any]:
    newest, told, made = seen.newest, decision.told, decision.plan
    return {
        "arrival": arrival,
        "caller": seen.caller_id,
        "key": ask.key,
        "fingerprint": fingerprint,
        "rules": keys.RULES,
        "via": ask.via,
        "token": seen.token.id if seen.token else None,
        "request": seen.key.id if seen.key else None,
        "disposition": decision.disposition,
        "code": decision.code,
        "told": told["id"] if told else None,
        "incident": seen.incident_id,
        "kind": "operation.requested" if made else "request.arrived",
        "body": keys.canonical(_event(ask, seen, decision, arrival)).decode(),
        "subject_kind": ask.subject.kind,
        "subject_name": ask.subject.name,
        "subject_rules": ask.subject.rules,
        "network": ask.subject.name if ask.subject.kind == "network" else None,
        "lane": ask.action.lane if decision.on_lane else None,
        "decided_on": seen.generation,
        "decided_state": newest["state"] if newest else None,
        **_made(ask, decision, seen),
    }


def _made(ask: Ask, decision: Decision, seen: Standing) -> dict[str, Any]:
    made = decision.plan
    if made is None:
        nothing = ("ref", "action", "action_version", "desired", "span", "ends_at", "digest")
        rest = ("reason", "because", "again_of", "draft", "effects", "undoes", "break_glass")
        return {**dict.fromkeys((*nothing, *rest, "keep_for")), "approvals": "[]"}
    return {
        "ref": keys.new_ref("op"),
        "action": made.action,
        "action_version": made.version,
        "desired": dumps(dict(made.intent.desired)),
        "span": made.intent.span,
        "ends_at": made.intent.until,
        "digest": made.digest,
        "reason": ask.reason,
        "because": decision.because,
        "again_of": seen.generation if ask.again else None,
        "draft": ask.draft.id if ask.draft else None,
        "effects": dumps(made.content["effects"]),
        "undoes": ask.undoes.operation if ask.undoes else None,
        "approvals": dumps(decision.needs.rows),
        "break_glass": decision.break_glass,
        "keep_for": decision.keep_for,
    }


def _event(
    ask: Ask, seen: Standing, decision: Decision, arrival: uuid.UUID
) -> Mapping[str, object]:
    event: dict[str, object] = {
        "arrival": str(arrival),
        "by": seen.caller_name,
        "caller": str(seen.caller_id),
        "code": decision.code,
        "disposition": decision.disposition,
        "incident": ask.incident,
        "key": ask.key,
        "reason": ask.reason,
        "seen": ask.seen,
        "token": str(seen.token.id) if seen.token else None,
        "via": ask.via,
    }
    if ask.undoes is not None:
        event["undoes"] = ask.undoes.ref
    if decision.plan is not None:
        event |= {
            "because": decision.because,
            "digest": decision.plan.digest.hex(),
            "draft": ask.draft.id if ask.draft else None,
            "generation": seen.generation + 1,
            "plan": decision.plan.content,
        }
        if decision.needs.each:
            event["approvals"] = decision.needs.rows
        if decision.break_glass:
            event["break_glass"] = str(decision.break_glass)
        if decision.keep_for:
            event["keep_for"] = decision.keep_for
    elif decision.told is None:
        event |= {"action": ask.action.name, "subject": f"{ask.subject.kind}/{ask.subject.name}"}
    return event


_BEFORE = """
SELECT a.disposition, a.code, (SELECT f.facts FROM operation_facts f WHERE f.id = a.operation_id)
       AS facts FROM (SELECT 1) AS always LEFT JOIN arrival a ON a.id = %(arrival)s
"""


def _written_before(who: Who, ask: Ask, arrival: uuid.UUID) -> Answer | None:
    """What this very arrival was told, if its write was committed and only the answer was lost."""
    row = database.one(_BEFORE, {"arrival": arrival})
    if row["disposition"] is None:
        return None
    seen = _look(who, ask)
    decision = decide(ask, seen, ask.fingerprint())
    before = (row["disposition"], row["code"], facts(row["facts"]))
    return of_lost(ask, seen, decision, arrival, before)
