"""What whoever is signed in may see: rights read once a request, and the decorators of the pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, cast

from django.contrib.auth.decorators import login_required
from django.db import DatabaseError, InterfaceError, connection
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache

from actions import break_glass
from actions.issue import Who
from actions.models import BreakGlass, Caller
from actions.policy import Rights, rights
from console import hop


class SignedIn(HttpRequest):
    """A request of somebody who is signed in."""

    user: Caller
    rights: Rights
    break_glass: BreakGlass | None


def rights_of(request: HttpRequest) -> Rights:
    """The rights of whoever is signed in, read once for this request."""
    found: Rights | None = getattr(request, "rights", None)
    if found is None:
        assert request.user.pk is not None
        found = rights(request.user.pk)
        request.rights = found  # type: ignore[attr-defined]  # declared by SignedIn
        # Read with them: a page that says that the database is lost must not ask it for this.
        request.break_glass = break_glass.open_for(request.user.pk)  # type: ignore[attr-defined]
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
        take_seat(request)
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
        "break_glass": getattr(request, "break_glass", None),
    }


def who(request: HttpRequest) -> Who:
    """Who asks at the pages, and from where."""
    return Who(caller=request.user.pk, address=hop.address(request.META))


_sat: dict[tuple[Any, hop.Address], float] = {}
_SIT_AGAIN = 60.0


def take_seat(request: HttpRequest) -> None:
    """Note, about once a minute, where somebody signed in works from: it is asked twice before a ban."""
    address = hop.address(request.META)
    if (
        address is None
        or time.monotonic() - _sat.get((request.user.pk, address), -1e9) < _SIT_AGAIN
    ):
        return
    if len(_sat) > 10_000:
        _sat.clear()
    # A page is shown even where nothing can be written down just now.
    with suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
        cursor.execute("SELECT take_seat(%s::uuid, %s::inet)", [request.user.pk, str(address)])
        _sat[request.user.pk, address] = time.monotonic()


def leave_seat(request: HttpRequest) -> None:
    """Somebody signed out there."""
    address = hop.address(request.META)
    if request.user.is_authenticated and address is not None:
        _sat.pop((request.user.pk, address), None)
        with connection.cursor() as cursor:
            cursor.execute("SELECT leave_seat(%s::uuid, %s::inet)", [request.user.pk, str(address)])
