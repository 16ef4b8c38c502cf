"""Say, on a new connection, that a ban did not cut oneself off: only then it stays."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from actions import history, keep
from actions.answer import Answer
from actions.standing import Facts
from console import proof, wording
from console.access import SignedIn, page, who
from console.views.deeds import new_key
from console.views.pressed import alone, press


@page
@require_http_methods(["GET", "HEAD", "POST"])
def keep_it(request: SignedIn, ref: str) -> HttpResponse:
    """GET leads along the chain to a new connection, and shows the button; POST keeps the ban."""
    told = history.by_ref(ref, request.rights.sees)
    if told is None:
        raise Http404
    answer = _press(request, told) if request.method == "POST" else _walk(request, told)
    return proof.closing(answer)


def _walk(request: SignedIn, told: Facts) -> HttpResponse:
    ref, me = told["ref"], request.user.pk
    if not proof.tells(request):
        return alone(request, ref)(409, wording.refused("refused", BEHIND_A_PROXY))
    own = told["requested_by_id"] == str(me)
    if told.get("kept_at"):
        return redirect("operation", ref)
    if no := keep.why_not(told, timezone.now(), own=own):
        said = wording.refused(no.disposition, no.message, no.code)
        return alone(request, ref)(no.status, said)
    given = request.GET.get("proof", "")
    if proof.whole(given, ref, me):
        context = {"ref": ref, "keep_by": wording.moment(told["keep_by"]), "proof": given}
        return render(request, "keep.html", {**context, "key": new_key(), "op": told})
    after = proof.link(ref, me, proof.read(given, ref, me))
    return redirect(f"{reverse('operation-keep', args=[ref])}?{urlencode({'proof': after})}")


BEHIND_A_PROXY = (
    "A proxy stands between you and this console, so it cannot tell a new connection from an old one. "
    "Somebody at another address can ask for the same ban; else it ends by itself. Nothing changed."
)


def _press(request: SignedIn, told: Facts) -> HttpResponse:
    ref, me = told["ref"], request.user.pk
    proven = proof.tells(request) and proof.whole(request.POST.get("proof", ""), ref, me)

    def write(key: str) -> Answer:
        return keep.keep(who(request), ref, key, "browser", proven=proven)

    return press(request, ref, write, alone(request, ref))
