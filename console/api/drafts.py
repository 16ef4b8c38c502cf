"""Drafts: see what an operation would do, and change nothing outside."""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from actions import prepare, read
from actions.policy import Sight, rights
from console import waiting
from console.api import bodies, shapes
from console.api.auth import asker, bearer, principal
from console.api.operations import seen_of

router = Router(tags=["drafts"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": bodies.OperationIn.model_json_schema()}},
    }
}


@router.post("", openapi_extra=_BODY, summary="Prepare an operation", response={201: dict})
def create(request: HttpRequest) -> HttpResponse:
    """A draft: its id is the Idempotency-Key to confirm it under, within 30 minutes."""
    sees = rights(principal(request, "read").caller.id).sees
    body = bodies.read(request, bodies.OperationIn)
    ask = shapes.ask_of(body, prepare.new_key(), seen_of(request, body.seen), asker(request))
    made = prepare.prepare(bearer(request), replace(ask, via="api"), waiting.for_reading)
    response = JsonResponse(_shape(made, sees), status=201)
    response["Location"] = f"/api/v1/drafts/{made.draft.id}"
    return response


@router.get("/{draft}", summary="Read a draft beside what is true now")
def show(request: HttpRequest, draft: str) -> dict[str, object]:
    """The draft and what confirming it now would be told."""
    caller = principal(request, "read").caller.id
    found = prepare.find(draft, lambda: caller)
    return _shape(prepare.revisit(bearer(request), found, waiting.for_reading), rights(caller).sees)


def _shape(made: prepare.Prepared, sees: Sight) -> dict[str, object]:
    draft, preview = made.draft, made.preview
    names = {realm.id: realm.name for realm in made.seen.realms}
    return {
        "draft": draft.id,
        "action": draft.action,
        "subject": shapes.subject(draft.subject_kind, draft.subject_name, made.plan.subject.called),
        "seen": draft.seen,
        "plan": made.plan.content,
        "digest": made.plan.digest.hex(),
        "would_be": made.would.disposition,
        "message": made.would.message or preview.changes,
        "changes": preview.changes,
        "stays": preview.stays,
        "undo": preview.undo,
        "can_happen_twice": preview.twice,
        "approvals_needed": sum(need.count for need in made.needs.each),
        "approvals": made.needs.rows,
        "break_glass": made.seen.break_glass is not None,
        "in_force": made.in_force,
        "standing": shapes.seen(made.standing, sees) if made.standing else None,
        "overlaps": shapes.overlaps(made.seen.overlaps),
        "state_read": [_state_read(state, names) for state in made.state_read],
        "changed": False,
    }


def _state_read(state: read.StateRead, names: dict[str, str]) -> dict[str, object]:
    return {
        "realm": names[state.realm],
        "capability": state.capability,
        "read_at": state.at,
        "reads_as": state.reads_as if state.readable else None,
        "message": None if state.readable else state.reads_as,
        "now": state.fresh,
    }
