"""Notices: how whoever is signed in wants to be told, and for admins, whom nobody could tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from actions import hearing
from actions.errors import Refusal
from actions.heard import CHOSEN, WORDS, Kind
from actions.hearing import Hearing
from actions.models import Endpoint
from console.access import SignedIn, must, page
from console.views.errors import may_be_written
from console.wording import Outcome

_DONE = {
    "address": Outcome(
        "waiting",
        "A code is on its way",
        ["Type it below within the hour. Until then nothing else is sent there."],
    ),
    "code": Outcome("done", "The address is confirmed", ["From now on notices go there."]),
    "address-same": Outcome(
        "same", "That address is confirmed already", ["Nothing changed, and no code was sent."]
    ),
    "code-same": Outcome(
        "same", "The address is confirmed already", ["Nothing changed: notices go there."]
    ),
    "choose": Outcome("done", "Saved", ["You are told of these from now on."]),
    "test": Outcome("waiting", "A test is on its way", ["It says that nothing happened."]),
}


class AddressForm(forms.Form):
    """Where notices go."""

    use_required_attribute = False
    email = forms.CharField(
        label="E-mail address",
        help_text="A code goes there first. An address given anew takes the place of the one before.",
        max_length=hearing.LONGEST,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


class CodeForm(forms.Form):
    """The code that was sent there."""

    use_required_attribute = False
    code = forms.CharField(
        label="Code",
        help_text="As the mail has it, such as K3TM-7QWA.",
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "spellcheck": "false"}),
    )


class KindsForm(forms.Form):
    """What to be told of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in CHOSEN:
            words = WORDS[kind]
            self.fields[kind] = forms.BooleanField(
                label=words.chosen,
                help_text=f"Told: {words.who[0].lower()}{words.who[1:]}.",
                required=False,
                disabled=words.always,
            )


@page
@require_http_methods(["GET", "HEAD", "POST"])
def mine(request: SignedIn) -> HttpResponse:
    """How I am told; each form says in `do` which one it is, and may be sent twice."""
    told = hearing.of(request.user.pk)
    if request.method != "POST":
        return _shown(request, told, _DONE.get(request.GET.get("done", "")))
    must(hearing.may_hear(request.user.pk))
    doing = request.POST.get("do", "")
    form = _form(doing, told, request.POST)
    must(form is not None)
    if form is not None and form.is_valid():
        may_be_written(request)
        try:
            changed = _DOES[doing](request, form.cleaned_data)
        except Refusal as refusal:
            form.add_error(
                next(iter(form.fields), None) if doing != "choose" else None, refusal.message
            )
        else:
            done = doing if changed else f"{doing}-same"
            response = redirect(f"{reverse('account-notices')}?done={done}")
            response.status_code = 303
            return response
    return _shown(request, told, None, {doing: form}, 422)


def _address(request: SignedIn, given: dict[str, Any]) -> bool:
    return hearing.give_address(request.user.pk, given["email"])


def _code(request: SignedIn, given: dict[str, Any]) -> bool:
    return hearing.confirm(request.user.pk, given["code"])


def _choose(request: SignedIn, given: dict[str, Any]) -> bool:
    hearing.choose(request.user.pk, {Kind(kind): wanted for kind, wanted in given.items()})
    return True


def _test(request: SignedIn, given: dict[str, Any]) -> bool:
    hearing.test(request.user.pk)
    return True


# Each says whether it changed anything.
_DOES: dict[str, Callable[[SignedIn, dict[str, Any]], bool]] = {
    "address": _address,
    "code": _code,
    "choose": _choose,
    "test": _test,
}


def _form(doing: str, told: Hearing, data: Any = None) -> forms.Form | None:
    match doing:
        case "address":
            return AddressForm(data, label_suffix="", initial={"email": told.email})
        case "code":
            return CodeForm(data, label_suffix="")
        case "choose":
            return KindsForm(data, label_suffix="", initial=dict(told.wants))
        case "test":
            return forms.Form(data)
    return None


def _shown(
    request: SignedIn,
    told: Hearing,
    banner: Outcome | None,
    sent: dict[str, forms.Form | None] | None = None,
    status: int = 200,
) -> HttpResponse:
    shown = {doing: _form(doing, told) for doing in _DOES} | (sent or {})
    wrong = next(iter((sent or {}).values()), None)
    context = {
        "told": told,
        "banner": banner,
        "hears": hearing.may_hear(request.user.pk),
        "mail_is_set": hearing.mail_is_set(),
        "administers": hearing.administers(request.user.pk),
        "form": wrong,
        **{f"{doing}_form": form for doing, form in shown.items()},
    }
    return render(request, "account_notices.html", context, status=status)


@page
@require_safe
def everybodys(request: SignedIn) -> HttpResponse:
    """For admins: which ways to tell do not work, what was given up, and what had nobody."""
    must(hearing.administers(request.user.pk))
    endpoints = Endpoint.objects.order_by("name")
    context = {
        "late": hearing.late(),
        "lost": [(one, WORDS[Kind(one.kind)].heading) for one in hearing.lost()],
        "dropped": [(one, WORDS[Kind(one.kind)].heading) for one in hearing.dropped()],
        "untold": [(one, WORDS[Kind(one.kind)].heading) for one in hearing.untold()],
        "endpoints": [(one, [WORDS[Kind(k)].chosen for k in one.kinds]) for one in endpoints],
        "mail_is_set": hearing.mail_is_set(),
    }
    return render(request, "notices.html", context)
