"""The log for those who may read it: newest first, searched on the server, each record whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from actions import records
from actions.models import Caller, LogEvent
from actions.policy import Sight
from actions.records import KINDS, Filter, Record
from console import chronicle
from console import record as in_words
from console.access import SignedIn, must, page
from console.views.loading import load


class FilterForm(forms.Form):
    """Which records are shown."""

    use_required_attribute = False

    kind = forms.CharField(
        label="Kind", required=False, max_length=40, widget=forms.TextInput(attrs={"list": "kinds"})
    )
    operation = forms.CharField(label="Operation", required=False, max_length=20)
    text = forms.CharField(label="Text, anywhere in a record", required=False, max_length=200)
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    def wanted(self) -> Filter:
        """The filter, leaving out what cannot be read."""
        given = self.cleaned_data
        return Filter(
            given.get("kind", ""),
            given.get("operation", ""),
            given.get("text", ""),
            given.get("before"),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One record as a line: who and what in words, and the exact text that the log keeps."""

    id: int
    at: datetime
    who: str
    what: str
    kind: str
    told: str
    operation: str
    linked: bool
    number: int | None
    digest: str
    body: str


@page
@require_safe
def index(request: SignedIn) -> HttpResponse:
    """One page of the log."""
    must(request.rights.reads_log)
    form = FilterForm(request.GET, label_suffix="")
    form.is_valid()
    wanted = form.wanted()
    found = load(lambda: records.read(wanted)) if form.is_valid() else None
    context = {
        "form": form,
        "filtered": bool(wanted.kind or wanted.operation or wanted.text),
        "wanted": wanted,
        "lines": _lines(found.records, request.rights.sees) if found else None,
        "older": _query(wanted, found.next) if found and found.next else "",
        "newest": _query(wanted, None) if wanted.before else "",
        "reached": found.reached if found else None,
        "looks_through": records.LOOKS_THROUGH,
        "kept": load(records.kept),
        "kinds": KINDS,
    }
    return render(request, "log.html", context)


def _query(wanted: Filter, before: int | None) -> str:
    given = {
        "kind": wanted.kind,
        "operation": wanted.operation,
        "text": wanted.text,
        "before": before,
    }
    return "?" + urlencode({name: value for name, value in given.items() if value})


def _lines(found: Iterable[Record], sees: Sight) -> list[Line]:
    read = [(record, json.loads(record.body)["body"]) for record in found]
    names = _names({body["by"] for _, body in read if _is_id(body.get("by"))})
    return [_line(record, body, names, sees) for record, body in read]


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def _names(ids: set[str]) -> dict[str, str]:
    callers = Caller.objects.filter(id__in=ids).values_list("id", "username")
    return {str(id): username for id, username in callers}


def _line(record: Record, body: dict[str, Any], names: dict[str, str], sees: Sight) -> Line:
    raw = record.body.encode()
    event = LogEvent(at=record.at, kind=record.kind, number=record.number, body=raw)
    entry = in_words.entries([event])[0]
    return Line(
        id=record.id,
        at=record.at,
        who=names.get(entry.who, entry.who),
        what=_what(record, body) or entry.what,
        kind=record.kind,
        told=str(body.get("disposition", "")),
        operation=record.operation,
        linked=record.action in sees,
        number=record.number,
        digest=entry.digest,
        body=record.body,
    )


def _what(record: Record, body: dict[str, Any]) -> str:
    """What a record outside every operation tells; "" for one within an operation."""
    match record.kind:
        case "request.arrived" if not record.operation:
            why = str(body.get("code", "")).replace("_", " ")
            return f"Asked for {body.get('action')} on {body.get('subject')}: {why}"
        case "incident.opened":
            return f"Opened {body.get('ref')}: {body.get('change', {}).get('title')}"
        case kind if kind.startswith("incident."):
            return chronicle.of_record(body)
        case "ends.held":
            return f"Ends held: the database's clock had jumped by {body.get('seconds')} seconds"
        case "ends.released":
            return "Ends released"
        case "database.failed_over":
            held = "nothing is sent until it is confirmed" if body.get("held") else "by its standby"
            return f"The database failed over or was restored: {held}"
        case "database.recovered":
            return (
                f"Confirmed after the failover: commits since {body.get('since')} may be missing;"
                f" {body.get('effects')} effects are read before they are sent: {body.get('reason')}"
            )
        case "world.made":
            return "Made the example people, their rights and the block list"
        case _:
            return in_words.administered(record.kind, body)
