"""What something wide would hit, counted live beside its confirmation; and what hits oneself."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from actions import limits, prepare, reach, subjects
from actions.ask import Ask
from actions.catalogue._base import Action
from actions.errors import NotFound, SubjectRefused
from actions.subjects import Subject
from console import hop
from console.access import SignedIn, must, page
from console.forms import filled_in


def reach_of(subject: Subject) -> reach.Reach | None:
    """What something wide would hit, counted now; None for what needs nothing typed."""
    return reach.count(subject) if limits.wide_name(subject) else None


@page
@require_GET
def reach_now(request: SignedIn, draft_id: str) -> HttpResponse:
    """The count of what a draft would hit, as it is now: its page asks for it again and again."""
    try:
        draft = prepare.find(draft_id, lambda: request.user.pk)
    except NotFound:
        raise Http404 from None
    must(draft.action in request.rights.asks)
    subject = Subject(draft.subject_kind, draft.subject_name, draft.subject_rules)
    return render(request, "parts/reach.html", {"reach": reach_of(subject), "draft": draft})


def proposed(request: SignedIn, action: Action, typed: str) -> dict[str, object]:
    """The end that is proposed where a link asks for a ban of where whoever opens it works from."""
    try:
        subject = subjects.canonical(action.kind, typed)
    except SubjectRefused:
        return {}
    ask = Ask(action, subject, {}, "", "", "browser", address=hop.address(request.META))
    own = limits.own(ask, reach.seats_of(request.user.pk))
    return filled_in(action, {"for": limits.PROPOSED}) if own else {}
