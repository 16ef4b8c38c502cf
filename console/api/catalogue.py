"""The catalogue: each action with its parameters and its four answers."""

from __future__ import annotations

from dataclasses import asdict

from django.http import HttpRequest
from ninja import Router

from actions.catalogue._base import Action
from actions.errors import NotFound
from actions.policy import Rights, rights
from actions.registry import registry
from console.api.auth import principal

router = Router(tags=["actions"])


@router.get("", summary="List the actions that the caller may see")
def index(request: HttpRequest) -> dict[str, object]:
    """Every action of the catalogue that the caller may see."""
    has = rights(principal(request, "read").caller.id)
    return {"actions": [_shape(a, has) for a in registry.actions() if a.name in has.sees]}


@router.get("/{action}", summary="Read one action")
def show(request: HttpRequest, action: str) -> dict[str, object]:
    """One action: JSON schema of its parameters, the four answers, how to undo it."""
    has = rights(principal(request, "read").caller.id)
    found = registry.action(action)
    if found.name not in has.sees:
        raise NotFound("unknown_action", "There is no such action in the catalogue.")
    return _shape(found, has)


def _shape(action: Action, has: Rights) -> dict[str, object]:
    return {
        "name": action.name,
        "version": action.version,
        "title": action.title,
        "summary": action.summary,
        "subject": action.kind,
        "lane": action.lane,
        "params": action.schema(),
        "answers": asdict(action.answers),
        "capabilities": sorted(action.capabilities),
        "d3fend": list(action.d3fend),
        "undo": action.inverse,
        "may_ask": action.name in has.asks,
    }
