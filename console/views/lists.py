"""The block lists, as firewalls pull them."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from ninja import Router

from actions import blocklists
from actions.blocklists import BlockList
from actions.errors import NotFound, Refusal, Unauthenticated
from actions.models import Caller, Pull
from actions.policy import rights
from actions.subjects import Subject
from console import hop
from console.access import SignedIn, page
from console.api.auth import principal
from console.api.errors import of_refusal
from console.views.loading import load

router = Router(tags=["lists"])

# Named by its table, for `network` alone would be the column of texts, where 10 comes before 9.
_ENTRIES = (
    "SELECT e.network::text FROM blocklist_entry e"
    " WHERE e.list = %s AND e.blocked ORDER BY e.network"
)


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who takes a list: a caller by token or session, or an address of a listed network."""

    name: str
    caller: Caller | None


@router.get("/{name}.txt", summary="Pull a block list", response={200: str})
def pull(request: HttpRequest, name: str) -> HttpResponse:
    """Blocked networks, sorted, one a line. 503 when it cannot be known: keep what you have."""
    try:
        consumer = _consumer(request)
        return _serve(request, _of_a_realm(name, consumer), consumer)
    except Refusal as refusal:
        return of_refusal(refusal)
    except psycopg.Error:
        connection.close()  # Django has not seen this error, and would go on using a dead line.
        return _unknown()
    except DatabaseError:
        return _unknown()


def _consumer(request: HttpRequest) -> Consumer:
    if "Authorization" in request.headers:
        caller = principal(request, "lists").caller
        return Consumer(caller.username, caller)
    if request.user.is_authenticated:
        return Consumer(request.user.username, request.user)
    address = hop.address(request.META)
    if address and any(address in ipaddress.ip_network(net) for net in settings.LIST_NETWORKS):
        return Consumer(str(address), None)
    raise Unauthenticated(
        "unauthenticated", "Pull this list with a token that has the scope lists."
    )


def _of_a_realm(name: str, consumer: Consumer) -> str:
    """The list of that name, if its realm is theirs to see. A listed network is trusted with all."""
    if consumer.caller is not None:
        seen = blocklists.names(rights(consumer.caller.id).sees)
        if name not in seen:
            raise NotFound("no_list", "There is no such list.")
    return name


def _serve(request: HttpRequest, name: str, consumer: Consumer) -> HttpResponse:
    entries = _entries(name)
    # A firewall that takes an empty body for "no list" would go on with the old one, or worse.
    body = "".join(f"{entry}\n" for entry in entries) or "# no network is blocked\n"
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    Pull.objects.create(
        list=name,
        consumer=consumer.name,
        caller=consumer.caller,
        at=Now(),
        etag=etag.strip('"'),
        entries=len(entries),
    )
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="text/plain; charset=utf-8")
    response["ETag"] = etag
    response["Cache-Control"] = "no-cache"
    return response


def _entries(name: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM blocklist_name WHERE list = %s)", [name])
        if not cursor.fetchone()[0]:
            raise NotFound("no_list", "There is no such list.")
        cursor.execute(_ENTRIES, [name])
        return [Subject("network", row[0], 0).label for row in cursor.fetchall()]


def _unknown() -> HttpResponse:
    response = HttpResponse(
        "# the list cannot be known now; keep the one that you have\n",
        status=503,
        content_type="text/plain; charset=utf-8",
    )
    response["Retry-After"] = "5"
    return response


@page
@require_safe
def index(request: SignedIn) -> HttpResponse:
    """Every list with its first entries, and who pulls it."""
    found = load(lambda: blocklists.lists(request.rights.sees))
    shown = None if found is None else [_shown(request, one) for one in found]
    context = {"lists": shown, "most": blocklists.MOST, "as_of": timezone.now()}
    return render(request, "lists.html", context, status=503 if found is None else 200)


def _shown(request: HttpRequest, one: BlockList) -> dict[str, object]:
    path = reverse("list", args=[one.name])
    entries = [
        {
            "entry": entry,
            "label": Subject("network", entry.network, 0).label,
            "url": reverse("subject", args=["network", entry.network]),
        }
        for entry in one.entries
    ]
    return {
        "list": one,
        "entries": entries,
        "path": path,
        "url": request.build_absolute_uri(path),
        "behind": sum(not consumer.current for consumer in one.consumers),
    }
