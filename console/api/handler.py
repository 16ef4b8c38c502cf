"""The API's own way in: no cookies, sessions, forms or pages, so none of their middleware.

All of Django's way costs a request more than deciding on it does. The one call that comes in storms,
asking for an operation, goes straight to its view; the rest of the API by its address, as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.utils.csp import build_policy

from console.api import api, operations, rates
from console.api.errors import ProblemsOnly, problem
from console.api.rates import Rates

type View = Callable[[HttpRequest], HttpResponse]

HEADERS = {  # of every answer that no middleware sees
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": settings.X_FRAME_OPTIONS,
    "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
    "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
    "Content-Security-Policy": build_policy(settings.SECURE_CSP),
}
if settings.SECURE_HSTS_SECONDS:
    HEADERS["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"


class ApiHandler(WSGIHandler):
    """Answers what begins with /api/."""

    def load_middleware(self, is_async: bool = False) -> None:
        """The whole chain: errors as problems, nobody signed in, our own host alone, the headers."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        by_address = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]  # stubs
        whole = _bare(ProblemsOnly(Rates(cast(View, by_address))))
        self._middleware_chain = convert_exception_to_response(whole)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer one request, as PEP 3333 has it."""
        asked = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        if asked != ("POST", "/api/v1/operations", ""):
            return super().__call__(environ, start_response)
        response = _asked(WSGIRequest(environ))
        content = response.content
        headers = [*HEADERS.items(), *response.items(), ("Content-Length", str(len(content)))]
        start_response(f"{response.status_code} {response.reason_phrase}", headers)
        close_old_connections()
        return [content]


def _bare(view: View) -> View:
    def answer(request: HttpRequest) -> HttpResponse:
        request.user = AnonymousUser()
        try:
            request.get_host()
            response = view(request)
        except DisallowedHost:
            response = _bad_host()
        for name, value in HEADERS.items():
            response[name] = value
        if not response.streaming:
            response["Content-Length"] = str(len(response.content))
        return response

    return answer


def _asked(request: HttpRequest) -> HttpResponse:
    try:
        request.get_host()
        return rates.known_only(request, operations.create(request))
    except DisallowedHost:
        return _bad_host()
    except Exception as error:  # answered by its kind, as ninja does for the rest of the API
        return rates.known_only(request, api.on_exception(request, error))


def _bad_host() -> HttpResponse:
    return problem(400, "bad_host", "This console does not go by that name. Nothing changed.")
