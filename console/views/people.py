"""People and service accounts: who is there, in which groups, open or closed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from actions import administer, roster
from actions.administer import Done, Shown
from actions.errors import ParamsRefused, Refusal
from actions.roster import Account
from console.access import SignedIn, must, page
from console.views.administering import LOST_KEY, id_of, looks_on, new_key, press, told
from console.wording import refused

_KINDS = (
    ("person", "A person, who signs in"),
    ("service", "A service account, such as a runbook's"),
)


class NewForm(forms.Form):
    """A new account; `key` was made with the form, and makes it add one, once."""

    use_required_attribute = False

    kind = forms.ChoiceField(
        label="What it is", choices=_KINDS, initial="person", widget=forms.RadioSelect
    )
    username = forms.CharField(
        label="Name to sign in with",
        help_text="2 to 40 of a-z, 0-9, dot, dash, underscore. It stays for ever: the log names it.",
        max_length=40,
        error_messages={"required": "Enter a name to sign in with"},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    first = forms.CharField(label="First name, or what it is for", max_length=150, required=False)
    last = forms.CharField(label="Last name", max_length=150, required=False)
    key = forms.CharField(widget=forms.HiddenInput, error_messages={"required": LOST_KEY})


@page
@require_safe
def index(request: SignedIn) -> HttpResponse:
    """Everybody, the open accounts first."""
    must(looks_on(request.rights))
    context = {"accounts": roster.accounts(), "may": request.rights.administers}
    return render(request, "people.html", context)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: SignedIn) -> HttpResponse:
    """The form for a new account. Sent twice, it adds one; its password is shown with the first."""
    must(request.rights.administers)
    if request.method != "POST":
        return _form(request, NewForm(label_suffix="", initial={"key": new_key()}))
    form = NewForm(request.POST, label_suffix="")
    if form.is_valid() and (made := id_of(form.cleaned_data["key"])):
        try:
            shown = _add(request, made, form.cleaned_data)
            return once(request, form.cleaned_data["username"], shown)
        except ParamsRefused as refusal:
            form.add_error("username", refusal.message)
        except Refusal as refusal:
            form.add_error("username" if refusal.code == "name_taken" else None, refusal.message)
    form.data = {**request.POST.dict(), "key": new_key()}
    return _form(request, form, status=422)


def _add(request: SignedIn, made: Any, given: dict[str, Any]) -> Shown:
    username, first, last = (" ".join(given[n].split()) for n in ("username", "first", "last"))
    if given["kind"] == "service":
        return Shown(administer.add_service(request.user.pk, made, username, first), None)
    return administer.add_person(request.user.pk, made, username, first, last)


def _form(request: SignedIn, form: NewForm, status: int = 200) -> HttpResponse:
    return render(request, "person_new.html", {"form": form}, status=status)


def once(request: SignedIn, username: str, shown: Shown) -> HttpResponse:
    """The password that was just made, which no other page shows; or that it was made before."""
    if shown.done is Done.DONE and shown.secret is None:
        return _see(username)
    context = {
        "what": "Password",
        "of": username,
        "secret": shown.secret,
        "back": reverse("person", args=[username]),
        "again": "close the account and open it again, which gives it another",
    }
    return render(request, "once.html", context)


def _see(username: str) -> HttpResponse:
    response = redirect("person", username)
    response.status_code = 303
    return response


def _account(username: str) -> Account:
    found = roster.accounts(username=username)
    if not found:
        raise Http404
    return found[0]


@page
@require_safe
def show(request: SignedIn, username: str) -> HttpResponse:
    """One account with its groups."""
    must(looks_on(request.rights))
    account = _account(username)
    others = [group.name for group in roster.groups() if group.name not in account.groups]
    groups = [{"name": name, "url": reverse("group", args=[name])} for name in account.groups]
    context = {
        "account": account,
        "groups": groups,
        "others": others,
        "may": request.rights.administers,
        "self": account.id == request.user.pk,
    }
    return render(request, "person.html", context)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def close(request: SignedIn, username: str) -> HttpResponse:
    """Close the account: whoever is signed in as it is signed out at once."""
    must(request.rights.administers)
    account = _account(username)
    back = reverse("person", args=[username])
    return press(request, back, lambda: administer.close(request.user.pk, account.id))


@page
@require_http_methods(["GET", "HEAD", "POST"])
def reopen(request: SignedIn, username: str) -> HttpResponse:
    """Open the account again; a person's new password is shown, once."""
    must(request.rights.administers)
    account = _account(username)
    if request.method != "POST":
        return redirect("person", username)
    try:
        shown = administer.reopen(request.user.pk, account.id, account.kind)
    except Refusal as refusal:
        back = reverse("person", args=[username])
        return told(request, back, 409, refused("refused", refusal.message))
    if shown.done is Done.EXISTING and account.kind == "service":
        return _see(username)
    return once(request, username, shown)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def member(request: SignedIn, username: str) -> HttpResponse:
    """Put the account into a group, or take it out; pressed twice, it is one change."""
    must(request.rights.administers)
    account = _account(username)
    group, inside = request.POST.get("group", ""), request.POST.get("member") == "yes"
    back = reverse("person", args=[username])
    if request.POST.get("from") == "group":
        back = f"/groups/{quote(group)}"
    if not group:  # nothing was chosen
        return redirect(back)
    deed = administer.set_member
    return press(request, back, lambda: deed(request.user.pk, account.id, group, inside))
