"""Plain SQL on this thread's connection: prepared, typed, and clear about what a failure means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from django.db import IntegrityError, connection
from psycopg import Error as Error  # noqa: PLC0414 - others name it from here
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import dict_row, tuple_row

TRY_AGAIN = frozenset({"SH001", "40001", "40P01"})
"""Somebody else was first, a serialization failure, a deadlock: nothing was written, look again."""


def one(sql: str, params: Mapping[str, object]) -> dict[str, Any]:
    """The single row of `sql`, by column name; `jsonb` comes as text, as Django sets connections up.

    Prepared on the server at its first use. Parameters go as text, without a type: where PostgreSQL
    could not tell, `sql` casts them. Raises psycopg's errors, as they are.
    """
    connection.ensure_connection()
    line = connection.connection
    row = _called(line, sql, params) if line.autocommit else _in_transaction(line, sql, params)
    assert row is not None
    return row


def _in_transaction(
    line: psycopg.Connection[Any], sql: str, params: Mapping[str, object]
) -> dict[str, Any] | None:
    # psycopg's cursor begins the transaction where need be.
    with psycopg.Cursor(line, row_factory=dict_row) as cursor:
        return cursor.execute(sql, params, prepare=True).fetchone()


class _Statement(NamedTuple):
    name: bytes
    text: bytes
    params: tuple[str, ...]
    formats: tuple[PyFormat, ...]


_PARAM = re.compile(r"%\((\w+)\)s")
_prepared: WeakKeyDictionary[psycopg.Connection[Any], set[bytes]] = WeakKeyDictionary()


@cache
def _statement(sql: str) -> _Statement:
    """`sql` with its parameters numbered, under a name of its own."""
    params = tuple(dict.fromkeys(_PARAM.findall(sql)))
    text = _PARAM.sub(lambda match: f"${params.index(match[1]) + 1}", sql).replace("%%", "%")
    name = f"one {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return _Statement(name.encode(), text.encode(), params, (PyFormat.TEXT,) * len(params))


def _called(
    line: psycopg.Connection[Any], sql: str, params: Mapping[str, object]
) -> dict[str, Any] | None:
    # libpq is called directly: psycopg's cursor takes 65 to 250 µs of Python a call, this 30; a
    # request makes two.
    statement = _statement(sql)
    prepared = _prepared.setdefault(line, set())
    if statement.name not in prepared:
        _checked(line.pgconn.prepare(statement.name, statement.text))
        prepared.add(statement.name)
    adapt = Transformer(line)
    values = adapt.dump_sequence([params[name] for name in statement.params], statement.formats)
    result = line.pgconn.exec_prepared(statement.name, values)  # type: ignore[arg-type]  # None is null
    if result.error_field(DiagnosticField.SQLSTATE) == b"26000":
        # psycopg drops all that is prepared when a transaction of its own was rolled back.
        _checked(line.pgconn.prepare(statement.name, statement.text))
        result = line.pgconn.exec_prepared(statement.name, values)  # type: ignore[arg-type]
    _checked(result)
    if not result.ntuples:
        return None
    adapt.set_pgresult(result)
    names = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
    return dict(zip(names, adapt.load_row(0, tuple) or (), strict=True))


def _checked(result: PGresult) -> PGresult:
    if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        return result
    error = error_from_result(result)
    if error.sqlstate is None:
        # The server did not say this: the line to it is lost.
        raise psycopg.OperationalError(str(error))
    raise error


def value(sql: str, params: Mapping[str, object]) -> Any:
    """The single value of `sql`, for statements that are run seldom."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(sql, params).fetchone()
    return row[0] if row else None


def violated(error: IntegrityError) -> str | None:
    """The name of the constraint that was violated: which rule said no, never its text."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
