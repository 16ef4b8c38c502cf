"""The catalogue: what can be asked for, and each action's datasheet with its four answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from actions import overview
from actions.catalogue._base import Action
from actions.errors import NotFound
from actions.overview import RealmSeen, Usage
from actions.policy import Sight
from actions.registry import registry
from console import wording
from console.access import SignedIn, must, page
from console.views.loading import load
from console.views.rows import title_of

EXAMPLES = {
    "network": "203.0.113.7",
    "account": "payments-db:alice",
    "secret": "payments-db:app_rw",
}
"""By kind of subject, one that is nobody's: an address set aside for documentation (RFC 5737)."""


@dataclass(frozen=True, slots=True)
class Undo:
    """What undoes an action; no name when nothing does."""

    name: str = ""
    title: str = ""
    linked: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue."""

    action: Action
    undo: Undo
    usage: Usage
    may_ask: bool


@dataclass(frozen=True, slots=True)
class Way:
    """How one capability is carried out by one kind of outside system."""

    capability: str
    connector: str
    realms: list[RealmSeen]
    redo: str
    redo_words: str
    timeout: float
    settle: float
    already: list[tuple[str, str]]


@page
@require_safe
def index(request: SignedIn) -> HttpResponse:
    """Every action that the viewer may see, by group."""
    has = request.rights
    used = load(lambda: overview.usage(has.sees))
    entries = [
        Entry(
            action,
            _undo(action, has.sees),
            (used or {}).get(action.name, Usage()),
            action.name in has.asks,
        )
        for action in registry.actions()
        if action.name in has.sees
    ]
    groups = [(name, list(found)) for name, found in groupby(entries, lambda e: e.action.group)]
    return render(request, "actions.html", {"groups": groups, "counted": used is not None})


@page
@require_safe
def show(request: SignedIn, name: str) -> HttpResponse:
    """One action's datasheet."""
    has = request.rights
    must(name in has.sees)
    action = _action(name)
    used = load(lambda: overview.usage(Sight(frozenset({name}), has.sees.realms)))
    realms = overview.realms(request.user.pk)
    context = {
        "action": action,
        "may_ask": name in has.asks,
        "undo": _undo(action, has.sees),
        "usage": (used or {}).get(name, Usage()),
        "counted": used is not None,
        "askers": overview.askers(name),
        "ways": [way for c in sorted(action.capabilities) for way in _ways(c, realms)],
        "sample": _sample(request, action),
        "four": [
            ("What identifies the intent?", action.answers.identifies),
            ("Where is it recorded durably?", action.answers.recorded),
            ("What does a retry return after partial success?", action.answers.retry),
            ("Which downstream effects can still duplicate?", action.answers.duplicates),
        ],
    }
    return render(request, "action.html", context)


def _action(name: str) -> Action:
    try:
        return registry.action(name)
    except NotFound:
        must(False)
        raise


def _undo(action: Action, sees: Sight) -> Undo:
    if action.inverse is None:
        return Undo()
    return Undo(action.inverse, title_of(action.inverse), action.inverse in sees)


def _ways(capability: str, realms: list[RealmSeen]) -> list[Way]:
    found = []
    for name in registry.offering(capability):
        connector = registry.connector(name)
        offer = connector.offers[capability]
        found.append(
            Way(
                capability=capability,
                connector=connector.title,
                realms=[realm for realm in realms if realm.connector == name],
                redo=offer.redo.value,
                redo_words=wording.REDO[offer.redo],
                timeout=offer.timeout,
                settle=offer.settle,
                already=sorted(connector.already.items()),
            )
        )
    return found


def _sample(request: HttpRequest, action: Action) -> str:
    """A call that works as it stands once $TOKEN is set."""
    example = EXAMPLES.get(action.kind, "NAME")
    params = {p.name: p.schema["examples"][0] for p in action.params if "examples" in p.schema}  # type: ignore[index]  # a list, by JSON Schema
    body = {
        "action": action.name,
        "subject": {"kind": action.kind, "name": example},
        "params": params,
        "reason": "Scanning the login page",
    }
    data = json.dumps(body, separators=(",", ":")).replace(',"params"', ',\n       "params"')
    url = request.build_absolute_uri(reverse("board")) + "api/v1/operations"
    return (
        f"curl -sS {url} \\\n"
        f'  -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: case-7-{action.name}-{example}" \\\n'
        f'  -H "Content-Type: application/json" -H "Prefer: wait=10" \\\n'
        f"  -d '{data}'"
    )
