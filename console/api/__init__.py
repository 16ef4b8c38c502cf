"""The HTTP API: thin doors to the domain, one router per noun."""

from __future__ import annotations

import logging

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from actions.errors import NotRecorded, Refusal
from console.api import (
    approvals,
    catalogue,
    drafts,
    incidents,
    keep,
    operations,
    requests,
    subjects,
    values,
    verbs,
)
from console.api.errors import of_refusal, problem
from console.views import lists

log = logging.getLogger(__name__)

api = NinjaAPI(
    title="Steadyhand",
    version="1",
    description="Incident response whose calls are safe to send twice.",
    docs_url=None,
    urls_namespace="api",
)
api.add_router("/actions", catalogue.router)
api.add_router("/drafts", drafts.router)
api.add_router("/operations", operations.router)
api.add_router("/operations", keep.router)
api.add_router("/operations", values.router)
api.add_router("/operations", verbs.router)
api.add_router("/approvals", approvals.router)
api.add_router("/requests", requests.router)
api.add_router("/subjects", subjects.router)
api.add_router("/incidents", incidents.router)
api.add_router("/lists", lists.router)


@api.exception_handler(Refusal)
def _refused(request: HttpRequest, error: Refusal) -> HttpResponse:
    return of_refusal(error)


@api.exception_handler(ValidationError)
def _misfit(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    field = ".".join(str(part)[:40] for part in first["loc"][1:])
    return problem(422, "bad_parameter", f"{field}: {first['msg']}.", field=field)


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, "http", str(error))


@api.exception_handler(Http404)
def _nowhere(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", "There is nothing here.")


@api.exception_handler(DatabaseError)
@api.exception_handler(InterfaceError)
@api.exception_handler(psycopg.OperationalError)
@api.exception_handler(psycopg.InterfaceError)
@api.exception_handler(psycopg.errors.ReadOnlySqlTransaction)
def _unrecorded(request: HttpRequest, error: Exception) -> HttpResponse:
    log.warning("no database: %s", type(error).__name__)
    if isinstance(error, psycopg.Error):
        connection.close()  # Django has not seen this error, and would go on using a dead line.
    if request.method in {"GET", "HEAD"} or _read_only(error):
        return of_refusal(_NOTHING_DONE)
    return of_refusal(_NOT_KNOWN)


def _read_only(error: Exception) -> bool:
    """Whether the database refused to write at all, as a standby does."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return isinstance(cause, psycopg.errors.ReadOnlySqlTransaction)


_NOTHING_DONE = NotRecorded(
    "not_recorded", "The database does not answer as it should, so nothing was done. Send it again."
)
_NOT_KNOWN = NotRecorded(
    "unknown_outcome",
    "The database was lost on the way: we do not know whether this was written down. "
    "Send it again under the same key: it cannot happen twice.",
)


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("unexpected", exc_info=error)
    return problem(
        500,
        "unexpected",
        "The console failed while answering. Whether something was recorded can be seen under "
        "/api/v1/requests/ and your key; sending it again is safe.",
    )
