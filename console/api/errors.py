"""Errors as `application/problem+json` (RFC 9457): what happened, what did not, what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

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
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response["Retry-After"] = str(members.get("retry_after") or 1)
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
    given = refusal.facts.get("disposition")
    disposition = str(given or {503: "not_recorded", 403: "refused"}.get(status, ""))
    field = refusal.facts.get("field")
    return problem(status, refusal.code, refusal.message, disposition=disposition, field=field)


class ProblemsOnly:
    """Middleware: whatever goes wrong under /api/ is told as a problem, never as a page.

    A NUL in an address or its query, which the database cannot hold, names nothing that there is.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return problem(
                400, "bad_address", "The address holds a NUL character. Nothing changed."
            )
        response = self.get_response(request)
        if response.status_code < 400 or not request.path_info.startswith("/api/"):
            return response
        if response["Content-Type"].startswith("text/html"):
            return _as_problem(response)
        return response


_PLAIN = {
    404: "There is nothing here. Nothing changed.",
    405: "This address does not take that method. Nothing changed.",
}


def _as_problem(page: HttpResponse) -> HttpResponse:
    status = page.status_code
    told = problem(status, "http", _PLAIN.get(status, f"{HTTPStatus(status).phrase}."))
    if "Allow" in page:
        told["Allow"] = page["Allow"]
    return told
