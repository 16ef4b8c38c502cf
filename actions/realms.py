"""Realms as an admin sets them up: each change is a new version, its credentials sealed.

An effect keeps the version that it was planned at, so that what is in flight goes on as it began.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings as django_settings
from django.db import connection, transaction

from actions import keyring, log
from actions.errors import NotFound, Refusal
from actions.faults import point
from actions.keyring import REALMS, KeyRing
from actions.models import EndpointSecret, Realm, RealmSecret, RealmVersion
from actions.registry import registry

type Settings = Mapping[str, object]
type Credentials = Mapping[str, str]

# Names of accounts and secrets begin with it and a colon.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LOCK = 0x57EAD3


def context(version: RealmVersion) -> str:
    """What the credentials of that version are bound to."""
    return f"realm/{version.realm_id}@{version.number}"


def add(
    name: str, title: str, connector: str, settings: Settings, credentials: Credentials
) -> Realm:
    """A new realm, at version 1. Raises Refusal `bad_realm`, and what the database refuses."""
    if not _NAME.fullmatch(name):
        raise Refusal("bad_realm", "A realm's name is of a-z, 0-9 and -, such as payments-db.")
    if connector not in {kind.name for kind in registry.connectors()}:
        raise Refusal("bad_realm", f"There is no connector {connector}.")
    _refuse_open_secrets(settings)
    with with_keys() as ring:
        if Realm.objects.filter(name=name).exists():
            raise Refusal("bad_realm", f"There is a realm {name} already; change that.")
        realm = Realm.objects.create(name=name, title=title, connector=connector)
        _write(ring, realm, settings, credentials)
        log.append("realm.added", {"realm": name, "connector": connector, "version": 1})
    return realm


def change(
    name: str, settings: Settings | None = None, credentials: Credentials | None = None
) -> int:
    """A new version of a realm, from now on; what is not given stays. Returns its number.

    Raises NotFound `unknown_realm`, Refusal `bad_realm`, keyring.CannotOpen.
    """
    _refuse_open_secrets(settings or {})
    with with_keys() as ring:
        realm = Realm.objects.select_for_update().filter(name=name).first()
        if realm is None:
            raise NotFound("unknown_realm", f"There is no realm {name}.")
        last = RealmVersion.objects.get(realm=realm, number=realm.version)
        kept = _opened(ring, last) if credentials is None else credentials
        realm.version += 1
        realm.save(update_fields=["version"])
        _write(ring, realm, last.settings if settings is None else settings, kept)
        log.append("realm.changed", {"realm": name, "version": realm.version})
    return realm.version


def current(name: str) -> RealmVersion:
    """The newest version of a realm. Raises NotFound `unknown_realm`."""
    realm = Realm.objects.filter(name=name).first()
    if realm is None:
        raise NotFound("unknown_realm", f"There is no realm {name}.")
    return RealmVersion.objects.get(realm=realm, number=realm.version)


@dataclass(frozen=True, slots=True)
class Rotated:
    """What replacing the key came to; `unreadable` are versions that no key here opens."""

    key: str
    sealed: int
    unreadable: tuple[str, ...]


def rotate_keys(*, forget: bool = False) -> Rotated:
    """Seal all credentials under a new key, and forget the old ones.

    May be killed anywhere and run again: a ring of several keys is one that was being replaced, and
    is brought to its end under the key that is current already. Credentials that cannot be opened
    stop nothing, but keep their key on the ring unless told to `forget` it.
    """
    with with_keys() as held:
        ring = held if len(held.ids) > 1 else held.with_new_key()
        # Written before anything is sealed under it; the old keys go on opening.
        keyring.replace(django_settings.HOME, REALMS, ring)
    point("keys.added")
    sealed, unreadable = 0, []
    for table in (RealmSecret, EndpointSecret):
        rows = table.objects.exclude(key_id=ring.current)
        for row_id in rows.values_list("id", flat=True):
            if said := _reseal(table, row_id):
                unreadable.append(said)
            else:
                sealed += 1
            point("keys.resealed")
    with with_keys() as last:
        keyring.replace(django_settings.HOME, REALMS, last.only(set() if forget else _named()))
        log.append("realm.keys_rotated", {"key": ring.current, "unreadable": unreadable})
        point("keys.dropped")
    return Rotated(ring.current, sealed, tuple(unreadable))


def _named() -> set[str]:
    """The keys that something is sealed under."""
    tables = (RealmSecret, EndpointSecret)
    return {key for table in tables for key in table.objects.values_list("key_id", flat=True)}


def _reseal(table: type[RealmSecret | EndpointSecret], row_id: int) -> str:
    """Seal one anew; says which one when it cannot be opened."""
    with with_keys() as ring:
        row = table.objects.select_for_update().get(id=row_id)
        bound = row.context if isinstance(row, EndpointSecret) else context(row.version)
        try:
            opened = ring.open(row.key_id, bytes(row.sealed), bound)
        except keyring.CannotOpen:
            if isinstance(row, EndpointSecret):
                return f"{row.endpoint.name}'s {row.what}"
            return f"{row.version.realm.name} version {row.version.number}"
        row.key_id, row.sealed = ring.seal(opened, bound)
        row.save(update_fields=["key_id", "sealed"])
        return ""


@contextmanager
def with_keys() -> Iterator[KeyRing]:
    """A transaction with the ring as it is; nobody seals, or replaces the ring, at the same time.

    Else a row could be sealed under a key that has just been found to be needed no more.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield keyring.load(django_settings.HOME, REALMS)


def _write(ring: KeyRing, realm: Realm, settings: Settings, credentials: Credentials) -> None:
    version = RealmVersion.objects.create(
        realm=realm, number=realm.version, settings=dict(settings)
    )
    if credentials:
        key_id, sealed = ring.seal(credentials, context(version))
        RealmSecret.objects.create(version=version, key_id=key_id, sealed=sealed)


def _opened(ring: KeyRing, version: RealmVersion) -> Credentials:
    secret = RealmSecret.objects.filter(version=version).first()
    if secret is None:
        return {}
    return ring.open(secret.key_id, bytes(secret.sealed), context(version))


def _refuse_open_secrets(settings: Settings) -> None:
    """Settings are kept as they are, and shown: a password in them was meant for elsewhere."""
    if wrong := {"password", "user", "token", "secret"} & set(settings):
        raise Refusal("bad_realm", f"{', '.join(sorted(wrong))}: these are credentials.")
