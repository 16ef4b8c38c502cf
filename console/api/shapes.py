"""What the API reads and answers: request bodies, and operations as it tells them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from actions import keys, naming
from actions import read as read_state
from actions.answer import Answer
from actions.ask import Ask
from actions.catalogue._base import Action
from actions.catalogue._ends import moment
from actions.errors import NotFound, ParamsRefused
from actions.history import Present
from actions.known import Known, Overlap
from actions.policy import Sight
from actions.registry import registry
from actions.standing import Facts
from console.api import bodies

_INCIDENT = r"INC-[1-9][0-9]{0,8}"


def incident_number(ref: str | None) -> int | None:
    """7 from `INC-7`. Raises ParamsRefused `bad_incident`."""
    if not ref:
        return None
    if not re.fullmatch(_INCIDENT, ref, re.ASCII):
        raise ParamsRefused(
            "bad_incident",
            "An incident is named like INC-7. Nothing changed.",
            {"field": "incident"},
        )
    return int(ref.removeprefix("INC-"))


def reason_of(text: str | None) -> str:
    """A reason with something in it. Raises ParamsRefused `no_reason`."""
    reason = (text or "").strip()
    if not reason:
        raise ParamsRefused(
            "no_reason", "Say why, in reason: it is kept. Nothing changed.", {"field": "reason"}
        )
    return reason


def _action(name: str) -> Action:
    try:
        return registry.action(name)
    except NotFound as unknown:
        message = f"{unknown.message} Nothing changed."
        raise NotFound(unknown.code, message, {"disposition": "refused"}) from None


def ask_of(
    body: bodies.OperationIn, key: str, seen: int | None, caller: Callable[[str], UUID]
) -> Ask:
    """What the body asks for, canonical. Raises Refusal, ParamsRefused or SubjectRefused.

    `caller` proves who asks for the action of that name, where a name must be looked up for them.
    """
    if body.action is None or body.subject is None:
        raise ParamsRefused(
            "bad_body", "Name an action and a subject, or a draft. Nothing changed.", {}
        )
    keys.canonical(body.params)
    if body.again and seen is None:
        raise ParamsRefused(
            "again_needs_seen",
            "To order it again, name the generation that you have seen, in seen or If-Match. "
            "Nothing changed.",
            {"field": "seen"},
        )
    asked = body.action
    subject = naming.subject(body.subject.kind, body.subject.name, lambda: caller(asked), key)
    reason, incident = reason_of(body.reason), incident_number(body.incident)
    # Last, so that a faulty request is told the same whether there is such an action or not.
    action = _action(body.action)
    if subject.kind != action.kind:
        raise ParamsRefused(
            "bad_kind",
            f"{action.name} acts on a {action.kind}. Nothing changed.",
            {"field": "subject.kind"},
        )
    if not action.takes_back:
        naming.heed(subject, lambda: caller(asked), key)
    return Ask(
        action=action,
        subject=subject,
        params=body.params,
        reason=reason,
        key=key,
        via="api",
        incident=incident,
        seen=seen,
        again=body.again,
        confirm=body.confirm,
    )


def operation_now(facts: Facts, now: Present) -> dict[str, object]:
    """An operation with what the last look found in each system, for those who may see all of it."""
    own = {known.realm: known for known in now.known}
    body = operation({**facts, "verified_at": now.verified_at})
    effects = [
        {**_effect(str(body["key"]), effect), **_read(own.get(effect["realm_id"]))}
        for effect in facts["effects"]
    ]
    return {**body, "effects": effects}


def _read(known: Known | None) -> dict[str, object]:
    if known is None or known.reading is None:
        return {"read_at": None, "reads_as": None}
    return {"read_at": _utc(known.reading.taken_at), "reads_as": read_state.words(known)}


def operation(facts: Facts, *, may_see: bool = True) -> dict[str, object]:
    """An operation as every answer tells it; its reason only to those who may see it."""
    key = keys.operation_key(facts["action"], facts["kind"], facts["name"], facts["generation"])
    done = sum(effect["state"] == "succeeded" for effect in facts["effects"])
    return {
        "ref": facts["ref"],
        "key": key,
        "url": f"/api/v1/operations/{facts['ref']}",
        "action": facts["action"],
        "subject": subject(facts["kind"], facts["name"], facts.get("label")),
        "lane": facts["lane"],
        "generation": facts["generation"],
        "state": facts["state"],
        "desired": {**facts["desired"], "until": _utc(facts["ends_at"])},
        "result": {
            "done": done,
            "of": len(facts["effects"]),
            **registry.result(facts["action"], facts["effects"]),
        },
        "because": facts["because"] or None,
        "undoes": facts["undoes"],
        "approvals": _approvals(facts, may_see=may_see),
        "break_glass": facts["break_glass"] is not None,
        "requested_by": facts["requested_by"],
        "requested_at": _utc(facts["requested_at"]),
        "settled_at": _utc(facts["settled_at"]),
        "verified_at": _utc(facts["verified_at"]),
        "incidents": [f"INC-{n}" for n in facts["incidents"]] if may_see else [],
        "reason": facts["reason"] if may_see else None,
        "effects": [_effect(key, effect) for effect in facts["effects"]],
        "arrivals": {"count": facts["arrivals"], "last_at": _utc(facts["last_arrival_at"])},
    }


def arrival(told: Mapping[str, Any]) -> dict[str, object]:
    """One request that arrived, as the viewer may know it."""
    return {name: value for name, value in told.items() if name != "request"}


def _approvals(facts: Facts, *, may_see: bool) -> dict[str, object]:
    """What it needs, until when, and what was decided; the reasons only for who may see it."""
    return {
        "needed": facts["approvals"],
        "until": _utc(facts["approve_by"]),
        "digest": facts["digest"],
        "given": [
            {
                "by": d["by"],
                "decision": d["decision"],
                "at": _utc(d["at"]),
                "reason": d["reason"] if may_see and facts["reason"] is not None else None,
            }
            for d in facts["decisions"]
        ],
    }


def subject(kind: str, name: str, label: str | None = None) -> dict[str, str]:
    """A subject: what it is called too, where that is not its name."""
    return {"kind": kind, "name": name} | ({"label": label} if label and label != name else {})


def utc(text: str | None) -> str | None:
    """A time as the database writes it in JSON, in the form that all answers use."""
    return _utc(text)


def _utc(text: str | None) -> str | None:
    """A time as the database writes it in JSON, in the form that all answers use."""
    return moment(datetime.fromisoformat(text)) if text else None


def _effect(operation_key: str, effect: Mapping[str, Any]) -> dict[str, object]:
    return {
        "n": effect.get("n"),  # not yet told of an operation that was just made
        "key": keys.effect_key(operation_key, effect["realm_id"], effect["step"]),
        "realm": effect["realm"],
        "step": effect["step"],
        "capability": effect["capability"],
        "redo": effect["redo"],
        "desired": effect["desired"],
        "state": effect["state"],
        "found": effect["found"] or None,
        "message": effect["message"] or None,
        "attempts": effect["attempts"],
        "settled_at": _utc(effect["settled_at"]),
        "verified_at": _utc(effect["verified_at"]),
    }


def seen(facts: Facts, sees: Sight) -> dict[str, object]:
    """An operation for somebody who may see this much: of others, neither reason nor incidents."""
    return operation(facts, may_see=sees.tells(facts))


def present(now: Present, sees: Sight) -> dict[str, object]:
    """What is true of an operation now."""
    body: dict[str, object] = {
        "in_force": now.in_force,
        "read_at": _utc(now.read_at),
        "overlaps": overlaps(now.overlaps),
    }
    if now.superseded_by is not None:
        body["superseded_by"] = seen(now.superseded_by, sees)
    return body


def overlaps(found: tuple[Overlap, ...]) -> list[dict[str, str]]:
    """Blocked networks that cover the subject, or lie within it."""
    return [
        {"network": o.name, "operation": o.ref, "is": "wider" if o.wider else "narrower"}
        for o in found
    ]


def answer(told: Answer) -> dict[str, object]:
    """The body of an answer that names an operation."""
    assert told.operation is not None
    body: dict[str, object] = {
        "disposition": told.disposition,
        "changed": told.changed,
        "exact": told.exact,
        "in_force": told.in_force,
        "read_at": _utc(told.read_at),
        "message": told.message,
        "operation": seen(told.operation, told.sees),
    }
    if told.superseded_by is not None:
        body["superseded_by"] = seen(told.superseded_by, told.sees)
    if told.overlaps:
        body["overlaps"] = overlaps(told.overlaps)
    return body
