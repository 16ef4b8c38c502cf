"""What must never be acted on, as far as a machine can find it: the console, and what it stands on."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
from django.conf import settings

from actions import adapters, protect, subjects
from actions.errors import NotFound, SubjectRefused
from actions.keyring import CannotOpen
from actions.models import Realm
from actions.protect import Found

_RESOLVERS = Path("/etc/resolv.conf")


def sync() -> tuple[int, int]:
    """Protect what is found on this machine now; how many were added and withdrawn."""
    return protect.sync(list(find()), machine())


def machine() -> str:
    """The name under which this machine's finds are kept."""
    return socket.gethostname()[:80]


def find() -> Iterator[Found]:
    """All that is found, networks in their canonical form; what cannot be resolved is left out."""
    for how, reason, hosts in _places():
        for host in hosts:
            yield from (Found("network", name, how, reason) for name in addresses(host))
    yield from _logins()


def addresses(host: str) -> Iterator[str]:
    """The networks that a host's name, address or network stands for; loopback is protected anyway."""
    try:
        yield subjects.canonical("network", host.partition("%")[0]).name
        return
    except SubjectRefused:
        pass
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return
    yield from sorted(subjects.canonical("network", address).name for address in found)


def _places() -> Iterator[tuple[str, str, list[str]]]:
    yield "its own addresses", "an address of the console itself", list(_own())
    database = str(settings.DATABASES["default"].get("HOST", ""))
    yield "its database", "the console's database", _hosts(database)
    yield "its broker", "the console's broker", _broker()
    yield "its resolvers", "a DNS resolver of the console", list(_resolvers())
    yield "its proxies", "the console's proxy", list(settings.TRUSTED_PROXIES)
    for realm in Realm.objects.filter(enabled=True):
        host = str(_settings(realm).get("host", ""))
        yield f"realm {realm.name}", f"the system behind {realm.title}", _hosts(host)


def _own() -> Iterator[str]:
    for held in psutil.net_if_addrs().values():
        for one in held:
            if one.family in {socket.AF_INET, socket.AF_INET6}:
                address = ipaddress.ip_address(one.address.partition("%")[0])
                if not (address.is_loopback or address.is_link_local):
                    yield str(address)


def _hosts(text: str) -> list[str]:
    """The hosts of a list such as libpq takes; a path is a socket of this machine."""
    return [host for host in text.split(",") if host and not host.startswith("/")]


def _broker() -> list[str]:
    try:
        kept = str(json.loads((settings.HOME / "broker.json").read_text()).get("url", ""))
    except (OSError, ValueError):
        kept = ""
    host = urlsplit(os.environ.get("BROKER_URL") or kept).hostname
    return [host] if host else []


def _resolvers() -> Iterator[str]:
    try:
        lines = _RESOLVERS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "nameserver" and rest.split():
            yield rest.split()[0]


def _settings(realm: Realm) -> dict[str, object]:
    return dict(realm.versions.get(number=realm.version).settings)


def _logins() -> Iterator[Found]:
    """The very logins that the console uses in its realms, by what they are called there."""
    for realm in Realm.objects.filter(enabled=True):
        try:
            user = adapters.connector(str(realm.id), realm.version).credentials.get("user", "")
        except (NotFound, CannotOpen, KeyError):
            continue
        for kind in ("account", "secret") if user else ():
            yield Found(
                kind, f"{realm.name}:{user}", f"realm {realm.name}", "the console's own login there"
            )
