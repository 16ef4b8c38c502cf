"""Plain SQL on this thread's connection: prepared, typed, and clear about what a failure means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import IntegrityError, connection
from psycopg.rows import dict_row, tuple_row

from actions.bounded import Bounded

TRY_AGAIN = frozenset({"SH001", "SH004", "SH005", "40001", "40P01"})
"""Somebody else was first, a rule of approvals says no by now, it is protected since, a serialization
failure, a deadlock: nothing was written, look again."""


def one(sql: str, params: Mapping[str, object]) -> dict[str, Any]:
    """The single row of `sql`, by column name; `jsonb` comes as text, as Django sets connections up.

    Prepared on the server at its first use. Raises psycopg's errors, as they are.
    """
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection, row_factory=dict_row) as cursor:
        row = cursor.execute(sql, params, prepare=True).fetchone()
    assert row is not None
    return row


def every(sql: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
    """All rows of `sql`, by column name, prepared like `one`."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection, row_factory=dict_row) as cursor:
        return cursor.execute(sql, params, prepare=True).fetchall()


def rows(sql: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
    """Every row of `sql`, as `one` gives its own; not prepared."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection, row_factory=dict_row) as cursor:
        return cursor.execute(sql, params).fetchall()


def value(sql: str, params: Mapping[str, object]) -> Any:
    """The single value of `sql`, for statements that are run seldom."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(sql, params).fetchone()
    return row[0] if row else None


_OURS = ("server_side_binding", "prepare_threshold", "cursor_factory", "context")


def own_line(name: str) -> psycopg.Connection[Any]:
    """A connection of its own to the console's database, in autocommit, within the same limits."""
    params = connection.get_connection_params()
    given = {key: value for key, value in params.items() if key not in _OURS}
    return Bounded.connect(**{**given, "autocommit": True, "application_name": name})


def violated(error: IntegrityError) -> str | None:
    """The name of the constraint that was violated: which rule said no, never its text."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def dumps(value: object) -> str:
    """JSON text for a `jsonb` parameter; never for anything that is hashed."""
    return _ENCODER.encode(value)
