"""The log: append an event in the transaction of what it tells, or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection
from django.db.transaction import TransactionManagementError

from actions import keys


def append(kind: str, body: Mapping[str, object], operation: int | None = None) -> None:
    """Append one event; within an operation it takes the row's lock and its next number.

    `body` holds JSON values, never a secret. Raises TransactionManagementError outside a
    transaction: an event on its own could be written while what it tells is not.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("an event is appended in the transaction of what it tells")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT log_append(%s::bigint, %s::text, %s::text)",
            [operation, kind, keys.canonical(body).decode()],
        )
