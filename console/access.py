"""What whoever is signed in may see: rights read once a request, and the decorators of the pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache

from actions import break_glass
from actions.models import Caller
from actions.policy import Rights, rights


class SignedIn(HttpRequest):
    """A request of somebody who is signed in."""

    user: Caller
    rights: Rights


def rights_of(request: HttpRequest) -> Rights:
    """The rights of whoever is signed in, read once for this request."""
    found: Rights | None = getattr(request, "rights", None)
    if found is None:
        assert request.user.pk is not None
        found = rights(request.user.pk)
        request.rights = found  # type: ignore[attr-defined]  # declared by SignedIn
    return found


def page[**P](
    view: Callable[Concatenate[SignedIn, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """A page for people who are signed in, never kept by a browser or a proxy."""

    @never_cache
    @login_required
    @wraps(view)
    def guarded(request: Any, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        rights_of(request)
        return view(request, *args, **kwargs)

    return cast("Callable[Concatenate[HttpRequest, P], HttpResponseBase]", guarded)


def must(right: bool) -> None:
    """404 unless `right`: what somebody may not see does not exist for them."""
    if not right:
        raise Http404


def page_context(request: HttpRequest) -> dict[str, object]:
    """What every template needs to know of whoever is signed in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    has = rights_of(request)
    return {
        "can_read_log": has.reads_log,
        "can_ask": bool(has.asks),
        "can_look_on": has.administers or has.reads_log,
        "can_give_rights": has.gives_rights,
        "break_glass": break_glass.open_for(user.pk),
    }
