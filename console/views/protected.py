"""What is protected: for admins, to list, to add to with a reason, and to withdraw from."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from actions import protect
from actions.errors import NotFound, Refusal, SubjectRefused
from console import wording
from console.access import SignedIn, must, page


class ProtectForm(forms.Form):
    """What to protect, how, and why."""

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.fields["kind"] = forms.ChoiceField(
            label="Kind", choices=[(kind, kind.capitalize()) for kind in protect.KINDS]
        )
        self.fields["name"] = forms.CharField(
            label="Name",
            help_text="A network, however wide; an account or a secret as REALM:NAME.",
            max_length=200,
        )
        self.fields["level"] = forms.ChoiceField(
            label="How",
            choices=(("never", "Never act on it"), ("ask_twice", "Ask a second person first")),
            initial="never",
            widget=forms.RadioSelect,
        )
        self.fields["reason"] = forms.CharField(
            label="Reason", help_text="Whoever is refused reads it.", max_length=400
        )


@page
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: SignedIn) -> HttpResponse:
    """All that is protected; for admins the form to add to it, which adds once, however often it is sent."""
    writes = request.rights.administers
    must(writes or (request.rights.reads_log and request.method != "POST"))
    form = ProtectForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            args = (given["kind"], given["name"], given["level"], given["reason"])
            protect.add(request.user.pk, *args)
            response = redirect("protected")
            response.status_code = 303
            return response
        except Refusal as refusal:
            field = "name" if isinstance(refusal, SubjectRefused) else "reason"
            form.add_error(field, refusal.message)
    context = {
        "form": form,
        "writes": writes,
        "rows": [_row(entry) for entry in protect.listed()],
    }
    return render(request, "protected.html", context, status=422 if form.errors else 200)


def _row(entry: Any) -> dict[str, object]:
    by = entry.added_by.username if entry.added_by else entry.found_by or "Every machine"
    return {"entry": entry, "by": by, "listed": entry.source == protect.Source.ADMIN}


@page
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: SignedIn, number: int) -> HttpResponse:
    """Protect no more what an admin listed; sent twice, it is done once."""
    must(request.rights.administers)
    if request.method == "POST":
        try:
            protect.withdraw(request.user.pk, number, request.POST.get("why", "")[:400])
        except NotFound:
            must(False)
        except Refusal as refusal:
            banner = wording.refused("refused", refusal.message, refusal.code)
            context = {"banner": banner, "back": "/protected", "back_to": "Back to the list"}
            return render(request, "told.html", context, status=422)
    response = redirect("protected")
    response.status_code = 303
    return response
