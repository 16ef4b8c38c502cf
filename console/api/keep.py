"""Keep a ban that might have cut off who asked for it: shown by a new connection."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import Query, Router

from actions import history, keep, keys
from actions.act import NO_OPERATION
from actions.errors import NotFound, Refusal
from actions.policy import rights
from console import proof, waiting
from console.api import bodies
from console.api.auth import bearer, principal
from console.api.errors import problem
from console.api.operations import refusal_to_the_known, respond
from console.api.verbs import takes

router = Router(tags=["operations"])

_PROXIED = (
    "A proxy stands between, so a new connection cannot be told from an old one. Nothing changed."
)


@router.get("/{ref}/keep", summary="The next link of the chain that shows a new connection")
def link(
    request: HttpRequest, ref: str, given: Annotated[str, Query(alias="proof")] = ""
) -> HttpResponse:
    """Each answer closes its connection. With the link of none left, POST it to keep the ban."""
    caller = principal(request, "read").caller.id
    told = history.by_ref(ref, rights(caller).sees)
    if told is None:
        raise NotFound("no_operation", f"{NO_OPERATION} Nothing changed.")
    if not proof.tells(request):
        return proof.closing(problem(409, "cannot_tell", _PROXIED, disposition="refused"))
    own = told["requested_by_id"] == str(caller)
    if no := keep.why_not(told, timezone.now(), own=own):
        return proof.closing(problem(no.status, no.code, no.message, disposition="refused"))
    at = proof.read(given, ref, caller)
    body = {"proof": proof.link(ref, caller, at), "left": max(0, proof.LINKS - at - 1)}
    return proof.closing(JsonResponse(body))


@router.post(
    "/{ref}/keep",
    openapi_extra=takes(bodies.KeepIn),
    summary="Keep a ban that takes in your own address",
    response={200: dict},
)
def keep_it(request: HttpRequest, ref: str) -> HttpResponse:
    """It stays until the end that was asked for, if this shows that you still come in."""
    who = bearer(request)
    try:
        body = bodies.read(request, bodies.KeepIn)
        caller = principal(request, "read").caller.id
        proven = proof.tells(request) and proof.whole(body.proof, ref, caller)
        key = keys.request_key(request.META.get("HTTP_IDEMPOTENCY_KEY"))
        told = keep.keep(who, ref, key, "api", proven=proven)
    except Refusal as refusal:
        return proof.closing(refusal_to_the_known(request, refusal))
    return proof.closing(respond(told, waiting.asked(request)))
