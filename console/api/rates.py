"""How often the API may be called: by a token, and by an address without a good one.

Asking for an operation is not counted here: what stands is told however often it is asked for, and
what is made is counted where it is made.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse

from actions.errors import Unauthenticated
from actions.issue import Who
from console import hop, knocking
from console.api.auth import bearer
from console.api.errors import problem


class Rates:
    """Middleware: 429 with Retry-After to who calls too often."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        wait = _counted(lambda: _by_token(request))
        return too_often(wait) if wait else known_only(request, self.get_response(request))


def known_only(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The answer; if nobody that we know asked, counted by address, and 429 once that is too often."""
    if response.status_code != 401:
        return response
    wait = _counted(lambda: knocking.wait("bad_token", hop.address(request.META)))
    return too_often(wait) if wait else response


def too_often(wait: int) -> HttpResponse:
    """The problem of who calls too often."""
    return problem(
        429,
        "too_often",
        f"You call too often. Nothing changed. Call again after {wait} seconds, under the same key.",
        disposition="refused",
        retry_after=wait,
    )


def _by_token(request: HttpRequest) -> int:
    try:
        who = bearer(request)
    except Unauthenticated:
        return 0
    reads = request.method in {"GET", "HEAD"}
    # By the whole token's digest: its prefix is no secret, and others could use it up.
    wait = knocking.wait("api_read" if reads else "api_write", who.token_digest.hex())
    return 0 if wait and not reads and _repeats(request, who) else wait


def _repeats(request: HttpRequest, who: Who) -> bool:
    """Whether its key led to an operation before: such a repeat is told, however often it comes."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY", "").strip().strip('"')
    return bool(key) and knocking.key_known(who.token_prefix, key)


def _counted(count: Callable[[], int]) -> int:
    try:
        return count()
    except (DatabaseError, InterfaceError):
        # Whoever answers finds out by itself what is wrong with the database, and says so.
        connection.close()
        return 0
