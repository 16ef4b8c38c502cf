"""Issue an operation: look, decide, write; and if somebody else was first, look again.

Python decides, the database referees. The write names the generation that it was decided on, and
writes nothing when the lane or the key is no longer as it was. Whatever is answered was written.
"""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection

from actions import database, keys
from actions.catalogue._ends import moment
from actions.compare import Ask, Decision, decide
from actions.errors import NotRecorded, Unauthenticated
from actions.faults import point
from actions.standing import Facts, Look, Overlap, Standing, dumps, facts, in_force, look

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request is told. `changed` is true for created and resumed alone."""

    disposition: str
    code: str
    message: str
    status: int
    arrival: uuid.UUID
    in_force: str
    exact: bool
    replayed: bool
    operation: Facts | None
    superseded_by: Facts | None
    overlaps: tuple[Overlap, ...]
    may_see: bool

    @property
    def changed(self) -> bool:
        """Whether this very request made something happen."""
        return self.disposition in {"created", "resumed"}


def submit(who: Who, ask: Ask) -> Answer:
    """Take in one request, once; the same request sent again is told what the first was.

    Raises ParamsRefused, Unauthenticated, and NotRecorded when the database cannot be reached.
    """
    arrival = uuid.uuid4()
    deadline = time.monotonic() + PATIENCE
    may_be_written = False
    while True:
        try:
            if may_be_written and (answer := _written_before(who, ask, arrival)):
                return answer
            return _passes(who, ask, arrival)
        except psycopg.errors.UniqueViolation as error:
            # The lost write was committed after all, while this one waited for its key.
            if error.diag.constraint_name != "arrival_pkey":
                raise
            may_be_written = True
        except _LOST as error:
            # The line was lost. If that was while writing, the write may have been committed: the
            # arrival's id tells, on a new line. Writing again is safe either way, by the key.
            may_be_written = may_be_written or getattr(error, "while_writing", False)
            connection.close()
            if time.monotonic() > deadline or connection.in_atomic_block:
                raise _unrecorded(may_be_written) from error
            time.sleep(0.05)


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


def _passes(who: Who, ask: Ask, arrival: uuid.UUID) -> Answer:
    fingerprint = ask.fingerprint()
    for _ in range(PASSES):
        seen = _look(who, ask)
        point("issue.looked")
        decision = decide(ask, seen, fingerprint)
        point("issue.decided")
        written = _write(ask, seen, decision, arrival, fingerprint)
        point("issue.written")
        if written is not None:
            return _answer(ask, seen, decision, arrival, written)
    raise NotRecorded(
        "not_recorded", "Too many are asking for this at once. Nothing changed. Send it again."
    )


def _look(who: Who, ask: Ask) -> Standing:
    at = Look(ask.action, ask.subject, ask.key, who.caller, who.token_prefix, ask.incident)
    return admit(who, look(at))


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
  %(effects)s::jsonb)
"""


@dataclass(frozen=True, slots=True)
class _Written:
    operation: int | None
    ref: str | None
    at: datetime
    arrivals: int | None


def _write(
    ask: Ask, seen: Standing, decision: Decision, arrival: uuid.UUID, fingerprint: bytes
) -> _Written | None:
    """Write the decision; None when somebody else was first and it must be decided again."""
    params = _params(ask, seen, decision, arrival, fingerprint)
    try:
        row = database.one(_ISSUE, params)
    except psycopg.Error as error:
        if error.sqlstate in database.TRY_AGAIN:
            return None
        error.while_writing = True  # type: ignore[attr-defined]  # read by submit above
        raise
    if row["verdict"] == "moved":
        return None
    return _Written(row["operation"], params["ref"], row["at"], row["arrivals"])


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
        rest = ("reason", "because", "again_of", "draft", "effects")
        return dict.fromkeys((*nothing, *rest))
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
        "token": str(seen.token.id) if seen.token else None,
        "via": ask.via,
    }
    if decision.plan is not None:
        event |= {
            "because": decision.because,
            "digest": decision.plan.digest.hex(),
            "draft": ask.draft.id if ask.draft else None,
            "generation": seen.generation + 1,
            "plan": decision.plan.content,
            "reason": ask.reason,
            "seen": ask.seen,
        }
    elif decision.told is None:
        event |= {"action": ask.action.name, "subject": f"{ask.subject.kind}/{ask.subject.name}"}
    return event


