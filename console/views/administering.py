"""What the pages that administer share: who may look, and how a pressed button is answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.http import HttpResponse
from django.shortcuts import redirect, render

from actions.administer import Done
from actions.errors import NotFound, Refusal
from actions.policy import Rights
from console import wording
from console.access import SignedIn, must
from console.views.errors import may_be_written

LOST_KEY = (
    "This form had lost what makes it safe to send twice. Nothing changed. Send it once more."
)
STALE = (
    "Somebody changed these rights after your page was opened, so yours were not written over theirs. "
    "Nothing changed. Look at what they are now, then change them."
)


def looks_on(has: Rights) -> bool:
    """Whether they may look at people, groups and tokens: who administers, and who reads the log."""
    return has.administers or has.reads_log


def press(request: SignedIn, back: str, deed: Callable[[], Done]) -> HttpResponse:
    """Do what a button says, and lead back to its page; what is not done is told.

    GET comes here after signing in anew, when the session was over: it does nothing.
    """
    if request.method != "POST":
        return redirect(back)
    may_be_written(request)
    try:
        done = deed()
    except NotFound:
        must(False)
        raise
    except Refusal as refusal:
        status = refusal.facts.get("status", 422)
        assert isinstance(status, int)
        return told(request, back, status, wording.refused("refused", refusal.message))
    if done is Done.STALE:
        return told(request, back, 409, wording.refused("stale", STALE))
    response = redirect(back)
    response.status_code = 303
    return response


def told(request: SignedIn, back: str, status: int, banner: wording.Outcome) -> HttpResponse:
    """A page that says what was not done, and leads back."""
    context = {"banner": banner, "back": back, "back_to": "Back"}
    return render(request, "told.html", context, status=status)


def new_key() -> str:
    """The id of what a form is to make, made with the form: sent twice, it makes one."""
    return str(uuid.uuid4())


def id_of(text: str) -> uuid.UUID | None:
    """The id that a form carried, or None when it is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
