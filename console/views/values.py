"""The new value that an operation made: shown to who asked for it, and erased when they have it.

By POST alone: a value is in no address, no cache and no history of a browser.
"""

from __future__ import annotations

import logging
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from actions import history, values
from actions.errors import NotFound, Refusal
from actions.keyring import CannotOpen
from actions.registry import registry
from console.access import SignedIn, page

log = logging.getLogger(__name__)


@page
@require_POST
def show(request: SignedIn, ref: str) -> HttpResponse:
    """The value, if it is the viewer's to see and its time is not over."""
    told = history.by_ref(ref, request.rights.sees)
    if told is None:
        raise Http404
    try:
        made = values.show(ref, request.user.pk, "browser")
    except NotFound:
        return _none(request, ref, mine=told["requested_by_id"] == str(request.user.pk))
    except Refusal:
        return _part(request, ref, {"value": values.Offered("gone", None)}, 409)
    except CannotOpen as error:
        log.error("a made value cannot be opened: %s", error)
        said = "It is sealed under a key that this machine does not have."
        return _part(request, ref, {"message": said}, 409)
    version = registry.result(told["action"], told["effects"]).get("version")
    return _part(request, ref, {"made": made, "version": version})


@page
@require_POST
def acknowledge(request: SignedIn, ref: str) -> HttpResponse:
    """They have it: it is not shown again. Pressed twice, it is the same."""
    if history.by_ref(ref, request.rights.sees) is None:
        raise Http404
    try:
        values.acknowledge(ref, request.user.pk, "browser")
    except NotFound:
        raise Http404 from None
    return _part(request, ref, {"value": values.Offered("gone", None)})


def _none(request: SignedIn, ref: str, *, mine: bool) -> HttpResponse:
    """Nothing for the viewer: to who asked, not yet; to others, nothing that there is."""
    if not mine:
        raise Http404
    return _part(request, ref, {"message": "It is not made yet. Try again in a moment."}, 409)


def _part(request: SignedIn, ref: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    template = "parts/value.html" if getattr(request, "htmx", False) else "value.html"
    return render(request, template, {"ref": ref, **context}, status=status)
