"""Subjects: everything that was ever done to one, lane by lane."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from actions import history, naming, sight
from actions.history import Lane
from actions.policy import rights
from console.api import shapes
from console.api.auth import principal

router = Router(tags=["subjects"])


@router.get("", summary="Read one subject", response={200: dict})
def show(request: HttpRequest, kind: str, name: str) -> HttpResponse:
    """Lanes with their generations. With one lane, its generation is the ETag, for If-Match."""
    caller = principal(request, "read").caller.id
    sees = rights(caller).sees
    subject = naming.subject(kind, name, lambda: caller)
    lanes = history.lanes(subject.kind, subject.name, sees)
    called = subject.called if sees.shows(subject.kind, subject.name) else ""
    response = JsonResponse(
        {
            "subject": {
                **shapes.subject(subject.kind, subject.name, called),
                "rules": subject.rules,
            },
            "lanes": [_lane(lane, caller) for lane in lanes],
        }
    )
    if len(lanes) == 1:
        response["ETag"] = f'"{lanes[0].generations[0]["generation"]}"'
    response["Cache-Control"] = "no-store"
    return response


def _lane(lane: Lane, viewer: UUID) -> dict[str, object]:
    return {
        "lane": lane.lane,
        "generation": lane.generations[0]["generation"],
        "in_force": lane.in_force,
        "overlaps": shapes.overlaps(lane.overlaps),
        "operations": [shapes.operation(told) for told in sight.unveil(lane.generations, viewer)],
    }
