"""Pages for what went wrong, in words."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form did not carry the proof that it came from our page."""
    return render(request, "403.html", {"csrf": True}, status=403)
