"""Subjects: find one however it is written, and see everything that was ever done to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_safe

from actions import force, history, naming, overview, sight, subjects
from actions.errors import SubjectRefused
from actions.known import Overlap
from actions.now import of_one
from actions.policy import Sight
from actions.registry import registry
from actions.standing import Facts, LaneNow, lane_now
from actions.subjects import Subject
from console import steps
from console.access import SignedIn, must, page
from console.views.rows import Row, Start, force_of, row, rows, starts, subject_url, title_of
from console.wording import Outcome, clock, phrase

LONGEST = 200

_OPERATION = re.compile(r"op_[0-9A-HJKMNP-TV-Z]{12}", re.ASCII | re.IGNORECASE)
_INCIDENT = re.compile(r"INC-[1-9][0-9]{0,8}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a subject as its page shows it; `generation` 0 means that nothing was ever done."""

    name: str
    generation: int
    outcome: Outcome
    rows: list[Row]
    requests: int


@page
@require_safe
def find(request: SignedIn) -> HttpResponse:
    """Go to what was typed; if it cannot be read, say why and keep it."""
    typed = request.GET.get("q", "").strip()
    if not typed:
        return _found(request, {})
    if _OPERATION.fullmatch(typed):
        return redirect("operation", "op_" + typed[3:].upper())
    if _INCIDENT.fullmatch(typed):
        return redirect("incident", typed.upper())
    kind, name = _kind(typed, request.GET.get("kind", ""), request.rights.sees)
    try:
        subject = naming.subject(kind, name, lambda: request.user.pk)
    except SubjectRefused as refusal:
        return _found(request, {"find_text": typed[:LONGEST], "refusal": refusal.message})
    return redirect("subject", subject.kind, subject.name)


_KIND = re.compile(r"(account|secret)[ /]+(?=\S)", re.ASCII | re.IGNORECASE)
_IN_NO_ADDRESS = re.compile(r"[^0-9A-Fa-f:./\[\]\s]", re.ASCII)


def _kind(typed: str, given: str, sees: Sight) -> tuple[str, str]:
    """What was typed, as a kind and a name: `account db:alice`, `secret db:app_rw`, an address.

    Without its kind, `db:alice` is an account, unless something was done to a secret so called.
    """
    if match := _KIND.match(typed):
        return match[1].lower(), typed[match.end() :]
    if given:
        return given, typed
    if ":" not in typed or "%" in typed or not _IN_NO_ADDRESS.search(typed):
        return "network", typed
    known = sees.shows("secret", typed) and overview.acted_on("secret", typed)
    return ("secret" if known else "account"), typed


def _found(request: SignedIn, context: dict[str, Any]) -> HttpResponse:
    last = history.facts_of(overview.last_subjects(request.rights.sees))
    return render(request, "subjects.html", {**context, "rows": rows(last)})


@page
@require_safe
def show(request: SignedIn, kind: str, name: str) -> HttpResponse:
    """Every lane of one subject that the viewer may see, also when nothing was ever done to it."""
    sees = request.rights.sees
    try:
        subject = subjects.canonical(kind, name)
    except SubjectRefused:
        subject = None
    must(subject is not None and bool(_lanes_of(kind, sees)))
    assert subject is not None
    must(sees.shows(kind, subject.name))
    if subject.name != name:
        return redirect("subject", subject.kind, subject.name)
    subject = naming.called(subject)
    wanted = history.Filter(kind=subject.kind, name=subject.name)
    found = history.operations(sees, wanted, request.GET.get("before", ""), history.MOST)
    told = sight.unveil(found.facts, request.user.pk)
    lanes = [_lane(subject, lane, told) for lane in _lanes_of(kind, sees)]
    refusal = subjects.width_refusal(subject)
    context = {
        "subject": subject,
        "lanes": lanes,
        "next": found.next,
        "begins_later": "before" in request.GET,
        "too_wide": refusal.message if refusal else "",
        "starts": [] if refusal else _starts(subject, found.facts, request.rights.asks),
    }
    return render(request, "subject.html", context)


def _lanes_of(kind: str, sees: Sight) -> list[str]:
    return sorted({a.lane for a in registry.actions() if a.kind == kind and a.name in sees})


def _lane(subject: Subject, name: str, told: list[Facts]) -> Lane:
    now = lane_now(subject, name)
    shown = [facts for facts in told if facts["lane"] == name]
    generation = now.newest["generation"] if now.newest else 0
    return Lane(
        name=name,
        generation=generation,
        outcome=_outcome(subject, name, now),
        rows=[_row(facts, now, generation) for facts in shown],
        requests=sum(facts["arrivals"] for facts in shown),
    )


def _row(told: Facts, now: LaneNow, newest: int) -> Row:
    force = of_one(told, now.known, now.around, newest)
    return row(told, force=force_of(told, force))


