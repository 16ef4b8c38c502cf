"""Incidents: open one, once per form, and see what was asked for because of it."""

from __future__ import annotations

import re
import secrets
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from actions import history, keys, now, overview
from actions.errors import NotRecorded, ParamsRefused, Refusal
from actions.incidents import LONGEST_TITLE, open_incident
from actions.models import Incident
from console import wording
from console.access import SignedIn, must, page
from console.views.errors import may_be_written
from console.views.loading import load
from console.views.rows import counts, rows, starts

LOST_KEY = (
    "This form had lost what makes it safe to send twice. Nothing changed. Send it once more."
)
_REF = re.compile(r"INC-([1-9][0-9]{0,8})", re.ASCII)


class NewForm(forms.Form):
    """The title of a new incident; `key` was made with the form, and makes it open one, once."""

    use_required_attribute = False

    title = forms.CharField(
        label="What is happening",
        help_text=f"A short title, up to {LONGEST_TITLE} characters, such as: Phishing, finance.",
        max_length=LONGEST_TITLE,
        error_messages={"required": "Enter a title"},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    key = forms.CharField(
        max_length=128, widget=forms.HiddenInput, error_messages={"required": LOST_KEY}
    )


@page
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: SignedIn) -> HttpResponse:
    """The form for a new incident. Sent twice, it opens one, and both are shown that one.

    Its key stands in its address, so that going back meets the same form.
    """
    must(bool(request.rights.asks))
    if request.method != "POST":
        key = request.GET.get("key", "")
        return _page(request, _form(key)) if _is_key(key) else redirect(_address(_new_key()))
    form = NewForm(request.POST, label_suffix="")
    if not form.is_valid():
        return _wrong(request, form)
    title = form.cleaned_data["title"]
    try:
        key = keys.request_key(form.cleaned_data["key"])
        may_be_written(request)
        incident, _opened = open_incident(request.user.pk, title, key)
    except NotRecorded as lost:
        return _lost(request, lost, key)
    except ParamsRefused as refusal:
        form.add_error("title", refusal.message)
    except Refusal as refusal:
        form.add_error(None, _refused(refusal))
    else:
        return _see(incident)
    return _wrong(request, form)


def _see(incident: Incident) -> HttpResponse:
    response = redirect("incident", incident.ref)
    response.status_code = 303
    return response


def _lost(request: SignedIn, lost: NotRecorded, key: str) -> HttpResponse:
    banner = wording.refused(lost.code, lost.message)
    context = {"banner": banner, "back": _address(key), "back_to": "Back to the form"}
    return render(request, "told.html", context, status=503)


def _new_key() -> str:
    return "inc_" + secrets.token_urlsafe(24)


def _is_key(text: str) -> bool:
    try:
        return keys.request_key(text) == text
    except Refusal:
        return False


def _address(key: str) -> str:
    return f"{reverse('incident-new')}?{urlencode({'key': key})}"


def _form(key: str) -> NewForm:
    return NewForm(label_suffix="", initial={"key": key})


def _refused(refusal: Refusal) -> str:
    if refusal.code == "bad_key":
        return LOST_KEY
    if refusal.code == "key_reused":
        said = refusal.message.replace("This key", "This form", 1)
        return f"{said} To open another incident, send this form again."
    return refusal.message


def _wrong(request: SignedIn, form: NewForm) -> HttpResponse:
    """The form again, with what was typed; under another key when the old one cannot be used."""
    old, title = form.data.get("key", ""), form.data.get("title", "")
    if form.non_field_errors() or "key" in form.errors:
        form.data = {"title": title, "key": _next_key(old, title)}
    return _page(request, form, status=422)


def _next_key(old: str, title: str) -> str:
    """The key of the form that follows a used one: the same each time that this is sent again."""
    if not _is_key(old):
        return _new_key()
    return "inc_" + keys.fingerprint({"after": old, "title": " ".join(title.split())}).hex()


def _page(request: SignedIn, form: NewForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "address": _address(str(form["key"].value()))}
    return render(request, "incident_new.html", context, status=status)


@page
@require_safe
def show(request: SignedIn, ref: str) -> HttpResponse:
    """One incident: its operations with what is still in force, and the requests that made them."""
    sees = request.rights.sees
    must(bool(sees))
    match = _REF.fullmatch(ref)
    must(match is not None)
    incident = get_object_or_404(
        Incident.objects.select_related("opened_by"), number=int(ref.removeprefix("INC-"))
    )
    return render(request, "incident.html", _context(request, incident))


def _context(request: SignedIn, incident: Incident) -> dict[str, Any]:
    sees = request.rights.sees
    wanted = history.Filter(incident=incident.number)
    found = history.operations(sees, wanted, request.GET.get("before", ""), history.MOST)
    forces = load(lambda: now.of_many(found.facts))
    counted = overview.states_of([incident.id], sees).get(incident.id, {})
    return {
        "incident": incident,
        "counts": counts(counted),
        "rows": rows(found.facts, forces),
        "next": found.next,
        "begins_later": "before" in request.GET,
        "forces_read": forces is not None,
        "requests": sum(told["arrivals"] for told in found.facts),
        "arrivals": overview.last_arrivals([told["id"] for told in found.facts]),
        "starts": starts(request.rights.asks, f"?incident={incident.ref}"),
    }
