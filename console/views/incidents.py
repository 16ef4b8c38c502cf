"""Incidents: the list of them, and a form that opens one, once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from actions import dossier, keys, overview, remains
from actions.errors import NotRecorded, ParamsRefused, Refusal
from actions.incident_rules import LONGEST_TITLE
from actions.incidents import By, open_incident
from actions.models import Incident
from console import wording
from console.access import SignedIn, must, page
from console.views.errors import may_be_written
from console.views.loading import load
from console.views.rows import counts

LOST_KEY = (
    "This form had lost what makes it safe to send twice. Nothing changed. Send it once more."
)
STATES = (("", "All"), ("open", "Open"), ("closed", "Closed"))


@dataclass(frozen=True, slots=True)
class Line:
    """One incident of the list: its operations in words, and how many are in force."""

    incident: Incident
    counts: str
    in_force: int


@page
@require_safe
def index(request: SignedIn) -> HttpResponse:
    """Incidents that the viewer sees, newest first: those that are open, or as asked for."""
    sees = request.rights.sees
    must(bool(sees))
    state = request.GET.get("state", "open")
    state = state if state in dict(STATES) else "open"
    found = dossier.incidents(request.user.pk, state, request.GET.get("before", ""), 20)
    ids = [incident.id for incident in found.incidents]
    counted = overview.states_of(ids, sees)
    forces = load(lambda: remains.in_force_of(ids, sees))
    context = {
        "lines": [
            Line(incident, counts(counted.get(incident.id, {})), (forces or {}).get(incident.id, 0))
            for incident in found.incidents
        ],
        "forces_read": forces is not None,
        "state": state,
        "states": STATES,
        "next": found.next,
        "begins_later": "before" in request.GET,
    }
    return render(request, "incidents.html", context)


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
    restricted = forms.BooleanField(
        label="Restricted: only its members see it",
        help_text="For everybody else it does not exist. Those who read the log see it too.",
        required=False,
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
        caller, restricted = request.user.pk, form.cleaned_data["restricted"]
        incident, _opened = open_incident(
            caller, title, key, restricted=restricted, by=By(caller, "browser")
        )
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
        form.data = {**request.POST.dict(), "title": title, "key": _next_key(old, title)}
    return _page(request, form, status=422)


def _next_key(old: str, title: str) -> str:
    """The key of the form that follows a used one: the same each time that this is sent again."""
    if not _is_key(old):
        return _new_key()
    return "inc_" + keys.fingerprint({"after": old, "title": " ".join(title.split())}).hex()


def _page(request: SignedIn, form: NewForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "address": _address(str(form["key"].value()))}
    return render(request, "incident_new.html", context, status=status)
