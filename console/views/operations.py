"""The page of an operation: its outcome, its effects, and every request that arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST

from actions import arrivals, history, keys, read, sight, values
from actions.arrivals import MIDDLE, Story, Tally
from actions.history import Filter
from actions.models import LogEvent
from actions.registry import registry
from actions.standing import Facts
from console import pictures, record, steps, waiting, wording
from console.access import SignedIn, page
from console.views import effects
from console.views.deeds import deeds, to_decide
from console.views.rows import title_of
from console.waiting import SETTLED
from console.wording import Viewer

FOLD_OVER = 50
ENDS = 10
PAGE = 200

# How soon the page looks again, by the age of the operation in seconds.
_DELAYS = ((3, "300ms"), (15, "1s"), (60, "2s"), (600, "5s"))


@page
@require_GET
def show(request: SignedIn, ref: str) -> HttpResponse:
    """The whole page."""
    told = _visible(request, ref)
    return render(request, "operation.html", _context(request, told))


@page
@require_GET
def live(request: SignedIn, ref: str) -> HttpResponse:
    """The part that changes while it runs; it asks for itself again until all is settled."""
    return render(request, "operation.html#live", _context(request, _visible(request, ref)))


@page
@require_POST
def check(request: SignedIn, ref: str) -> HttpResponse:
    """Have its systems looked at now, then show the page; changes nothing."""
    told = _visible(request, ref)
    read.check(told, waiting.for_reading)
    response = redirect("operation", told["ref"])
    response.status_code = 303
    return response


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
        "title": title_of(told["action"]),
        "subject": wording.label(told),
        "state": told["state"],
        "who": told["requested_by"],
        "at": wording.moment(told["requested_at"]),
        "arrivals": told["arrivals"],
        "because": told["because"],
    }


def _visible(request: SignedIn, ref: str) -> Facts:
    told = sight.unveil_one(history.by_ref(ref, request.rights.sees), request.user.pk)
    if told is None:
        raise Http404
    return told


def _context(request: SignedIn, told: Facts) -> dict[str, object]:
    now = history.now_of(told)
    told = {**told, "verified_at": now.verified_at}
    known = {(k.realm, k.capability): k for k in now.known}
    counted = arrivals.tally(told["id"], request.user.pk)
    viewer = Viewer(request.user.username, counted.mine, counted.resumed)
    stood = history.stood_before(told) if told["state"] == "failed" else None
    outcome = wording.outcome(told, now, viewer, stood)
    done = sum(effect["state"] == "succeeded" for effect in told["effects"])
    return {
        "op": told,
        "as_of": datetime.now(UTC),
        "outcome": outcome,
        "say": f"{done} of {len(told['effects'])} done. {outcome.heading}",
        "poll": _poll(told, request.GET.urlencode()),
        "deeds": deeds(told, now, request.rights, request.user.username),
        "to_decide": to_decide(told, now, request.rights),
        "effects": effects.rows(told, known),
        "effects_summary": f"{done} of {len(told['effects'])} {'done' if steps.order(told) else 'in place'}",
        "graph": pictures.of_operation(told),
        "arrivals_summary": _counted(counted.count, told),
        "asked": _asked(told),
        **_value(request, told),
        **_requests(request, told, counted),
        **_record(told, request.GET),
    }


def _value(request: SignedIn, told: Facts) -> dict[str, object]:
    """Whether the viewer may show what was made, also before it is made; the value is not read."""
    if not any(registry.makes(effect["capability"]) for effect in told["effects"]):
        return {}
    found = values.offered(told["ref"], request.user.pk)
    mine = told["requested_by_id"] == str(request.user.pk)
    if found.state == "none" and not (mine and told["state"] not in SETTLED):
        return {}
    return {"value": found}


def _requests(request: SignedIn, told: Facts, counted: Tally) -> dict[str, object]:
    """Every request that arrived: all, a page of all, or of many the ends and what stands out."""
    viewer, query = request.user.pk, request.GET
    if not counted.count:
        return {}
    strip = pictures.strip([(m.at, m.disposition, m.count) for m in counted.marks])
    if query.get("arrivals") == "all":
        found, after = arrivals.arrivals_after(told["id"], viewer, query.get("after", ""), PAGE)
        first = arrivals.arrivals(told["id"], viewer, 1)[0]
        return {
            "strip": strip,
            "arrivals": _told(found, first),
            "arrivals_next": after,
            "paged": True,
        }
    if counted.count > FOLD_OVER:
        told_of = arrivals.story(told["id"], viewer, counted, ENDS)
        first = told_of.first[0]
        rows = [
            *_told(told_of.first, first),
            {"fold": _fold(told_of)},
            *_told([*told_of.middle, *told_of.last], first),
        ]
        return {"strip": strip, "arrivals": rows}
    came = arrivals.arrivals(told["id"], viewer, FOLD_OVER)
    strip = pictures.strip([(a["at"], a["disposition"], 1) for a in came])
    return {"strip": strip, "arrivals": _told(came, came[0])}


def _fold(told_of: Story) -> str:
    span = f"between {wording.clock(told_of.since)} and {wording.clock(told_of.until)}"
    if len(told_of.middle) < MIDDLE:
        but = ", except those below" if told_of.middle else ""
        return f"{told_of.folded} more {span}, all changed nothing{but}."
    return f"{told_of.folded} more {span}. Below are the first {MIDDLE} of them that were told otherwise."


def _record(told: Facts, query: Mapping[str, str]) -> dict[str, object]:
    """The log's events of the operation; of many, the first and the last, or a page of all."""
    events = LogEvent.objects.filter(operation=told["id"]).order_by("number")
    newest = events.last()
    # They are numbered one by one under the operation's lock, so the last number is the count.
    count = newest.number if newest and newest.number else 0
    if query.get("record") == "all":
        shown = list(events.filter(number__gt=_number(query.get("after", "")))[:PAGE])
        more = shown[-1].number if shown and shown[-1].number != count else ""
        return {**_shown(told, shown, count), "record_next": more, "record_paged": True}
    if count <= FOLD_OVER:
        return _shown(told, list(events[:FOLD_OVER]), count)
    first, last = list(events[:ENDS]), list(events.reverse()[:ENDS])[::-1]
    folded = f"{count - 2 * ENDS} more between {wording.clock(first[-1].at)} and {wording.clock(last[0].at)}."
    told_of = _shown(told, [*first, *last], count)
    entries = told_of["events"]
    return {**told_of, "events": [*entries[:ENDS], {"fold": folded}, *entries[ENDS:]]}


