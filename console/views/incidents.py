"""A page in the making."""

from django.http import HttpRequest, HttpResponse


def _later(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
    return HttpResponse(status=404)


index = show = new = run = live = board = find = _later
