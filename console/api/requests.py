"""Requests: what became of one's own key, without firing it."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from actions import history, keys, sight
from actions.errors import NotFound
from actions.models import Request
from actions.policy import rights
from console.api import shapes
from console.api.auth import principal

router = Router(tags=["requests"])


@router.get("/{key}", summary="Look up one's own request key")
def show(request: HttpRequest, key: str) -> dict[str, object]:
    """The request under this key, every time it arrived, and the operation it led to, if any."""
    caller = principal(request, "read").caller
    key = keys.request_key(key)
    found = Request.objects.filter(caller=caller, key=key).first()
    if found is None:
        raise NotFound("no_request", "You have sent no request under this key.")
    told = history.facts_of([found.operation_id])[0] if found.operation_id else None
    told = sight.unveil_one(told, caller.id)
    sees = rights(caller.id).sees
    arrivals = found.arrivals.order_by("at", "id").values("at", "via", "disposition", "code")
    return {
        "key": key,
        "first_seen_at": found.first_seen_at,
        "arrivals": list(arrivals[: history.MOST]),
        "operation": shapes.seen(told, sees) if told else None,
        **(shapes.present(history.now_of(told), sees) if told else {}),
    }
