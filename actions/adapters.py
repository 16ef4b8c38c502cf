"""Connectors at work: the instance for a realm at a version, and the call that an effect makes."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection

from actions import keyring, keys, made
from actions.bounded import Bounded
from actions.connectors._base import Call, Connector, Offer
from actions.models import Effect, Realm, RealmSecret, RealmVersion
from actions.outcomes import Seen
from actions.registry import registry

log = logging.getLogger(__name__)

_WANTED = (
    *("host", "port", "user", "password", "dbname", "options"),
    *("connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval"),
)


class _AtWork(threading.local):
    """A thread's own connectors: what holds a line open is not for two threads at once."""

    def __init__(self) -> None:
        self.by_version: dict[tuple[str, int], Connector] = {}


_at_work = _AtWork()


def _own_database(given: Mapping[str, Any]) -> psycopg.Connection[Any]:
    """A connection of its own to the console's database, so that no call sits in our transaction."""
    return Bounded.connect(**given, autocommit=True, application_name="steadyhand connector")


def connector(realm: str, version: int) -> Connector:
    """The connector of a realm as its settings and credentials were at `version`; one per thread.

    Raises keyring.CannotOpen when the credentials cannot be opened here.
    """
    at = (realm, version)
    held = _at_work.by_version
    if at not in held:
        params = connection.get_connection_params()
        given = {name: params[name] for name in _WANTED if params.get(name) is not None}
        kind = registry.connector(Realm.objects.get(id=realm).connector)
        row = RealmVersion.objects.get(realm_id=realm, number=version)
        held[at] = kind(row.settings, partial(_own_database, given), _credentials(row))
    return held[at]


def _credentials(version: RealmVersion) -> dict[str, str]:
    try:
        return _opened(version)
    except keyring.CannotOpen:
        # Its key may have been replaced, and dropped, between our reading of the row and of the ring.
        return _opened(version)


def _opened(version: RealmVersion) -> dict[str, str]:
    secret = RealmSecret.objects.filter(version=version).first()
    if secret is None:
        return {}
    ring = keyring.load(settings.HOME, keyring.REALMS)
    context = f"realm/{version.realm_id}@{version.number}"
    return ring.open(secret.key_id, bytes(secret.sealed), context)


def offer(effect: Effect) -> Offer:
    """What the effect's connector promises of the capability that it uses."""
    return registry.connector(effect.realm.connector).offers[effect.capability]


def call_of(effect: Effect) -> Call:
    """What the effect asks of its realm, the same for every attempt."""
    subject, operation = effect.subject, effect.operation
    key = keys.operation_key(operation.action, subject.kind, subject.name, operation.generation)
    return Call(
        key=keys.effect_key(key, str(effect.realm_id), effect.step),
        generation=effect.generation,
        capability=effect.capability,
        kind=subject.kind,
        subject=subject.name,
        desired=effect.desired,
        step=effect.step,
        made=made.of(operation) if offer(effect).makes else {},
    )


def observe(effect: Effect) -> Seen:
    """Whether it is as asked now, read within the time that one call may take.

    Read on a thread of its own: a connector that does not come back would hold up the whole sweep. It
    is given up, with its connector, which may still be in use there.
    """
    bound = offer(effect).timeout
    came: SimpleQueue[Seen] = SimpleQueue()
    try:
        at_work, call = connector(str(effect.realm_id), effect.realm_version), call_of(effect)
        reader = threading.Thread(target=_observe, args=(at_work, call, came), daemon=True)
        reader.start()
        return came.get(timeout=bound)
    except Empty:
        log.warning("reading effect %s took longer than %s s", effect.pk, bound)
        _at_work.by_version.pop((str(effect.realm_id), effect.realm_version), None)
    except Exception as error:
        log.warning("reading effect %s: %s", effect.pk, where(error))
    return Seen.UNREADABLE


def _observe(at_work: Connector, call: Call, came: SimpleQueue[Seen]) -> None:
    try:
        came.put(at_work.observe(call))
    except Exception as error:
        log.warning("reading %s: %s", call.key, where(error))
        came.put(Seen.UNREADABLE)


def where(error: BaseException) -> str:
    """What kind of error it is and where it came from. Never its text: that may quote a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{at}"
