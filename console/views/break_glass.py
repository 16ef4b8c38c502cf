"""Break-glass: open it with a reason, see who has it open and had, and close it."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from actions import break_glass
from actions.errors import ParamsRefused, Refusal
from console.access import SignedIn, must, page


@page
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: SignedIn) -> HttpResponse:
    """What is open and was, for admins and the sealed group; and for that group the way in.

    Opening it twice opens one: the second is led to the first.
    """
    sealed = break_glass.may_open(request.user.pk)
    admin = break_glass.has_right(request.user.pk, "administer")
    must(sealed or admin or request.rights.reads_log)
    error, status = "", 200
    if request.method == "POST":
        try:
            break_glass.open_it(request.user.pk, request.POST.get("reason", "")[:2000])
        except ParamsRefused as refusal:
            error, status = refusal.message, 422
        except Refusal as refusal:
            error, status = refusal.message, 403
        else:
            return _see()
    mine = break_glass.open_for(request.user.pk)
    context = {
        "sealed": sealed,
        "admin": admin,
        "mine": mine,
        "rows": break_glass.last(),
        "error": error,
    }
    return render(request, "break_glass.html", context, status=status)


def _see() -> HttpResponse:
    response = redirect("break-glass")
    response.status_code = 303
    return response


@page
@require_POST
def close(request: SignedIn, id: UUID) -> HttpResponse:
    """Close it early: whoever opened it, or an admin. Pressed twice, it is the same."""
    try:
        break_glass.close(id, request.user.pk)
    except Refusal:  # there is none, or none of theirs
        must(False)
    return _see()