def _shown(told: Facts, events: list[LogEvent], count: int) -> dict[str, Any]:
    shown = record.entries(events, reasons=told["reason"] is not None)
    return {"events": shown, "record_summary": f"{len(events)} of {count} events"}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _poll(told: Facts, query: str) -> dict[str, str] | None:
    if told["state"] in SETTLED and not _open(told):
        return None
    asked_at = wording.moment(told["requested_at"])
    assert asked_at is not None
    age = (datetime.now(UTC) - asked_at).total_seconds()
    delay = next((delay for below, delay in _DELAYS if age < below), "20s")
    url = reverse("operation-live", args=[told["ref"]])
    return {"url": f"{url}?{query}" if query else url, "delay": delay}


def _open(told: Facts) -> bool:
    return any(effect["state"] in {"executing", "in_doubt"} for effect in told["effects"])


def _told(arrivals: Sequence[dict[str, Any]], first: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of requests."""
    return [
        {
            **a,
            "note": _note(a, first),
            "via": _via(a),
            "clock": wording.on_day(a["at"], precise=True),
        }
        for a in arrivals
    ]


def _via(arrival: dict[str, Any]) -> str:
    token = f", token {arrival['token']}" if arrival["token"] else ""
    return f"{arrival['via']}{token}"


def _note(arrival: dict[str, Any], first: dict[str, Any]) -> str:
    if arrival["id"] == first["id"]:
        return "First request"
    gap = (arrival["at"] - first["at"]).total_seconds()
    later = f"+{gap:.1f} s" if gap < 60 else f"+{gap / 60:.0f} min"
    if arrival["request"] == first["request"]:
        return f"{later}, the same request again"
    return f"{later}, a request of its own"


def _counted(count: int, told: Facts) -> str:
    effects = len(told["effects"])
    return (
        f"{count} request{'s' if count != 1 else ''}, {effects} effect{'s' if effects != 1 else ''}"
    )


def _action(name: str) -> str:
    """Its title, and the way to its page as long as it is in the catalogue."""
    if registry.find(name) is None:
        return name
    return format_html('<a href="{}">{}</a>', reverse("action", args=[name]), title_of(name))


def _asked(told: Facts) -> list[tuple[str, object]]:
    subject = reverse("subject", args=[told["kind"], told["name"]])
    key = keys.operation_key(told["action"], told["kind"], told["name"], told["generation"])
    ends = wording.moment(told["ends_at"])
    incidents = ", ".join(f"INC-{number}" for number in told["incidents"]) or "none"
    asked: list[tuple[str, object]] = [
        ("Action", _action(told["action"])),
        ("Subject", format_html('<a href="{}" class="ref">{}</a>', subject, wording.label(told))),
        ("Until", f"{ends:%-d %b %Y %H:%M:%S} UTC, at least" if ends else "no end"),
        ("Reason", wording.reason(told)),
        ("Incident", incidents),
        ("Generation", str(told["generation"])),
        ("Asked by", f"{told['requested_by']}, by {told['via']}, at {wording.clock(told['requested_at'])}"),
        ("Verified", wording.clock(told["verified_at"]) if told["verified_at"] else "not yet"),
        ("Key", format_html('<span class="ref">{}</span>', key)),
    ]  # fmt: skip
    if told.get("label") not in (None, told["name"]):
        asked.insert(2, ("Its id", told["name"]))
    if "version" in (came := registry.result(told["action"], told["effects"])):
        asked.insert(2, ("Version", str(came["version"])))
    drafter = history.drafted_by(told["id"])
    if drafter is not None:
        asked.insert(-2, ("Drafted by", drafter))
    if told["undoes"]:
        undone = reverse("operation", args=[told["undoes"]])
        asked.insert(
            1, ("Undoes", format_html('<a href="{}" class="ref">{}</a>', undone, told["undoes"]))
        )
    if told["because"]:
        asked.insert(1, ("Because", told["because"]))
    if "blocked" not in told["desired"] or not told["desired"]["blocked"]:
        asked = [row for row in asked if row[0] != "Until"]
    return asked
