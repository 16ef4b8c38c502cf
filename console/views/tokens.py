"""API tokens: which there are, whose, and what each may; issue one, shown once, and withdraw one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from actions import administer, roster
from actions.administer import LONGEST_DAYS
from actions.errors import Refusal
from actions.registry import registry
from console.access import SignedIn, must, page
from console.views.administering import LOST_KEY, id_of, looks_on, new_key, press


class NewForm(forms.Form):
    """A new token; `key` was made with the form, and makes it issue one, once."""

    use_required_attribute = False

    def __init__(self, viewer: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        open_ones = [one for one in roster.accounts() if one.is_active]
        whose = [one for one in open_ones if one.kind == "service" or one.username == viewer]
        scopes = ["read", "lists", "incidents", *(f"ask:{a.name}" for a in registry.actions())]
        self.fields["account"] = forms.ChoiceField(
            label="Whose",
            help_text="A service account, or yourself: with a token of somebody one would be them.",
            choices=[(str(one.id), one.username) for one in whose],
        )
        self.fields["name"] = forms.CharField(
            label="What it is for",
            max_length=80,
            error_messages={"required": "Say what it is for"},
            widget=forms.TextInput(attrs={"autocomplete": "off"}),
        )
        self.fields["scopes"] = forms.MultipleChoiceField(
            label="What it may",
            help_text="And never more than the account itself.",
            choices=[(scope, scope) for scope in scopes],
            widget=forms.CheckboxSelectMultiple,
            error_messages={"required": "Choose at least one"},
        )
        self.fields["days"] = forms.IntegerField(
            label="For how many days", initial=30, min_value=1, max_value=LONGEST_DAYS
        )
        self.fields["key"] = forms.CharField(
            widget=forms.HiddenInput, error_messages={"required": LOST_KEY}
        )


@page
@require_safe
def index(request: SignedIn) -> HttpResponse:
    """Every token, those that still work first. None is ever shown here."""
    must(looks_on(request.rights))
    context = {"tokens": roster.tokens(), "may": request.rights.administers}
    return render(request, "tokens.html", context)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: SignedIn) -> HttpResponse:
    """The form for a token. Sent twice, it issues one; the token is shown with the first."""
    must(request.rights.administers)
    viewer = request.user.username
    if request.method != "POST":
        return _form(request, NewForm(viewer, initial={"key": new_key()}))
    form = NewForm(viewer, request.POST)
    if form.is_valid() and (made := id_of(form.cleaned_data["key"])):
        try:
            return _issued(request, made, form.cleaned_data)
        except Refusal as refusal:
            form.add_error(None, refusal.message)
    given = request.POST.copy()
    given["key"] = new_key()
    form.data = given
    return _form(request, form, status=422)


def _issued(request: SignedIn, made: Any, given: dict[str, Any]) -> HttpResponse:
    account, name = id_of(given["account"]), " ".join(given["name"].split())
    assert account is not None
    shown = administer.issue_token(
        request.user.pk, made, account, name, given["scopes"], given["days"]
    )
    context = {
        "what": "Token",
        "of": name,
        "secret": shown.secret,
        "back": reverse("tokens"),
        "again": "withdraw it and issue another",
    }
    return render(request, "once.html", context)


def _form(request: SignedIn, form: NewForm, status: int = 200) -> HttpResponse:
    return render(request, "token_new.html", {"form": form}, status=status)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: SignedIn, token: str) -> HttpResponse:
    """Withdraw a token: it is over at once. Pressed twice, it is the same."""
    must(request.rights.administers)
    id = id_of(token)
    must(id is not None)
    assert id is not None
    deed = administer.withdraw_token
    return press(request, reverse("tokens"), lambda: deed(request.user.pk, id))
