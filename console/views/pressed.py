"""What a button under a key comes to: written, and back to the operation; or refused, and said why."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from actions import keys
from actions.answer import Answer
from actions.errors import NotRecorded, Refusal, Unauthenticated
from console import wording
from console.access import must
from console.views.errors import may_be_written

type Say = Callable[[int, wording.Outcome], HttpResponse]
"""Shows a status and what happened."""


def press(
    request: HttpRequest,
    ref: str,
    write: Callable[[str], Answer],
    say: Say,
    *,
    field: str = "key",
    already: str = "",
) -> HttpResponse:
    """Write under the key in `field`. With `already`, a press that changed nothing is told so under that."""
    may_be_written(request)
    try:
        told = write(keys.request_key(request.POST.get(field)))
    except NotRecorded as lost:
        return say(503, wording.refused(lost.code, lost.message))
    except Refusal as refusal:
        must(not isinstance(refusal, Unauthenticated) and refusal.code != "no_operation")
        return say(422, wording.refused("refused", refusal.message, refusal.code))
    if told.status >= 400:
        must(told.status != 404)
        return say(told.status, wording.refused(told.disposition, told.message, told.code))
    if already and not told.changed and not told.replayed:
        return say(200, wording.Outcome("same", already, [told.message]))
    response = redirect("operation", ref)
    response.status_code = 303
    return response


def alone(request: HttpRequest, ref: str) -> Say:
    """Says it on a page of its own, with the way back to the operation."""

    def say(status: int, banner: wording.Outcome) -> HttpResponse:
        back = reverse("operation", args=[ref])
        context = {"banner": banner, "back": back, "back_to": "Back to the operation"}
        return render(request, "told.html", context, status=status)

    return say
