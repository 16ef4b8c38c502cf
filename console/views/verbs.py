"""The buttons on an operation's page: finish, cancel, decide; and the form of an undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from actions import finish as finishing
from actions import history, prepare, undo, undoable, withdraw
from actions.answer import Answer
from actions.decide import decide as decide_effect
from actions.errors import Refusal
from actions.standing import Facts
from console import wording
from console.access import SignedIn, must, page, who
from console.forms import incident_choices
from console.views.pressed import alone, press


@page
@require_http_methods(["GET", "HEAD", "POST"])
def finish(request: SignedIn, ref: str) -> HttpResponse:
    """Run what is unfinished, once for each time that the page was opened."""
    asker = who(request)
    return _press(request, ref, lambda key: finishing.finish(asker, ref, key, "browser"))


@page
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: SignedIn, ref: str) -> HttpResponse:
    """Withdraw it before anything was sent."""
    asker = who(request)
    return _press(request, ref, lambda key: withdraw.cancel(asker, ref, key, "browser"))


@page
@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: SignedIn, ref: str, n: int) -> HttpResponse:
    """Say what a parked effect came to."""
    to, reason = request.POST.get("to", ""), " ".join(request.POST.get("reason", "")[:2000].split())
    asker = who(request)
    return _press(
        request, ref, lambda key: decide_effect(asker, ref, n, to, reason, key, "browser")
    )


def _press(request: SignedIn, ref: str, write: Callable[[str], Answer]) -> HttpResponse:
    """Do what a button says, under the key of its page, and lead back to the operation.

    GET comes here after signing in anew, when the session was over: it does nothing.
    """
    if request.method != "POST":
        return redirect("operation", ref)
    return press(request, ref, write, alone(request, ref))


class UndoForm(forms.Form):
    """Why, because of which incident, and what to do where nobody knows whether we changed it."""

    use_required_attribute = False

    def __init__(self, told: Facts, viewer: UUID, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.fields["reason"] = forms.CharField(
            label="Reason",
            help_text="Kept for ever; auditors read it.",
            max_length=2000,
            widget=forms.Textarea(attrs={"rows": 2}),
        )
        if unclear := undoable.not_known(told):
            where = ", ".join(sorted(unclear.values()))
            self.fields["not_known"] = forms.ChoiceField(
                label=f"Whether we changed {where} is not known",
                help_text="It may have been so before us; then an undo takes away what was not ours.",
                choices=(("leave", "Leave it as it is"), ("include", "Undo it there too")),
                widget=forms.RadioSelect,
            )
        self.fields["incident"] = forms.ChoiceField(
            label="Incident", choices=incident_choices(viewer), required=False
        )


@page
@require_http_methods(["GET", "HEAD", "POST"])
def undo_it(request: SignedIn, ref: str) -> HttpResponse:
    """Why it is undone; what is sent becomes a draft, which shows what the undo would do."""
    told = history.by_ref(ref, request.rights.sees)
    if told is None:
        raise Http404
    try:
        must(undo.inverse(told).name in request.rights.asks)
    except Refusal as refusal:
        said = wording.refused("refused", refusal.message, refusal.code)
        return alone(request, ref)(409, said)
    form = UndoForm(told, request.user.pk, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("draft", _drafted(request, told, form.cleaned_data))
        except Refusal as refusal:
            form.add_error(None, refusal.message)
    status = 422 if form.errors else 200
    return render(request, "undo.html", _context(told, form), status=status)


def _drafted(request: SignedIn, told: Facts, given: dict[str, Any]) -> str:
    incident = given["incident"]
    ask = undo.ask_of(
        told,
        " ".join(given["reason"].split()),
        prepare.new_key(),
        "browser",
        incident=int(incident.removeprefix("INC-")) if incident else None,
        not_known=given.get("not_known", ""),
    )
    return prepare.prepare(who(request), ask).draft.id


def _context(told: Facts, form: UndoForm) -> dict[str, object]:
    ours = sorted(undoable.changed(told).values())
    about = [
        ("Operation", f"{told['ref']}: {wording.phrase(told)}"),
        ("Is undone", ", ".join(ours) or "Nothing that we surely changed"),
        ("Stays", "What was so before us, and whatever came later."),
    ]
    return {"form": form, "about": about, "ref": told["ref"], "action": undo.inverse(told)}
