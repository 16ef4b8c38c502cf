"""The verbs on an operation that there is: finish, cancel, undo, and decide a parked effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Router
from pydantic import BaseModel

from actions import approve as approving
from actions import finish as finishing
from actions import history, issue, keys, undo, withdraw
from actions.act import NO_OPERATION
from actions.answer import Answer
from actions.decide import decide as decide_effect
from actions.errors import NotFound, Refusal
from actions.policy import rights
from actions.registry import registry
from actions.standing import Facts
from console import waiting
from console.api import bodies, shapes
from console.api.auth import bearer, principal
from console.api.operations import refusal_to_the_known, respond

router = Router(tags=["operations"])
Number = Annotated[int, Path(ge=1, le=2**53 - 1)]


def takes(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """What a verb's call takes, for the API's description: a body of `model`, and a key."""
    key = {
        "name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}
    }  # fmt: skip
    prefer = {"name": "Prefer", "in": "header", "schema": {"type": "string"}}
    body = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": body}, "parameters": [key, prefer]}


@router.post(
    "/{ref}/finish",
    openapi_extra=takes(bodies.NothingIn, required=False),
    summary="Run what is unfinished",
    response={200: dict},
)
def finish(request: HttpRequest, ref: str) -> HttpResponse:
    """Only the unfinished effects run, under the rights and limits of now."""
    return _done(request, lambda key: finishing.finish(bearer(request), ref, key, "api"), _nothing)


@router.post(
    "/{ref}/cancel",
    openapi_extra=takes(bodies.NothingIn, required=False),
    summary="Withdraw it before anything was sent",
    response={200: dict},
)
def cancel(request: HttpRequest, ref: str) -> HttpResponse:
    """Cancelled and never sent, or not at all: what has begun can only be undone."""
    return _done(request, lambda key: withdraw.cancel(bearer(request), ref, key, "api"), _nothing)


@router.post(
    "/{ref}/effects/{n}/decide",
    openapi_extra=takes(bodies.DecisionIn),
    summary="Say what a parked effect came to",
    response={200: dict},
)
def decide(request: HttpRequest, ref: str, n: Number) -> HttpResponse:
    """A person looked: it is in place, it is not, or it is to be tried again."""

    def write(key: str) -> Answer:
        body = bodies.read(request, bodies.DecisionIn)
        reason = shapes.reason_of(body.reason)
        return decide_effect(bearer(request), ref, n, body.to, reason, key, "api")

    return _done(request, write)


@router.post(
    "/{ref}/approve",
    openapi_extra=takes(bodies.ApprovalIn, required=False),
    summary="Approve it: for people, never for a token",
    response={200: dict},
)
def approve(request: HttpRequest, ref: str) -> HttpResponse:
    """A token asks, and never approves: 403. People approve on the pages."""
    return _decision(request, ref, approving.approve)


@router.post(
    "/{ref}/decline",
    openapi_extra=takes(bodies.ApprovalIn, required=False),
    summary="Decline it: for people, never for a token",
    response={200: dict},
)
def decline(request: HttpRequest, ref: str) -> HttpResponse:
    """A token asks, and never declines either: 403."""
    return _decision(request, ref, approving.decline)


def _decision(request: HttpRequest, ref: str, decide: Callable[..., Answer]) -> HttpResponse:
    def write(key: str) -> Answer:
        body = bodies.read(request, bodies.ApprovalIn) if request.body else bodies.ApprovalIn()
        given = (body.reason or "", body.digest or "")
        return decide(bearer(request), ref, *given, key, "api")

    return _done(request, write)


@router.post(
    "/{ref}/undo",
    openapi_extra=takes(bodies.UndoIn),
    summary="Undo it",
    response={200: dict, 201: dict},
)
def undo_it(request: HttpRequest, ref: str) -> HttpResponse:
    """A new operation that takes back what this one changed, and nothing else."""

    def write(key: str) -> Answer:
        body = bodies.read(request, bodies.UndoIn)
        reason, incident = shapes.reason_of(body.reason), shapes.incident_number(body.incident)
        told = _visible(request, ref)
        ask = undo.ask_of(
            told, reason, key, "api", incident=incident, not_known=body.not_known or ""
        )
        return issue.submit(bearer(request), replace(ask, confirm=body.confirm))

    return _done(request, write)


def _visible(request: HttpRequest, ref: str) -> Facts:
    told = history.by_ref(ref, rights(principal(request, "read").caller.id).sees)
    if told is None:
        raise NotFound("no_operation", f"{NO_OPERATION} Nothing changed.")
    return told


def _nothing(request: HttpRequest) -> None:
    """No body, or an empty object. Raises BadJSON or ParamsRefused."""
    if request.body:
        bodies.read(request, bodies.NothingIn)


def _done(
    request: HttpRequest,
    write: Callable[[str], Answer],
    check: Callable[[HttpRequest], None] = lambda request: None,
) -> HttpResponse:
    bearer(request)
    try:
        check(request)
        told = write(keys.request_key(request.META.get("HTTP_IDEMPOTENCY_KEY")))
    except Refusal as refusal:
        return refusal_to_the_known(request, refusal)
    return respond(told, waiting.asked(request), undo=_undo_of(told))


def _undo_of(told: Answer) -> str | None:
    """Where what can no longer be cancelled can be undone, if it can."""
    shown = told.operation
    if shown is None or told.code != "begun":
        return None
    inverse = registry.action(shown["action"]).inverse
    return f"/api/v1/operations/{shown['ref']}/undo" if inverse else None
