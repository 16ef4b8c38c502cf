"""Incidents: open one, read one, list them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from actions import history, keys
from actions.errors import NotFound
from actions.history import Filter
from actions.incidents import open_incident
from actions.models import Incident
from actions.policy import Sight, rights
from console.api import shapes
from console.api.auth import principal

router = Router(tags=["incidents"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": shapes.IncidentIn.model_json_schema()}},
    },
    "parameters": [
        {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}}
    ],
}


@router.post("", openapi_extra=_BODY, summary="Open an incident", response={200: dict, 201: dict})
def create(request: HttpRequest) -> HttpResponse:
    """Open an incident, once per Idempotency-Key."""
    caller = principal(request, "incidents").caller
    key = keys.request_key(request.headers.get("Idempotency-Key"))
    title = shapes.read(request, shapes.IncidentIn).title
    incident, opened = open_incident(caller.id, title, key)
    body = {"changed": opened, "incident": _shape(incident)}
    response = JsonResponse(body, status=201 if opened else 200)
    response["Location"] = f"/api/v1/incidents/{incident.ref}"
    if not opened:
        response["Idempotency-Replayed"] = "true"
    return response


@router.get("", summary="List incidents, newest first")
def index(request: HttpRequest, limit: int = 50) -> dict[str, object]:
    """Incidents, newest first."""
    _some_right(request)
    found = Incident.objects.select_related("opened_by").order_by("-number")
    return {"incidents": [_shape(i) for i in found[: max(1, min(limit, history.MOST))]]}


@router.get("/{ref}", summary="Read one incident with its operations")
def show(request: HttpRequest, ref: str) -> dict[str, object]:
    """One incident and the operations that were asked for because of it."""
    sees = _some_right(request)
    number = shapes.incident_number(ref)
    incident = Incident.objects.select_related("opened_by").filter(number=number or 0).first()
    if incident is None:
        raise NotFound("no_incident", "There is no such incident.")
    page = history.operations(sees, Filter(incident=incident.number), "", history.MOST)
    return {
        "incident": _shape(incident),
        "operations": [shapes.operation(told) for told in page.facts],
    }


def _some_right(request: HttpRequest) -> Sight:
    """What the caller may see; who may see none may not see why they were asked for."""
    sees = rights(principal(request, "read").caller.id).sees
    if not sees:
        raise NotFound("no_incident", "There is no such incident.")
    return sees


def _shape(incident: Incident) -> dict[str, object]:
    return {
        "ref": incident.ref,
        "title": incident.title,
        "state": incident.state,
        "opened_by": incident.opened_by.username,
        "opened_at": incident.opened_at,
    }
