"""Endpoints as an admin sets them up: their URLs and signing secrets sealed as realms' credentials are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from actions import log
from actions.channels import webhook
from actions.connectors import _http
from actions.connectors._http import NotSent, Reach
from actions.errors import NotFound, Refusal
from actions.heard import CHOSEN
from actions.keyring import KeyRing
from actions.models import Endpoint, EndpointSecret, Happening, Notice
from actions.realms import with_keys
from actions.states import NoticeState

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_What = EndpointSecret.What


def add(name: str, channel: str, url: str, kinds: Collection[str], reach: Reach) -> str:
    """A new endpoint; its signing secret, shown this once ("" where the channel signs nothing).

    Raises Refusal `bad_endpoint`, also where the URL is none that may be called.
    """
    if not _NAME.fullmatch(name):
        raise Refusal("bad_endpoint", "An endpoint's name is of a-z, 0-9 and -, such as soc-room.")
    if channel not in Endpoint.Channel.values:
        raise Refusal("bad_endpoint", f"A channel is one of {', '.join(Endpoint.Channel.values)}.")
    host = _host(url, reach)
    _refuse_other_kinds(kinds)
    with with_keys() as ring:
        if Endpoint.objects.filter(name=name).exists():
            raise Refusal("bad_endpoint", f"There is an endpoint {name} already.")
        made = Endpoint.objects.create(
            name=name, channel=channel, host=host, kinds=sorted(set(kinds))
        )
        _seal(ring, made, _What.URL, url)
        secret = webhook.new_secret() if channel == Endpoint.Channel.WEBHOOK else ""
        if secret:
            _seal(ring, made, _What.SIGNING, secret)
        log.append("endpoint.added", {"channel": channel, "endpoint": name, "host": host})
    return secret


def change(
    name: str,
    reach: Reach,
    *,
    url: str = "",
    kinds: Collection[str] | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is given; the rest stays. Raises NotFound `unknown_endpoint`, Refusal `bad_endpoint`."""
    host = _host(url, reach) if url else ""
    _refuse_other_kinds(kinds or ())
    with with_keys() as ring:
        held = _locked(name)
        if url:
            held.host = host
            EndpointSecret.objects.filter(
                endpoint=held, what=_What.URL, retired_at__isnull=True
            ).update(retired_at=Now())
            _seal(ring, held, _What.URL, url)
        if kinds is not None:
            held.kinds = sorted(set(kinds))
        if enabled is not None and enabled != held.enabled:
            held.enabled = enabled
            if enabled:
                held.added_at = timezone.now()  # it hears of what comes, not of what was
        held.save()
        told = {"enabled": held.enabled, "endpoint": name, "host": held.host, "kinds": held.kinds}
        log.append("endpoint.changed", told)


def rotate(name: str) -> str:
    """A second signing secret, shown this once: from now on both sign, until the older is retired.

    Raises NotFound, and Refusal `bad_endpoint` while there are two already.
    """
    with with_keys() as ring:
        held = _locked(name)
        if held.channel != Endpoint.Channel.WEBHOOK:
            raise Refusal("bad_endpoint", f"{name} signs nothing: it has its URL alone.")
        if _signing(held).count() > 1:
            raise Refusal(
                "bad_endpoint", f"{name} has two secrets already: retire the older first."
            )
        secret = webhook.new_secret()
        _seal(ring, held, _What.SIGNING, secret)
        log.append("endpoint.secret_added", {"endpoint": name})
    return secret


def retire(name: str) -> None:
    """The older of two signing secrets signs no more. Raises NotFound, Refusal `bad_endpoint`."""
    with with_keys():
        held = _locked(name)
        signing = list(_signing(held).order_by("number"))
        if len(signing) < 2:
            raise Refusal("bad_endpoint", f"{name} has no older secret to retire.")
        EndpointSecret.objects.filter(id=signing[0].id).update(retired_at=Now())
        log.append("endpoint.secret_retired", {"endpoint": name, "number": signing[0].number})


def test(name: str) -> None:
    """Have the keeper send a notice there that says nothing. Raises NotFound `unknown_endpoint`."""
    with with_keys():
        held = _locked(name)
        now = timezone.now()
        happening = Happening.objects.create(
            about=f"test/{name[:40]}/{now.timestamp():.6f}", kind="test", at=now, told=1
        )
        Notice.objects.create(
            happening=happening,
            endpoint=held,
            channel=held.channel,
            state=NoticeState.READY,
            run_at=now,
        )


def opened(ring: KeyRing, endpoint: Endpoint) -> tuple[str, list[str]]:
    """The URL, and the signing secrets in use, the newest first. Raises keyring.CannotOpen."""
    rows = EndpointSecret.objects.filter(endpoint=endpoint, retired_at__isnull=True)
    found: Mapping[str, list[str]] = {what: [] for what in _What.values}
    for row in rows.order_by("-number"):
        found[row.what].append(ring.open(row.key_id, bytes(row.sealed), row.context)["value"])
    return found[_What.URL][0], found[_What.SIGNING]


def _signing(endpoint: Endpoint) -> QuerySet[EndpointSecret]:
    return EndpointSecret.objects.filter(
        endpoint=endpoint, what=_What.SIGNING, retired_at__isnull=True
    )


def _host(url: str, reach: Reach) -> str:
    try:
        return _http.place_of(url, reach).host
    except NotSent as error:
        raise Refusal("bad_endpoint", f"{error} OUTBOUND_HOSTS names those that may.") from None


def _refuse_other_kinds(kinds: Collection[str]) -> None:
    if wrong := set(kinds) - set(CHOSEN):
        raise Refusal(
            "bad_endpoint",
            f"There is no kind {', '.join(sorted(wrong))}; there are {', '.join(CHOSEN)}.",
        )


def _locked(name: str) -> Endpoint:
    found = Endpoint.objects.select_for_update().filter(name=name).first()
    if found is None:
        raise NotFound("unknown_endpoint", f"There is no endpoint {name}.")
    return found


def _seal(ring: KeyRing, endpoint: Endpoint, what: str, value: str) -> None:
    last = EndpointSecret.objects.filter(endpoint=endpoint, what=what).aggregate(n=Max("number"))
    number = (last["n"] or 0) + 1
    row = EndpointSecret(endpoint=endpoint, what=what, number=number, slot=number % 2)
    row.key_id, row.sealed = ring.seal({"value": value}, row.context)
    row.save(force_insert=True)
