"""The board: what needs a person, what just happened, and whether the console can be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from actions import break_glass, ends, history, inbox, overview, paused
from actions.overview import Health
from actions.policy import Sight
from actions.standing import Facts
from console import steps
from console.access import SignedIn, page
from console.troubles import being_heard
from console.views.loading import load
from console.views.rows import Row, counts, row, rows, starts
from console.wording import Outcome

NEWEST = 20

SLOW = 5.0
"""Seconds: a keeper takes up what is due within a fraction of one."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One open incident in two lines."""

    ref: str
    title: str
    lead: str
    counts: str


@page
@require_safe
def board(request: SignedIn) -> HttpResponse:
    """Everything at a glance; asked by htmx, only what changes, and only if it has changed."""
    heard = being_heard(administers=request.rights.administers)
    context = _live(request.rights.sees, request.user.pk, heard)
    if request.headers.get("HX-Request") != "true":
        context["starts"] = starts(request.rights.asks)
        response = render(request, "board.html", context)
    elif request.GET.get("seen") == context["digest"]:
        response = render(request, "board.html#as_of", context)
        # Nothing moved: what is on the screen stays, with whatever is focused or selected in it.
        response["HX-Retarget"] = "#as-of"
    else:
        response = render(request, "board.html#live", {**context, "oob": True})
    patch_vary_headers(response, ["HX-Request"])
    return response


def _live(sees: Sight, viewer: UUID, heard: list[Outcome]) -> dict[str, Any]:
    health = load(overview.health)
    context: dict[str, Any] = {
        "needs": load(lambda: _needs(sees)),
        "just": load(lambda: rows(history.operations(sees, history.Filter(), "", NEWEST).facts)),
        "incidents": load(lambda: _incidents(sees, viewer)),
        "waiting": load(lambda: inbox.counted(viewer, sees)),
        "alone": load(lambda: [(b.caller.username, b.ends_at) for b in break_glass.all_open()]),
        "health": health,
        "slow": SLOW,
        "troubles": [*(_troubles(health) if health else []), *heard],
        "silent": load(lambda: paused.in_sight(viewer)),
    }
    seen = {**context}
    if health:
        seen["health"] = replace(health, read_at=health.read_at.min, keeper_seen=None)
    context["digest"] = hashlib.sha256(repr(seen).encode()).hexdigest()[:32]
    return context


def _needs(sees: Sight) -> list[Row]:
    overdue = history.overdue_ends(sees, ends.OVERDUE_AFTER)
    stuck = history.needs_a_person(sees)
    late = {told["ref"] for told in overdue}
    return [
        *(row(told, waits=_late(told), word="End overdue") for told in overdue),
        *(row(told, waits=_waits(told)) for told in stuck if told["ref"] not in late),
    ]


def _late(told: Facts) -> str:
    if told["because"].startswith("end of @"):
        return "It ends an operation whose time is over, and is not carried out yet"
    return "Its time is over, and nothing has ended it yet"


def _waits(told: Facts) -> str:
    done = sum(effect["state"] == "succeeded" for effect in told["effects"])
    stuck = [e for e in told["effects"] if e["state"] in {"failed", "in_doubt", "parked"}]
    said = ". ".join(f"{steps.name(e)}: {e['message']}".rstrip(".: ") for e in stuck)
    match told["state"]:
        case "parked":
            advice = "A person must look there, then say on its page what they saw"
        case "partial":
            advice = f"{done} of {len(told['effects'])} in place; asking again runs only the rest"
        case "failed":
            advice = "Nothing is in place; asking again tries it again"
        case _:
            advice = "It is read back by itself; nothing to do yet"
    return f"{said}. {advice}" if said else advice


def _incidents(sees: Sight, viewer: UUID) -> tuple[list[Incident], int]:
    if not sees:
        return [], 0
    found = overview.open_incidents(sees, viewer)
    told = [Incident(i.ref, i.title, i.lead, counts(i.states)) for i in found.newest]
    return told, found.total


def _troubles(health: Health) -> Iterator[Outcome]:
    if health.read_only:
        yield Outcome(
            "failed",
            "The database takes no records now",
            ["Nothing can be asked for until it does: what cannot be recorded is not run."],
        )
    if not health.keepers:
        yield Outcome(
            "doubt",
            "No keeper is alive",
            ["What is asked is recorded, and is carried out once a keeper runs again."],
        )
    if health.failed_over:
        yield Outcome(
            "doubt",
            "The database failed over: nothing is sent",
            [
                f"Since {health.failed_over:%-d %b %Y at %H:%M:%S} UTC. What was asked for shortly"
                " before may be missing here; what is asked for now is recorded, and waits.",
                "Find out how far behind the standby was, then run: manage.py recovered",
            ],
        )
    if health.held_since and health.held_for is not None:
        yield Outcome(
            "doubt",
            "Ends are held: nothing that is timed ends by itself",
            [
                f"The database's clock had jumped by {health.held_for:+.0f} seconds on "
                f"{health.held_since:%-d %b %Y at %H:%M:%S} UTC.",
                "Check the clock of the database's server, then run: manage.py release_ends",
            ],
        )
