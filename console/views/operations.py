"""The page of an operation: its outcome, its effects, and every request that arrived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_GET

from actions import history, keys
from actions.history import Filter, Present
from actions.models import LogEvent
from actions.policy import Rights
from actions.registry import registry
from actions.standing import Facts
from console import pictures, record, wording
from console.access import SignedIn, page
from console.waiting import SETTLED
from console.wording import Viewer

FOLD_OVER = 50
SHOWN_FIRST, SHOWN_LAST = 10, 10
ALL = 10_000

# How soon the page looks again, by the age of the operation in seconds.
_DELAYS = ((3, "300ms"), (15, "1s"), (60, "2s"), (600, "5s"))


@page
@require_GET
def show(request: SignedIn, ref: str) -> HttpResponse:
    """The whole page."""
    return render(request, "operation.html", _context(request, _visible(request, ref)))


@page
@require_GET
def live(request: SignedIn, ref: str) -> HttpResponse:
    """The part that changes while it runs; it asks for itself again until all is settled."""
    return render(request, "operation.html#live", _context(request, _visible(request, ref)))


@page
@require_GET
def index(request: SignedIn) -> HttpResponse:
    """Operations, newest first, filtered."""
    given = {name: request.GET.get(name, "")[:80] for name in ("action", "state", "who", "cursor")}
    wanted = Filter(action=given["action"], state=given["state"], requested_by=given["who"])
    found = history.operations(request.rights.sees, wanted, given["cursor"], 50)
    rows = [_row(told) for told in found.facts]
    more = urlencode({**given, "cursor": found.next}) if found.next else ""
    context = {"rows": rows, "given": given, "more": more, "actions": sorted(request.rights.sees)}
    return render(request, "operations.html", context)


def _row(told: Facts) -> dict[str, object]:
    return {
        "ref": told["ref"],
        "title": registry.action(told["action"]).title,
        "subject": wording.label(told),
        "state": told["state"],
        "who": told["requested_by"],
        "at": wording.moment(told["requested_at"]),
        "arrivals": told["arrivals"],
        "because": told["because"],
    }


def _visible(request: SignedIn, ref: str) -> Facts:
    told = history.by_ref(ref, request.rights.sees)
    if told is None:
        raise Http404
    return told


def _context(request: SignedIn, told: Facts) -> dict[str, object]:
    now = history.now_of(told)
    arrivals = history.arrivals(told["id"], ALL)
    mine = [a for a in arrivals if a["by"] == request.user.username]
    outcome = wording.outcome(told, now, Viewer(request.user.username, mine))
    done = sum(effect["state"] == "succeeded" for effect in told["effects"])
    every = request.GET.get("arrivals") == "all"
    return {
        "op": told,
        "as_of": datetime.now(UTC),
        "outcome": outcome,
        "say": f"{done} of {len(told['effects'])} done. {outcome.heading}",
        "poll": _poll(told),
        "deeds": _deeds(told, now, request.rights),
        "effects": [_effect(effect) for effect in told["effects"]],
        "effects_summary": f"{done} of {len(told['effects'])} in place",
        "graph": _graph(told),
        "strip": pictures.strip([(a["at"], a["disposition"]) for a in arrivals])
        if arrivals
        else None,
        "arrivals": _arrivals(arrivals, every=every),
        "arrivals_summary": _counted(arrivals, told),
        "asked": _asked(told),
        **_record(told, every=every),
    }


def _record(told: Facts, *, every: bool) -> dict[str, object]:
    """The log's events of the operation; of many, the first and the last."""
    events = LogEvent.objects.filter(operation=told["id"]).order_by("number")
    count = events.count()
    if every or count <= FOLD_OVER:
        shown = list(events)
    else:
        shown = [*events[:SHOWN_FIRST], *events[count - SHOWN_LAST :]]
    return {"events": record.entries(shown), "record_summary": f"{len(shown)} of {count} events"}


def _poll(told: Facts) -> dict[str, str] | None:
    if told["state"] in SETTLED and not _open(told):
        return None
    asked_at = wording.moment(told["requested_at"])
    assert asked_at is not None
    age = (datetime.now(UTC) - asked_at).total_seconds()
    delay = next((delay for below, delay in _DELAYS if age < below), "20s")
    return {"url": reverse("operation-live", args=[told["ref"]]), "delay": delay}


def _open(told: Facts) -> bool:
    return any(effect["state"] in {"executing", "in_doubt"} for effect in told["effects"])


def _deeds(told: Facts, now: Present, has: Rights) -> list[dict[str, str]]:
    """What whoever looks may do next; each leads to a form, and nothing runs from here."""
    newest = now.superseded_by or told
    deeds = []
    action = registry.action(newest["action"])
    subject = {"subject": wording.label(told)}
    if action.inverse and action.inverse in has.asks:
        inverse = registry.action(action.inverse)
        deeds.append(_deed(inverse.name, inverse.title, "btn-primary", subject))
    if newest is told and told["action"] in has.asks:
        if told["state"] in {"failed", "partial"}:
            deeds.append(_deed(action.name, "Finish what is left", "btn-primary", subject))
        again = {**subject, "again": str(told["generation"])}
        deeds.append(_deed(action.name, "Do it again on purpose", "btn-outline-secondary", again))
    return deeds


