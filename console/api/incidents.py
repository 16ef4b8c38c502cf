"""Incidents: open, read and list them, write notes, hand over, close and open again."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router
from pydantic import BaseModel

from actions import dossier, history, incidents, keys, remains, sight, timeline
from actions.errors import NotFound, ParamsRefused, Refusal
from actions.history import Filter
from actions.incident_rules import NO_INCIDENT, Change, note_of, title_of
from actions.incidents import By, Told
from actions.policy import Sight, rights
from console.api import bodies, incident_shapes, shapes
from console.api.auth import Principal, principal
from console.api.errors import problem

router = Router(tags=["incidents"])

_VERSION = re.compile(r'(?:W/)?"?(\d{1,9})"?', re.ASCII)


def _takes(model: type[BaseModel], *headers: str) -> dict[str, Any]:
    named = ("Idempotency-Key", *headers)
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": model.model_json_schema()}},
        },
        "parameters": [
            {"name": n, "in": "header", "required": n == "Idempotency-Key", "schema": {"type": "string"}}
            for n in named
        ],
    }  # fmt: skip


@router.post(
    "",
    openapi_extra=_takes(incident_shapes.IncidentIn),
    summary="Open an incident",
    response={200: dict, 201: dict},
)
def create(request: HttpRequest) -> HttpResponse:
    """Open an incident, once per Idempotency-Key. Who opens it leads it; for a runbook, its owner."""
    caller = principal(request, "incidents")
    key = _key(request)
    body = bodies.read(request, incident_shapes.IncidentIn)
    incident, opened = incidents.open_incident(
        caller.caller.id, body.title, key, restricted=body.restricted, by=_by(caller)
    )
    shown = {"changed": opened, "incident": incident_shapes.shape(incident)}
    response = JsonResponse(shown, status=201 if opened else 200)
    response["Location"] = f"/api/v1/incidents/{incident.ref}"
    response["ETag"] = f'"{incident.version}"'
    if not opened:
        response["Idempotency-Replayed"] = "true"
    return response


@router.get("", summary="List incidents, open ones first")
def index(
    request: HttpRequest, state: str = "", cursor: str = "", limit: int = 50
) -> dict[str, object]:
    """Incidents that the caller sees: open ones first, each newest first; `next` leads on."""
    caller, _ = _reader(request)
    found = dossier.incidents(caller.caller.id, state, cursor, limit)
    members = dossier.members_of([i.id for i in found.incidents])
    shown = [incident_shapes.shape(i, members.get(i.id, [])) for i in found.incidents]
    return {"incidents": shown, "next": found.next or None}


@router.get("/{ref}", summary="Read one incident with its operations", response={200: dict})
def show(request: HttpRequest, ref: str) -> HttpResponse:
    """One incident, the operations that were asked for because of it, and what it leaves in force."""
    caller, sees = _reader(request)
    viewer = caller.caller.id
    incident = dossier.find(shapes.incident_number(ref), viewer)
    page = history.operations(sees, Filter(incident=incident.number), "", history.MOST)
    body = {
        "incident": incident_shapes.shape(incident),
        "operations": [shapes.operation(told) for told in sight.unveil(page.facts, viewer)],
        "left": incident_shapes.left(remains.left(incident.id, viewer)),
    }
    response = JsonResponse(body)
    response["ETag"] = f'"{incident.version}"'
    response["Cache-Control"] = "no-store"
    return response


@router.get("/{ref}/timeline", summary="Read the timeline of an incident, newest first")
def story(request: HttpRequest, ref: str, cursor: str = "", limit: int = 50) -> dict[str, object]:
    """What was done to it, said, asked for, and what became of that; `next` leads further back."""
    caller, sees = _reader(request)
    incident = dossier.find(shapes.incident_number(ref), caller.caller.id)
    page = timeline.read(incident.id, sees, cursor, limit)
    return {"items": [incident_shapes.item(item) for item in page.items], "next": page.next or None}


@router.patch(
    "/{ref}",
    openapi_extra=_takes(incident_shapes.IncidentChangeIn, "If-Match"),
    summary="Change an incident",
    response={200: dict},
)
def change(request: HttpRequest, ref: str) -> HttpResponse:
    """Title, lead, state, restriction, members: by its lead or an admin, who saw this version."""
    caller, number, key = _writer(request, ref)
    body = bodies.read(request, incident_shapes.IncidentChangeIn)
    wanted = _change(body, _version(request, body.version))
    try:
        told = incidents.change(_by(caller), number, wanted, key)
    except Refusal as refusal:
        if refusal.code not in {"stale", "confirm_needed"}:
            raise
        return _told_what_stands(caller, number, refusal)
    return _answer(caller, told, 200)


@router.post(
    "/{ref}/notes",
    openapi_extra=_takes(incident_shapes.NoteIn),
    summary="Write a note into the timeline",
    response={200: dict, 201: dict},
)
def note(request: HttpRequest, ref: str) -> HttpResponse:
    """One note per Idempotency-Key, kept for ever; also in an incident that is closed."""
    caller, number, key = _writer(request, ref)
    text = bodies.read(request, incident_shapes.NoteIn).text
    return _answer(caller, incidents.note(_by(caller), number, text, key), 201)


def _reader(request: HttpRequest) -> tuple[Principal, Sight]:
    """Who reads, and the actions that they may see; who may see none sees no incident either."""
    caller = principal(request, "read")
    sees = rights(caller.caller.id).sees
    if not sees:
        raise NotFound("no_incident", NO_INCIDENT)
    return caller, sees


def _writer(request: HttpRequest, ref: str) -> tuple[Principal, int, str]:
    caller = principal(request, "incidents")
    number = shapes.incident_number(ref)
    return caller, number or 0, _key(request)


def _key(request: HttpRequest) -> str:
    return keys.request_key(request.headers.get("Idempotency-Key"))


def _by(caller: Principal) -> By:
    return By(caller.caller.id, "api", caller.token.id)


def _version(request: HttpRequest, given: int | None) -> int | None:
    """The version that the caller has seen, from the body or If-Match; both must agree."""
    header = request.headers.get("If-Match")
    if header is None:
        return given
    match = _VERSION.fullmatch(header.strip())
    if match is None or (given is not None and given != int(match[1])):
        raise ParamsRefused(
            "bad_if_match",
            'If-Match takes one version, such as "3", and must agree with version. Nothing changed.',
            {"field": "If-Match"},
        )
    return int(match[1])


def _change(body: incident_shapes.IncidentChangeIn, version: int | None) -> Change:
    title = body.title if body.title is None else title_of(body.title)
    return Change(
        title=title,
        lead=body.lead,
        state=body.state,
        restricted=body.restricted,
        add=tuple(sorted(set(body.add_members))),
        remove=tuple(sorted(set(body.remove_members))),
        note=note_of(body.note),
        version=version,
        confirm=body.confirm,
    )


def _answer(caller: Principal, told: Told, status: int) -> HttpResponse:
    """What a write came to, beside the incident as it is now, if the caller still sees it."""
    try:
        incident = dossier.find(told.number, caller.caller.id)
    except NotFound:
        incident = None
    body = {
        "changed": told.changed,
        "message": told.message,
        "incident": incident_shapes.shape(incident) if incident else None,
    }
    response = JsonResponse(body, status=status if told.changed else 200)
    if incident is not None:
        response["ETag"] = f'"{incident.version}"'
    if told.replayed:
        response["Idempotency-Replayed"] = "true"
    response["Cache-Control"] = "no-store"
    return response


def _told_what_stands(caller: Principal, number: int, refusal: Refusal) -> HttpResponse:
    """A refusal with what it is about: who leads now, or what closing would leave in force."""
    incident = dossier.find(number, caller.caller.id)
    left = None
    if refusal.code == "confirm_needed":
        left = incident_shapes.left(remains.left(incident.id, caller.caller.id))
    return problem(
        int(str(refusal.facts["status"])),
        refusal.code,
        refusal.message,
        disposition=str(refusal.facts["disposition"]),
        incident=incident_shapes.shape(incident, plain=True),
        left=left,
    )
