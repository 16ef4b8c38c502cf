"""The new value that an operation made, for the caller who asked for it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from actions import history, values
from actions.catalogue._ends import moment
from actions.errors import NotFound
from actions.policy import rights
from actions.registry import registry
from actions.standing import Facts
from console.api.auth import Principal, principal

router = Router(tags=["operations"])


@router.post("/{ref}/value", summary="Show what it made, again", response={200: dict})
def show(request: HttpRequest, ref: str) -> HttpResponse:
    """For 15 minutes after it settled, or until acknowledged; each time is logged. 410 afterwards."""
    asker, told = _theirs(request, ref)
    made = values.show(ref, asker.caller.id, "api")
    return _kept_nowhere(
        {
            "username": made.username or None,
            "password": made.password,
            "version": registry.result(told["action"], told["effects"]).get("version"),
            "until": moment(made.until) if made.until else None,
        }
    )


@router.post("/{ref}/value/acknowledge", summary="Say that you have it", response={200: dict})
def acknowledge(request: HttpRequest, ref: str) -> HttpResponse:
    """It is not shown again, and is erased once the operation is settled. Repeatable."""
    asker, _ = _theirs(request, ref)
    values.acknowledge(ref, asker.caller.id, "api")
    return _kept_nowhere({"acknowledged": True})


def _theirs(request: HttpRequest, ref: str) -> tuple[Principal, Facts]:
    """Who calls and the operation, if their token may ask for such. Raises NotFound, Refusal."""
    asker = principal(request, "read")
    told = history.by_ref(ref, rights(asker.caller.id).sees)
    if told is None:
        raise NotFound("no_operation", "There is no such operation that you may see.")
    asker.require(f"ask:{told['action']}")
    return asker, told


def _kept_nowhere(body: dict[str, object]) -> HttpResponse:
    response = JsonResponse(body)
    response["Cache-Control"] = "no-store"
    return response
