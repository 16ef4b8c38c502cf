"""How often somebody may knock at a door: counted in the database, for all web processes together."""

from __future__ import annotations

from django.db import connection


def wait(scope: str, who: object) -> int:
    """Count one knock; 0 to come in, else how many seconds to wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT knock(%s::text, %s::text)", [scope, str(who)])
        row = cursor.fetchone()
    return int(row[0])


def came_in(scope: str, who: object) -> None:
    """Take the last knock back: only what fails is counted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT came_in(%s::text, %s::text)", [scope, str(who)])


def key_known(prefix: str, key: str) -> bool:
    """Whether this key, of whoever holds that token, led to an operation: such a repeat is told always."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT key_known(%s::text, %s::text)", [prefix, key])
        row = cursor.fetchone()
    return bool(row[0])
