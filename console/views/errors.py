"""Pages for what went wrong, in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psycopg
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader
from django.views.decorators.cache import never_cache
from django.views.defaults import server_error

from console import wording

_TROUBLE = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # 25006: a standby, or a disk that is full
)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form did not carry the proof that it came from our page."""
    return render(request, "403.html", {"csrf": True}, status=403)


def may_be_written(request: HttpRequest) -> None:
    """From here on, what the request asks for may have been written though its answer is lost."""
    request.may_be_written = True  # type: ignore[attr-defined]  # read by `broke` below


def told_later(response: HttpResponse, seconds: int | None) -> HttpResponse:
    """The answer, saying after how many seconds it is worth coming again."""
    if seconds:
        response["Retry-After"] = str(seconds)
    return response


@never_cache
def broke(request: HttpRequest) -> HttpResponse:
    """Whatever no view answered for: 503 when the database is in trouble, else our own fault."""
    if not any(isinstance(error, _TROUBLE) for error in _causes(sys.exc_info()[1])):
        return server_error(request)
    if not connection.in_atomic_block:
        connection.close()  # the next request begins on a line of its own
    # No context of ours: whoever is signed in stands in the database.
    htmx = request.headers.get("HX-Request") == "true"
    page = loader.get_template("parts/banner.html" if htmx else "503.html")
    response = HttpResponse(page.render({"banner": _banner(request)}), status=503)
    response["Retry-After"] = "5"
    return response


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _banner(request: HttpRequest) -> wording.Outcome:
    if request.method in {"GET", "HEAD"}:
        return wording.Outcome(
            "doubt",
            "We cannot show this just now",
            [
                "The database does not answer, or takes nothing down. This does not mean that there "
                "is nothing here.",
                "Looking at a page changes nothing. Load it again.",
            ],
        )
    if getattr(request, "may_be_written", False):
        return wording.refused(
            "unknown_outcome",
            "The database did not answer. Sending the same form again is safe: it cannot run twice.",
        )
    return wording.refused("not_recorded", "Nothing changed. Send the same form again.")
