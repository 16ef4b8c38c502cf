"""Groups and what they may: on actions, on realms, and console-wide."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from actions import administer, roster
from actions.errors import Refusal
from actions.policy import RIGHTS
from actions.roster import Held
from console.access import SignedIn, must, page
from console.views.administering import id_of, looks_on, press
from console.views.rows import title_of

WORDS = {
    "see": "See",
    "ask": "Ask",
    "approve": "Approve",
    "administer": "Administer",
    "read_log": "Read the log",
    "break_glass": "Break glass",
}
_HEADINGS = {"entry": "On actions", "realm": "On systems", "all": "On the console itself"}


class NewForm(forms.Form):
    """The name of a new group."""

    use_required_attribute = False

    name = forms.CharField(
        label="New group",
        help_text="2 to 60 letters, digits, spaces, dots, dashes. It stays for ever: rules name it.",
        max_length=60,
        error_messages={"required": "Enter a name"},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that rights are on: each right with whether the group holds it."""

    id: str
    kind: str
    target: str
    title: str
    seen: str
    boxes: list[tuple[str, str, bool]]


@page
@require_safe
def index(request: SignedIn) -> HttpResponse:
    """Every group."""
    must(looks_on(request.rights) or request.rights.gives_rights)
    return _index(request, NewForm(label_suffix=""))


def _index(request: SignedIn, form: NewForm, status: int = 200) -> HttpResponse:
    groups = [
        {
            "group": group,
            "url": reverse("group", args=[group.name]),
            "wide": ", ".join(WORDS.get(right, right) for right in group.held),
        }
        for group in roster.groups()
    ]
    context = {"groups": groups, "form": form, "may": request.rights.administers}
    return render(request, "groups.html", context, status=status)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: SignedIn) -> HttpResponse:
    """Make a group; made already, it is the one that there is."""
    must(request.rights.administers)
    if request.method != "POST":
        return redirect("groups")
    form = NewForm(request.POST, label_suffix="")
    if form.is_valid():
        name = " ".join(form.cleaned_data["name"].split())
        try:
            administer.make_group(request.user.pk, name)
            response = redirect("group", name)
            response.status_code = 303
            return response
        except Refusal as refusal:
            form.add_error("name", refusal.message)
    return _index(request, form, status=422)


@page
@require_safe
def show(request: SignedIn, name: str) -> HttpResponse:
    """A group: its members, and what it holds on each thing that the viewer administers."""
    has = request.rights
    must(looks_on(has) or has.gives_rights)
    held = roster.held(name) if looks_on(has) else roster.held_for(name, has)
    there = roster.groups(name)
    if not there:
        raise Http404
    inside = roster.accounts(group=name)
    wide = roster.console_wide()
    context = {
        "group": there[0],
        "members": inside,
        "others": _others(name) if has.administers else [],
        "sections": list(_sections(held, wide)),
        "may": has.administers,
        "may_rights": has.gives_rights,
        "mine": any(account.id == request.user.pk for account in inside),
    }
    return render(request, "group.html", context)


def _others(group: str) -> list[str]:
    return [one.username for one in roster.accounts() if group not in one.groups and one.is_active]


def _sections(held: list[Held], wide: list[str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for kind, heading in _HEADINGS.items():
        rights = wide if kind == "all" else list(RIGHTS)
        lines = [
            _line(f"{kind}-{n}", one, rights) for n, one in enumerate(held) if one.kind == kind
        ]
        if lines:
            words = [WORDS[right] for right in rights]
            found.append({"id": kind, "heading": heading, "rights": words, "lines": lines})
    return found


def _line(id: str, one: Held, rights: list[str]) -> Line:
    title = title_of(one.name) if one.kind == "entry" else one.name or "The console"
    boxes = [(right, WORDS[right], right in one.held) for right in rights]
    return Line(id, one.kind, str(one.target or ""), title, " ".join(one.held), boxes)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def rights(request: SignedIn, name: str) -> HttpResponse:
    """Set what the group holds on one thing, if that is still what the page showed."""
    must(request.rights.gives_rights)
    given = request.POST
    target = id_of(given.get("target", ""))
    seen, wanted = given.get("seen", "").split(), given.getlist("right")
    kind, by = given.get("kind", ""), request.user.pk
    return press(
        request,
        reverse("group", args=[name]),
        lambda: administer.set_rights(by, name, kind, target, seen, wanted),
    )