def _deed(action: str, text: str, style: str, query: dict[str, str]) -> dict[str, str]:
    href = f"{reverse('draft-new', args=[action])}?{urlencode(query)}"
    return {"href": href, "text": text, "class": style}


def _effect(effect: dict[str, Any]) -> dict[str, object]:
    found = wording.FOUND.get(effect["found"], "")
    note = effect["message"]
    if effect["state"] == "ready" and not effect["attempts"]:
        note = "Recorded; about to be sent"
    return {
        "title": effect["title"],
        "realm": effect["realm"],
        "state": effect["state"],
        "found": ". ".join(part.rstrip(".") for part in (found, note) if part),
        "tries": effect["attempts"],
        "at": wording.moment(effect["settled_at"]),
        "verified": wording.moment(effect["verified_at"]),
    }


def _graph(told: Facts) -> pictures.Graph:
    drawn = []
    for effect in told["effects"]:
        verified = effect["verified_at"]
        seen = "Read back: it is so" if verified else ""
        at = wording.clock(verified) if verified else ""
        drawn.append(pictures.Drawn(effect["title"], effect["realm"], effect["state"], seen, at))
    title = f"{registry.action(told['action']).title.split()[0]} {wording.label(told)}"
    return pictures.graph(title, f"{told['ref']}, gen. {told['generation']}", drawn)


def _arrivals(arrivals: Sequence[dict[str, Any]], *, every: bool) -> list[dict[str, Any]]:
    """Rows of the table; a long middle that changed nothing is one row, its count kept."""
    first = arrivals[0] if arrivals else None
    rows = [{**a, "note": _note(a, first), "via": _via(a)} for a in arrivals]
    middle = rows[SHOWN_FIRST:-SHOWN_LAST]
    if every or len(rows) <= FOLD_OVER or any(a["disposition"] != "existing" for a in middle):
        return rows
    start, end = middle[0]["at"], middle[-1]["at"]
    fold = (
        f"{len(middle)} more between {start:%H:%M:%S} and {end:%H:%M:%S} UTC, all changed nothing."
    )
    return [*rows[:SHOWN_FIRST], {"fold": fold}, *rows[-SHOWN_LAST:]]


def _via(arrival: dict[str, Any]) -> str:
    token = f", token {arrival['token']}" if arrival["token"] else ""
    return f"{arrival['via']}{token}"


def _note(arrival: dict[str, Any], first: dict[str, Any] | None) -> str:
    if first is None or arrival is first:
        return "First request"
    gap = (arrival["at"] - first["at"]).total_seconds()
    later = f"+{gap:.1f} s" if gap < 60 else f"+{gap / 60:.0f} min"
    if arrival["key"] == first["key"] and arrival["by"] == first["by"]:
        return f"{later}, the same request again"
    return f"{later}, a request of its own"


def _counted(arrivals: Sequence[dict[str, Any]], told: Facts) -> str:
    count, effects = told["arrivals"], len(told["effects"])
    return (
        f"{count} request{'s' if count != 1 else ''}, {effects} effect{'s' if effects != 1 else ''}"
    )


def _asked(told: Facts) -> list[tuple[str, object]]:
    action = registry.action(told["action"])
    subject = reverse("subject", args=[told["kind"], told["name"]])
    key = keys.operation_key(told["action"], told["kind"], told["name"], told["generation"])
    ends = wording.moment(told["ends_at"])
    incidents = ", ".join(f"INC-{number}" for number in told["incidents"]) or "none"
    asked: list[tuple[str, object]] = [
        ("Action", format_html('<a href="{}">{}</a>', reverse("action", args=[action.name]), action.title)),
        ("Subject", format_html('<a href="{}" class="ref">{}</a>', subject, told["name"])),
        ("Until", f"{ends:%-d %b %Y %H:%M:%S} UTC, at least" if ends else "no end"),
        ("Reason", told["reason"]),
        ("Incident", incidents),
        ("Generation", str(told["generation"])),
        ("Asked by", f"{told['requested_by']}, by {told['via']}, at {wording.clock(told['requested_at'])}"),
        ("Verified", wording.clock(told["verified_at"]) if told["verified_at"] else "not yet"),
        ("Key", format_html('<span class="ref">{}</span>', key)),
    ]  # fmt: skip
    if told["because"]:
        asked.insert(1, ("Because", told["because"]))
    if "blocked" not in told["desired"] or not told["desired"]["blocked"]:
        asked = [row for row in asked if row[0] != "Until"]
    return asked
