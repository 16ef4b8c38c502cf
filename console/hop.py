"""From which address a request comes: the peer's, or what the one proxy that is trusted says of it.

Whatever else forwards or pretends to: its headers are taken away before anybody reads them, for by
this address a ban is known to cut off who asks for it, and sign-ins are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings

type Address = IPv4Address | IPv6Address

_CLAIMS = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_REAL_IP",
    "HTTP_FORWARDED",
)
ADDRESS = "steadyhand.address"
PROXIED = "steadyhand.proxied"


def settle(environ: MutableMapping[str, Any]) -> None:
    """Note in `environ` where the request comes from, once, and take away what only claims to say so."""
    peer = _read(str(environ.get("REMOTE_ADDR", "")))
    claimed = str(environ.get("HTTP_X_FORWARDED_FOR", ""))
    proto = environ.get("HTTP_X_FORWARDED_PROTO")
    for claim in _CLAIMS:
        environ.pop(claim, None)
    trusted = peer is not None and any(peer in net for net in _proxies())
    environ[PROXIED] = trusted
    # The last one is what our proxy saw; all before it is what it was told.
    environ[ADDRESS] = _read(claimed.rpartition(",")[2].strip()) if trusted else peer
    if trusted and proto is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = proto


def address(meta: Mapping[str, Any]) -> Address | None:
    """Where a request comes from, out of its `META`; None where that cannot be told."""
    found: Address | None = meta.get(ADDRESS)
    return found


@lru_cache(maxsize=1)
def _proxies() -> tuple[Any, ...]:
    return tuple(ip_network(given) for given in settings.TRUSTED_PROXIES)


@lru_cache(maxsize=1024)
def _read(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if found.version == 6:
        return found.ipv4_mapped or found
    return found
