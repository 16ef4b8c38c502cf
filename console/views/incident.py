"""One incident: its page, and what its buttons write, each once for each time that it was opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from actions import dossier, history, incidents, keys, now, overview, remains, sight, timeline
from actions.errors import NotFound, NotRecorded, Refusal
from actions.incident_rules import LONGEST_NOTE, LONGEST_TITLE, Change, note_of, title_of
from actions.incidents import By, Told
from actions.models import Incident
from actions.standing import Facts
from console import chronicle, wording
from console.access import SignedIn, must, page
from console.views.deeds import new_key
from console.views.errors import may_be_written
from console.views.loading import load
from console.views.rows import Row, counts, row, rows, starts

ITEMS = 50
_REF = re.compile(r"INC-([1-9][0-9]{0,8})", re.ASCII)


@page
@require_safe
def show(request: SignedIn, ref: str) -> HttpResponse:
    """The whole incident: who leads it, what was done, said and asked for, and what is in force."""
    incident = _visible(request, ref)
    return render(request, "incident.html", _context(request, incident))


@page
@require_http_methods(["GET", "HEAD", "POST"])
def note(request: SignedIn, ref: str) -> HttpResponse:
    """Write a note into the timeline."""
    typed = request.POST.get("note", "")

    def write(by: By, number: int, key: str) -> Told:
        return incidents.note(by, number, typed[: 2 * LONGEST_NOTE], key)

    return _press(request, ref, write)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: SignedIn, ref: str) -> HttpResponse:
    """Hand it over, open it again, rename or restrict it, name its members: one thing at a time."""

    def write(by: By, number: int, key: str) -> Told:
        return incidents.change(by, number, _asked(request.POST), key)

    return _press(request, ref, write)


def _asked(given: Mapping[str, str]) -> Change:
    """What the button `what` asks for, with the value that was typed beside it."""
    value = " ".join(given.get("value", "")[: 2 * LONGEST_TITLE].split())
    said = note_of(given.get("note", "")[: 2 * LONGEST_NOTE])
    version = _number(given.get("version", ""))
    match given.get("what", ""):
        case "lead":
            return Change(lead=value or "?", note=said, version=version)
        case "reopen":
            return Change(state=Incident.State.OPEN, note=said, version=version)
        case "title":
            return Change(title=title_of(value), note=said, version=version)
        case "restrict" | "unrestrict" as what:
            return Change(restricted=what == "restrict", note=said, version=version)
        case "add":
            return Change(add=(value or "?",), note=said)
        case "remove":
            return Change(remove=(value or "?",), note=said)
        case _:
            raise Http404


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


@page
@require_http_methods(["GET", "HEAD", "POST"])
def close(request: SignedIn, ref: str) -> HttpResponse:
    """What closing would leave as it is, and the button that closes, for just what was shown."""
    if request.method != "POST":
        must(bool(request.rights.asks))
        return _closing(request, _visible(request, ref))

    def write(by: By, number: int, key: str) -> Told:
        given = request.POST
        asked = Change(
            state=Incident.State.CLOSED,
            note=note_of(given.get("note", "")[: 2 * LONGEST_NOTE]),
            version=_number(given.get("version", "")),
            confirm=given.get("confirm", "")[:64],
        )
        return incidents.change(by, number, asked, key)

    return _press(request, ref, write)


def _visible(request: SignedIn, ref: str) -> Incident:
    """The incident of the address; 404 for whoever does not see it, as where there is none."""
    match = _REF.fullmatch(ref)
    must(match is not None and bool(request.rights.sees))
    assert match is not None
    try:
        return dossier.find(int(match[1]), request.user.pk)
    except NotFound:
        raise Http404 from None


def _press(request: SignedIn, ref: str, write: Callable[[By, int, str], Told]) -> HttpResponse:
    """Write what a button says, under the key of its page, and lead back to the incident.

    GET comes here after signing in anew, when the session was over: it does nothing.
    """
    if request.method != "POST":
        return redirect("incident", ref)
    must(bool(request.rights.asks))
    incident = _visible(request, ref)
    may_be_written(request)
    try:
        key = keys.request_key(request.POST.get("key"))
        told = write(By(request.user.pk, "browser"), incident.number, key)
    except NotRecorded as lost:
        return _told(request, incident, 503, lost.code, lost)
    except Refusal as refusal:
        must(refusal.code != "no_incident")
        if refusal.code == "confirm_needed":
            return _closing(request, dossier.find(incident.number, request.user.pk), refusal)
        disposition = str(refusal.facts.get("disposition", "refused"))
        status = refusal.facts.get("status")
        return _told(
            request, incident, status if isinstance(status, int) else 422, disposition, refusal
        )
    seen = told.number in sight.seen(request.user.pk, [told.number])
    response = redirect("incident", ref) if seen else redirect("incidents")
    response.status_code = 303
    return response


def _told(
    request: SignedIn, incident: Incident, status: int, disposition: str, refusal: Refusal
) -> HttpResponse:
    """What was not done and why, with the words that were typed, so that they are not lost."""
    banner = wording.refused(disposition, refusal.message, refusal.code)
    context = {
        "banner": banner,
        "back": reverse("incident", args=[incident.ref]),
        "back_to": "Back to the incident",
        "kept": request.POST.get("note", "")[: 2 * LONGEST_NOTE],
    }
    return render(request, "told.html", context, status=status)


def _closing(request: SignedIn, incident: Incident, refusal: Refusal | None = None) -> HttpResponse:
    left = remains.left(incident.id, request.user.pk)
    banner = None
    if refusal is not None:
        banner = wording.refused("conflict", refusal.message, refusal.code)
    context = {
        "incident": incident,
        "left": left,
        "groups": [
            (heading, [_left(told) for told in left.groups[group]])
            for group, heading in _GROUPS
            if left.groups[group]
        ],
        "key": new_key(),
        "banner": banner,
        "note": request.POST.get("note", ""),
        "longest": LONGEST_NOTE,
    }
    status = 409 if refusal is not None else 200
    return render(request, "incident_close.html", context, status=status)


_GROUPS = (
    ("in_force", "Still in force"),
    ("in_part", "In force in part"),
    ("under_way", "About to start or running"),
    ("in_doubt", "In doubt"),
    ("parked", "Waits for a person"),
    ("waits", "Waits for approval"),
    ("not_known", "Not known whether it is in force"),
)
assert [group for group, _ in _GROUPS] == list(remains.GROUPS)


def _left(told: Facts) -> Row:
    return row(told, waits=wording.phrase(told))


def _context(request: SignedIn, incident: Incident) -> dict[str, Any]:
    sees, viewer = request.rights.sees, request.user.pk
    wanted = history.Filter(incident=incident.number)
    found = history.operations(sees, wanted, request.GET.get("before", ""), history.MOST)
    forces = load(lambda: now.of_many(found.facts))
    counted = overview.states_of([incident.id], sees).get(incident.id, {})
    story = timeline.read(incident.id, sees, request.GET.get("earlier", ""), ITEMS)
    leads = incident.lead_id == viewer or sight.administers(viewer)
    may_change = bool(request.rights.asks) and leads
    is_open = incident.state == Incident.State.OPEN
    return {
        "incident": incident,
        "open": is_open,
        "counts": counts(counted),
        "rows": rows(found.facts, forces),
        "next": found.next,
        "begins_later": "before" in request.GET,
        "forces_read": forces is not None,
        "requests": sum(told["arrivals"] for told in found.facts),
        "arrivals": overview.last_arrivals([told["id"] for told in found.facts]),
        "starts": starts(request.rights.asks, f"?incident={incident.ref}") if is_open else [],
        "members": dossier.members(incident.id),
        "story": chronicle.lines(story.items),
        "earlier": story.next,
        "story_later": "earlier" in request.GET,
        "may_note": bool(request.rights.asks),
        "may_change": may_change,
        "people": dossier.may_lead() if may_change else [],
        "keys": {name: new_key() for name in _BUTTONS},
        "longest": LONGEST_NOTE,
    }


_BUTTONS = ("note", "lead", "reopen", "title", "restrict", "add", "remove")
