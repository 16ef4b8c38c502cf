"""Whether this process lives, and whether the console can record what it is asked."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from actions import database

_STATE = """
SELECT count(*) FILTER (WHERE at > clock_timestamp() - interval '10 seconds') AS keepers,
       EXISTS (SELECT FROM ends_hold WHERE released_at IS NULL) AS ends_held,
       EXISTS (SELECT FROM notice WHERE state IN ('in_doubt', 'ready')
                  AND made_at < clock_timestamp() - interval '10 minutes') AS notices_late,
       NOT timeline_confirmed() AS failed_over
  FROM heartbeat WHERE role = 'keeper'
"""


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers, so that requests can be recorded; what is not well is named."""
    state = (
        _state() or _state()
    )  # a line that died while nobody used it says nothing of the database
    if state is None:
        return JsonResponse({"ready": False, "database": "does not answer"}, status=503)
    return JsonResponse(
        {
            "ready": True,
            "database": "ok",
            "keepers": state["keepers"],
            "sending": "held" if state["failed_over"] else "ok",
            "ends": "held" if state["ends_held"] else "ok",
            "notices": "late" if state["notices_late"] else "ok",
        }
    )


def _state() -> dict[str, Any] | None:
    try:
        return database.one(_STATE, {})
    except (DatabaseError, InterfaceError, psycopg.Error):
        connection.close()
        return None
