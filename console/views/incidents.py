"""Incidents: open one, once per form, and see what was asked for because of it."""

from __future__ import annotations

import re
import secrets
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from actions import history, keys, now, overview
from actions.errors import ParamsRefused, Refusal
from actions.incidents import LONGEST_TITLE, open_incident
from actions.models import Incident
from console.access import SignedIn, must, page
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
    """The form for a new incident. Sent twice, it opens one, and both are shown that one."""
    must(bool(request.rights.asks))
    if request.method != "POST":
        return render(request, "incident_new.html", {"form": _form()})
    form = NewForm(request.POST, label_suffix="")
    if not form.is_valid():
        return _wrong(request, form)
    try:
        key = keys.request_key(form.cleaned_data["key"])
        incident, _opened = open_incident(request.user.pk, form.cleaned_data["title"], key)
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


def _form(title: str = "") -> NewForm:
    key = "inc_" + secrets.token_urlsafe(24)
    return NewForm(label_suffix="", initial={"title": title, "key": key})


def _refused(refusal: Refusal) -> str:
    if refusal.code == "bad_key":
        return LOST_KEY
    if refusal.code == "key_reused":
        return f"{refusal.message} To open another incident, send this form again."
    return refusal.message


def _wrong(request: SignedIn, form: NewForm) -> HttpResponse:
    """The form again, with what was typed; under a new key when the old one cannot be used."""
    if form.non_field_errors() or "key" in form.errors:
        form.data = {"title": form.data.get("title", ""), "key": _form().initial["key"]}
    return render(request, "incident_new.html", {"form": form}, status=422)


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
