"""What is told to whom there is no room for: that nothing changed, and when to come again."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.template import loader

from console import wording
from console.api.errors import problem
from console.api.handler import HEADERS

_API = (
    "More is asked of the console now than it can do, so this was not looked at."
    " Nothing changed. Send it again, under the same key, after the seconds that Retry-After says."
)
_LOOK = "More is asked of the console now than it can show. Looking changes nothing: load it again."
_PRESS = (
    "More is asked of the console now than it can do. Nothing changed. Send the same form again."
)


def away(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """Answer without the database, and without reading what was sent."""
    response = _api() if environ.get("PATH_INFO", "").startswith("/api/") else _page(environ)
    # Not all of them at the same moment.
    response["Retry-After"] = str(random.randint(1, 3))  # noqa: S311 - to spread them
    response["Cache-Control"] = "no-store"
    content = response.content
    headers = [*HEADERS.items(), *response.items(), ("Content-Length", str(len(content)))]
    start_response(f"{response.status_code} {response.reason_phrase}", headers)
    return [content]


def _api() -> HttpResponse:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return problem(status, "overloaded", _API, disposition="not_recorded")


def _page(environ: dict[str, Any]) -> HttpResponse:
    looks = environ["REQUEST_METHOD"] in {"GET", "HEAD"}
    part = environ.get("HTTP_HX_REQUEST") == "true"
    return HttpResponse(_shown(looks, part), status=HTTPStatus.SERVICE_UNAVAILABLE)


@cache
def _shown(looks: bool, part: bool) -> str:
    """The page, or for htmx its banner; made once, for it must cost nothing now."""
    banner = wording.refused("not_recorded", _PRESS, "overloaded")
    if looks:
        banner = wording.Outcome("doubt", "Too much at once", [_LOOK])
    page = loader.get_template("parts/banner.html" if part else "503.html")
    return page.render({"banner": banner})
