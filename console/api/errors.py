"""Errors as `application/problem+json` (RFC 9457): what happened, what did not, what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from django.http import HttpResponse

from actions.errors import NotFound, NotRecorded, ParamsRefused, Refusal, Unauthenticated

_TITLES = {
    "key_reused": "This key stands for something else",
    "stale": "It has moved on",
    "conflict": "The opposite is under way",
    "refused": "Not allowed",
    "too_soon": "Confirmed before it could be read",
    "not_recorded": "Not written down, so not run",
}


def problem(
    status: int, code: str, detail: str, *, disposition: str = "", **members: object
) -> HttpResponse:
    """One problem. `changed` is always false: what changed something is never told as an error."""
    body: dict[str, object] = {
        "type": f"urn:steadyhand:problem:{code}",
        "title": _TITLES.get(disposition or code, HTTPStatus(status).phrase),
        "status": status,
        "code": code,
        "detail": detail,
        "changed": False,
    }
    if disposition:
        body["disposition"] = disposition
    body |= {name: value for name, value in members.items() if value is not None}
    response = HttpResponse(
        json.dumps(body, ensure_ascii=False), status=status, content_type="application/problem+json"
    )
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="steadyhand"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = "1"
    response["Cache-Control"] = "no-store"
    return response


_STATUS: Mapping[type[Refusal], int] = {
    Unauthenticated: 401,
    NotFound: 404,
    NotRecorded: 503,
    ParamsRefused: 422,
}
_BY_CODE = {"bad_key": 400, "bad_json": 400, "too_wide": 403}


def of_refusal(refusal: Refusal) -> HttpResponse:
    """A refusal raised by the domain, as a problem."""
    status = refusal.facts.get("status") or _BY_CODE.get(refusal.code)
    if not isinstance(status, int):
        status = next((s for kind, s in _STATUS.items() if isinstance(refusal, kind)), 422)
    disposition = {503: "not_recorded", 403: "refused"}.get(status, "")
    field = refusal.facts.get("field")
    return problem(status, refusal.code, refusal.message, disposition=disposition, field=field)