def _outcome(subject: Subject, lane: str, now: LaneNow) -> Outcome:
    """Whether it is blocked now, judged by what is last known of each realm and by wider bans."""
    if subject.kind != "network":
        return _elsewhere(subject, lane, now)
    wider = [overlap for overlap in now.overlaps if overlap.wider]
    known = {_blocked(k.desired, k.state) for k in now.known}
    tone, heading = _heading(now.newest, known, wider)
    return Outcome(tone, heading, list(_lines(subject, now, wider)))


def _elsewhere(subject: Subject, lane: str, now: LaneNow) -> Outcome:
    """What stands on a lane of an account or a secret, and whether it is so now."""
    told = now.standing
    if told is None and now.known:
        also = "What another operation on this subject did reaches here too: see its effects."
        return Outcome("ended", f"{lane.capitalize()}: nothing was asked for by itself", [also])
    if told is None:
        nothing = f"No request ever named {subject.label} for this."
        return Outcome("ended", f"{lane.capitalize()}: nothing was ever done here", [nothing])
    judged = force.in_force(told, now.known)
    done = phrase(told)
    tone, heading = {
        "yes": ("done", f"Now: {done}"),
        "no": ("ended", f"Not so now: {done}"),
        "unknown": ("doubt", f"We do not know whether {done}"),
    }[judged]
    came = registry.result(told["action"], told["effects"])
    lines = [_last(now.newest or told)]
    if "version" in came:
        lines.append(f"Version {came['version']}.")
    return Outcome(tone, heading, lines)


def _blocked(desired: Any, state: str) -> bool | None:
    """What is last known of one realm; None when it is not known."""
    return bool(desired.get("blocked")) if state == "succeeded" else None


def _heading(
    newest: Facts | None, known: set[bool | None], wider: list[Overlap]
) -> tuple[str, str]:
    if None in known:
        return "doubt", "We do not know whether it is blocked"
    if known == {True}:
        return "done", f"Blocked {_until(newest)}"
    if True in known:
        return "partly", "Blocked in some systems, and not in others"
    if wider:
        return "partly", "Blocked, by a ban of a wider network"
    if newest is None:
        return "ended", "Not blocked: nothing was ever done to it here"
    return "ended", "Not blocked"


def _until(newest: Facts | None) -> str:
    if newest is None or not newest["desired"].get("blocked"):
        return "still"
    return f"until {clock(newest['ends_at'])}" if newest["ends_at"] else "without an end"


def _lines(subject: Subject, now: LaneNow, wider: list[Overlap]) -> Iterator[str]:
    if now.newest:
        yield _last(now.newest)
    if wider:
        own = any(_blocked(k.desired, k.state) for k in now.known)
        rest = " too. Lifting one leaves the other." if own else ", not one of its own."
        yield format_html("A ban of {} blocks it{}", _links(wider), rest)
    narrower = [overlap for overlap in now.overlaps if not overlap.wider]
    if narrower:
        yield format_html("Blocked within it, each by a ban of its own: {}.", _links(narrower))
    if not now.newest and not now.overlaps:
        yield f"No request ever named {subject.label}, and no ban around or within it is in force."


def _last(told: Facts) -> str:
    by = "the console" if told["requested_by_kind"] == "console" else told["requested_by"]
    state = _STATES.get(told["state"], told["state"].replace("_", " "))
    if until := steps.waits_until(told):
        state = f"as planned, the rest waits until {clock(until)}"
    read = f" Last read back {clock(told['verified_at'])}." if told["verified_at"] else ""
    return format_html(
        'Last asked: <a href="{}">{}</a> by {} at {}, generation {}, {}.{}',
        reverse("operation", args=[told["ref"]]),
        title_of(told["action"]).lower(),
        by,
        clock(told["requested_at"]),
        told["generation"],
        state,
        read,
    )


_STATES = {
    "approved": "about to start",
    "succeeded": "done",
    "partial": "partly done",
    "parked": "waiting for a person",
}


def _links(overlaps: list[Overlap]) -> str:
    return format_html_join(
        ", ",
        '<a class="ref" href="{}">{}</a> (<a class="ref" href="{}">{}</a>)',
        (
            (
                subject_url("network", o.name),
                Subject("network", o.name, subjects.RULES).label,
                reverse("operation", args=[o.ref]),
                o.ref,
            )
            for o in overlaps
        ),
    )


def _starts(subject: Subject, told: list[Facts], asks: frozenset[str]) -> list[Start]:
    """What the viewer may begin here; first what turns round what was asked last."""
    names = {a.name for a in registry.actions() if a.kind == subject.kind} & asks
    newest = registry.find(told[0]["action"]) if told else None
    inverse = newest.inverse if newest else None
    title = title_of(inverse) if inverse in names else None
    found = starts(names, "?" + urlencode({"subject": subject.label}))
    return sorted(found, key=lambda start: start.title != title)
