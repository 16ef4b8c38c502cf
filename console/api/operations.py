"""Operations: ask for one, read one, list them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from uuid import UUID

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from ninja import Router

from actions import arrivals, history, issue, keys, prepare, read, sight
from actions.answer import Answer
from actions.ask import Ask
from actions.errors import NotFound, ParamsRefused, Refusal, Unauthenticated
from actions.faults import point
from actions.history import Filter
from actions.policy import Sight, rights
from actions.standing import Facts
from console import waiting
from console.api import bodies, shapes
from console.api.auth import asker, bearer, caller_of, principal
from console.api.errors import of_refusal, problem

router = Router(tags=["operations"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": bodies.OperationIn.model_json_schema()}},
    },
    "parameters": [
        {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}},
        {"name": "If-Match", "in": "header", "schema": {"type": "string"}},
        {"name": "Prefer", "in": "header", "schema": {"type": "string"}},
    ],
}
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?', re.ASCII)


@router.post(
    "", openapi_extra=_BODY, summary="Ask for an operation", response={200: dict, 201: dict}
)
def create(request: HttpRequest) -> HttpResponse:
    """Issue an operation, or be told the one that there is. Safe to send again under its key."""
    point("web.received")
    who = bearer(request)
    try:
        ask = _ask(request)
    except Refusal as refusal:
        return refusal_to_the_known(request, refusal)
    told = issue.submit(who, ask, waiting.for_reading)
    point("web.answered")
    return respond(told, waiting.asked(request))


def refusal_to_the_known(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """What is wrong with a request is told to those with a live token; to others, nothing."""
    try:
        principal(request, "read")
    except Unauthenticated as unknown:
        return of_refusal(unknown)
    except Refusal:
        pass
    return of_refusal(refusal)


def _ask(request: HttpRequest) -> Ask:
    key = keys.request_key(request.META.get("HTTP_IDEMPOTENCY_KEY"))
    body = bodies.read(request, bodies.OperationIn)
    seen = seen_of(request, body.seen)
    if body.draft is None:
        return shapes.ask_of(body, key, seen, asker(request))
    if body.model_fields_set - {"draft", "confirm"}:
        raise ParamsRefused("bad_body", "A draft says it all; send nothing beside it.", {})
    draft = prepare.find(body.draft, lambda: caller_of(request).id)
    ask = prepare.ask_of(draft, "api")
    if ask.key != key:
        raise ParamsRefused(
            "bad_key", "A draft is confirmed under its own id as Idempotency-Key.", {}
        )
    return replace(ask, confirm=body.confirm)


def seen_of(request: HttpRequest, given: int | None) -> int | None:
    """The generation that the caller has seen, from the body or If-Match; both must agree."""
    header = request.META.get("HTTP_IF_MATCH")
    if header is None:
        return given
    match = _ETAG.fullmatch(header.strip())
    if match is None or (given is not None and given != int(match[1])):
        raise ParamsRefused(
            "bad_if_match",
            'If-Match takes one generation, such as "3", and must agree with seen. Nothing changed.',
            {"field": "If-Match"},
        )
    return int(match[1])


def respond(told: Answer, wait: float = 0, **members: object) -> HttpResponse:
    """An answer as HTTP: the operation, or a problem that names what there is, with `members`."""
    if told.status >= 400:
        shown, later = told.operation, told.superseded_by
        return problem(
            told.status,
            told.code,
            told.message,
            disposition=told.disposition,
            operation=shapes.seen(shown, told.sees) if shown else None,
            in_force=told.in_force if shown else None,
            superseded_by=shapes.seen(later, told.sees) if later else None,
            retry_after=told.retry_after,
            **members,
        )
    if wait:
        told = settled(told, wait)
    body = shapes.answer(told)
    response = HttpResponse(
        _ENCODER.encode(body), status=told.status, content_type="application/json"
    )
    assert told.operation is not None
    response["Location"] = f"/api/v1/operations/{told.operation['ref']}"
    response["ETag"] = f'"{told.operation["generation"]}"'
    response["Cache-Control"] = "no-store"
    if told.replayed:
        response["Idempotency-Replayed"] = "true"
    return response


def settled(told: Answer, wait: float) -> Answer:
    """The answer with its operation as it is once settled, or once the wait is over."""
    assert told.operation is not None
    try:
        before = told.operation
        facts = waiting.until_settled(before, wait)
        # Read anew, it tells nobody what they may not know: what they may was told before.
        facts = {**facts, "reason": before["reason"], "incidents": before["incidents"]}
        return replace(told, operation=facts, in_force=history.now_of(facts).in_force)
    except (DatabaseError, InterfaceError, psycopg.Error):
        # It is recorded; only watching it was cut short. What is known is the answer.
        connection.close()
        return told


@router.get("", summary="List operations, newest first")
def index(
    request: HttpRequest,
    action: str = "",
    state: str = "",
    incident: str = "",
    kind: str = "",
    name: str = "",
    cursor: str = "",
    limit: int = 50,
) -> dict[str, object]:
    """Operations that the caller may see, filtered; `next` leads to the following page."""
    caller = principal(request, "read").caller.id
    number = sight.number_seen(caller, shapes.incident_number(incident))
    wanted = Filter(action, state, number, kind, name)
    page = history.operations(rights(caller).sees, wanted, cursor, limit)
    told = sight.unveil(page.facts, caller)
    return {"operations": [shapes.operation(f) for f in told], "next": page.next or None}


@router.get("/{ref}", summary="Read one operation")
def show(request: HttpRequest, ref: str) -> dict[str, object]:
    """One operation with its effects, attempts, and every request that arrived."""
    caller = principal(request, "read").caller.id
    sees = rights(caller).sees
    told = _visible(ref, sees, caller)
    now = history.now_of(told)
    return {
        **shapes.present(now, sees),
        "operation": shapes.operation_now(told, now),
        "attempts": history.attempts(told["id"]),
        "arrivals": [shapes.arrival(a) for a in arrivals.arrivals(told["id"], caller)],
    }


@router.post("/{ref}/check", summary="Have an operation's systems looked at now")
def check(request: HttpRequest, ref: str) -> dict[str, object]:
    """How its systems stand now; changes nothing. `checked` is false when not all were read in time."""
    caller = principal(request, "read").caller.id
    sees = rights(caller).sees
    told = _visible(ref, sees, caller)
    checked = read.check(told, waiting.for_reading)
    now = history.now_of(told)
    return {
        "changed": False,
        "checked": checked,
        **shapes.present(now, sees),
        "operation": shapes.operation_now(told, now),
    }


def _visible(ref: str, sees: Sight, caller: UUID) -> Facts:
    told = sight.unveil_one(history.by_ref(ref, sees), caller)
    if told is None:
        raise NotFound("no_operation", "There is no such operation that you may see.")
    return told
