"""Connectors at work: the instance for a realm at a version, and the call that an effect makes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import psycopg
from django.db import connection

from actions import keys
from actions.connectors._base import Call, Connector, Offer
from actions.models import Effect, Realm, RealmVersion
from actions.registry import registry


def _own_database() -> psycopg.Connection[Any]:
    """A connection of its own to the console's database, so that no call sits in our transaction."""
    params = connection.get_connection_params()
    wanted = ("host", "port", "user", "password", "dbname", "options", "connect_timeout")
    given = {name: params[name] for name in wanted if params.get(name) is not None}
    return psycopg.connect(**given, autocommit=True, application_name="steadyhand connector")


@lru_cache(maxsize=256)
def connector(realm: str, version: int) -> Connector:
    """The connector of a realm as its settings were at `version`; one per process."""
    settings = RealmVersion.objects.get(realm_id=realm, number=version).settings
    kind = registry.connector(Realm.objects.get(id=realm).connector)
    return kind(settings, _own_database)


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
    )
