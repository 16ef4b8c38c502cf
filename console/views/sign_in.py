"""The door: signing in, counted by name and address, and signing out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse

from console import access, hop, knocking


class SignIn(LoginView):
    """Sign in; who tries too often waits, and is told how long. The password is not looked at then.

    Counted before it is looked at, and taken back when it was right: tries at the same time count.
    """

    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        doors = _doors(request)
        waits = [knocking.wait(*door) for door in doors]
        if wait := max(waits):
            return self._later(wait)
        response = super().post(request, *args, **kwargs)
        if response.status_code == 302:
            for door in doors:
                knocking.came_in(*door)
        return response

    def _later(self, wait: int) -> HttpResponse:
        # Not bound to what was sent: a bound form would look at the password to show its errors.
        form = AuthenticationForm(self.request)
        context = self.get_context_data(form=form, wait=wait)
        response = self.render_to_response(context, status=429)
        response["Retry-After"] = str(wait)
        return response


def _doors(request: HttpRequest) -> list[tuple[str, str]]:
    address = hop.address(request.META)
    name = request.POST.get("username", "")[:150].strip().casefold()
    return [
        ("sign_in", f"{name} {address}"),
        ("sign_in_address", str(address)),
        ("sign_in_name", name),
    ]


class SignOut(LogoutView):
    """Sign out, and leave one's seat."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        access.leave_seat(request)
        return super().post(request, *args, **kwargs)