def _answer(
    ask: Ask, seen: Standing, decision: Decision, arrival: uuid.UUID, written: _Written
) -> Answer:
    told = decision.told
    if decision.plan is not None:
        told = _new_facts(ask, seen, decision, written)
    elif told is not None and written.arrivals is not None:
        told = {**told, "arrivals": written.arrivals, "last_arrival_at": moment(written.at)}
        if decision.disposition == "resumed":
            told["state"] = "running"
    newest = seen.newest if decision.plan is None else None
    later = newest if told and newest and newest["generation"] > told["generation"] else None
    same_lane = decision.disposition != "key_reused"
    return Answer(
        disposition=decision.disposition,
        code=decision.code,
        message=decision.message or _made_message(told),
        status=decision.status,
        arrival=arrival,
        in_force=in_force(told, seen.known, seen.overlaps) if told and same_lane else "unknown",
        exact=decision.exact,
        replayed=decision.replayed,
        operation=told,
        superseded_by=later,
        overlaps=seen.overlaps,
        may_see=seen.may_see,
    )


def _made_message(facts: Facts | None) -> str:
    return f"Issued as {facts['ref']}, generation {facts['generation']}." if facts else ""


def _new_facts(ask: Ask, seen: Standing, decision: Decision, written: _Written) -> Facts:
    """The operation just made, as `operation_facts` will tell it: no third round trip for that."""
    made = decision.plan
    assert made is not None
    at = moment(written.at)
    names = {realm.id: realm for realm in seen.realms}
    return {
        "id": written.operation,
        "ref": written.ref,
        "generation": seen.generation + 1,
        "lane": ask.action.lane,
        "action": made.action,
        "kind": ask.subject.kind,
        "name": ask.subject.name,
        "state": "approved",
        "desired": dict(made.intent.desired),
        "span": made.intent.span,
        "ends_at": moment(made.intent.until) if made.intent.until else None,
        "reason": ask.reason,
        "because": decision.because,
        "again_of": seen.generation if ask.again else None,
        "requested_by": seen.caller_name,
        "requested_by_id": str(seen.caller_id),
        "requested_by_kind": seen.caller_kind,
        "via": ask.via,
        "requested_at": at,
        "settled_at": None,
        "verified_at": None,
        "ended_at": None,
        "end_note": "",
        "arrivals": 1,
        "last_arrival_at": at,
        "incidents": [ask.incident] if ask.incident is not None else [],
        "effects": [
            {
                **effect.row(),
                "realm": names[effect.realm].name,
                "realm_id": effect.realm,
                "title": names[effect.realm].title,
                "state": "ready",
                "found": "",
                "message": "",
                "attempts": 0,
                "settled_at": None,
                "verified_at": None,
            }
            for effect in made.effects
        ],
    }


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
    told = facts(row["facts"])
    status, message = _as_told(row["disposition"], row["code"], decision, told)
    return Answer(
        disposition=row["disposition"],
        code=row["code"],
        message=message,
        status=status,
        arrival=arrival,
        in_force=in_force(told, seen.known, seen.overlaps) if told else "unknown",
        exact=decision.exact,
        replayed=False,
        operation=told,
        superseded_by=None,
        overlaps=seen.overlaps,
        may_see=seen.may_see,
    )


_STATUS = {"created": 201, "existing": 200, "resumed": 200}
_STATUS |= {"key_reused": 422, "stale": 412, "conflict": 409, "too_soon": 409, "refused": 403}


def _as_told(
    disposition: str, code: str, now: Decision, told: Facts | None
) -> tuple[int, str]:
    """Status and message of what was written, beside what would be decided now."""
    if disposition == "created":
        return _STATUS[disposition], _made_message(told)
    if (disposition, code) == (now.disposition, now.code):
        return now.status, now.message
    if disposition in {"existing", "resumed"}:
        return _STATUS[disposition], now.message
    # Judged again now, it would be told something else; but this time it was refused.
    return _STATUS[disposition], "Nothing changed. What stood against it has passed: ask again."
