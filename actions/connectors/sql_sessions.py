"""Sessions that an application keeps in a table of a PostgreSQL database, one row each.

Settings: host, port, dbname, sslmode?, sslrootcert?, table, account_column, issued_column (of type
timestamptz), and, to find accounts by name, accounts: {table, id, name}. Tables may be
`schema.table`. Credentials: user, password of a role that may SELECT and DELETE those rows.
An account is `REALM:#ID`, by the text of `account_column`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import psycopg
from psycopg import sql

from actions.connectors._base import Call, Connector, Facts, Named, Offer, Redo, Unreadable
from actions.connectors._postgres import (
    CALL_SECONDS,
    Connection,
    Server,
    Told,
    answer_to,
    local_part,
    moment,
    none_older,
    offset,
    sessions,
    sessions_in_words,
)
from actions.outcomes import Applied, Found, Outcome

# A row without a moment may be of any age: it goes too, and cannot be judged while it is there.
_END = (
    "DELETE FROM {table} WHERE {account} = %(id)s AND ({issued} < %(before)s OR {issued} IS NULL)"
)
_LOOK = """
SELECT count(*), coalesce(bool_or({issued} IS NULL), false), min({issued}), max({issued})
  FROM {table} WHERE {account} = %(id)s
"""
_FIND = "SELECT {id}::text, {name} FROM {table} WHERE {name} = %(label)s"


type Ages = tuple[int, bool, datetime | None, datetime | None]
"""How many sessions, whether any is without a moment, the oldest moment, and the newest."""


class SqlSessions(Connector):
    name = "sql_sessions"
    title = "Sessions in a database table"
    names: ClassVar[frozenset[str]] = frozenset({"account"})
    offers: ClassVar[Mapping[str, Offer]] = {
        "session.revoke": Offer(
            Redo.NATURAL, settle=2 * CALL_SECONDS, timeout=4 * CALL_SECONDS, verify=2
        )
    }
    already: ClassVar[Mapping[str, str]] = {
        "no row": "the table holds no row of the account that was issued before the cut-off",
    }

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self._server = Server(self.settings, self.credentials)

    def apply(self, call: Call) -> Outcome:
        try:
            before = moment(call.desired["before"])
            with self._server.managing() as at:
                before += offset(at, self.database)
                ended = self._end(at, _id(call.subject), before)
        except Told as told:
            return told.outcome
        except psycopg.Error as error:
            return answer_to(error)
        if not ended:
            return Applied(Found.SO_ALREADY, "There was no session from before the cut-off.")
        return Applied(Found.CHANGED, f"{ended} session{'s' if ended > 1 else ''} ended")

    def read(self, capability: str, kind: str, subject: str) -> Facts:
        try:
            with self._server.managing() as at:
                ahead = offset(at, self.database)
                count, undated, oldest, newest = self._ages(at, _id(subject))
        except Told as told:
            raise Unreadable(told.outcome.message) from None
        except psycopg.Error as error:
            raise Unreadable(answer_to(error).message) from None
        if undated:
            raise Unreadable("A session there does not say when it began.")
        return sessions(count, oldest, newest, ahead)

    def _end(self, at: Connection, account: str, before: datetime) -> int:
        """End what the account opened before a moment of that server's clock; how many."""
        return at.execute(self._form(_END), {"id": account, "before": before}).rowcount

    def _ages(self, at: Connection, account: str) -> Ages:
        row = at.execute(self._form(_LOOK), {"id": account}).fetchone()
        return row or (0, False, None, None)

    @classmethod
    def agrees(cls, capability: str, facts: Facts, desired: Mapping[str, object]) -> bool:
        return none_older(facts, desired)

    @classmethod
    def words(cls, capability: str, facts: Facts) -> str:
        return sessions_in_words(facts)

    def find(self, kind: str, label: str) -> Named | None:
        accounts = self.settings.get("accounts")
        if not isinstance(accounts, dict):
            raise Unreadable("The settings name no table of accounts.")
        names = {part: identifier(accounts[part]) for part in ("table", "id", "name")}
        try:
            with self._server.managing() as at:
                row = at.execute(sql.SQL(_FIND).format(**names), {"label": label}).fetchone()
        except Told as told:
            raise Unreadable(told.outcome.message) from None
        except psycopg.Error as error:
            raise Unreadable(answer_to(error).message) from None
        return Named(*row) if row else None

    def _form(self, form: str) -> sql.Composed:
        return sql.SQL(form).format(
            table=identifier(self.settings["table"]),
            account=identifier(self.settings["account_column"]),
            issued=identifier(self.settings["issued_column"]),
        )


def identifier(name: object) -> sql.Identifier:
    """The name of a table or column, `schema.table` in its parts."""
    return sql.Identifier(*str(name).split("."))


def _id(subject: str) -> str:
    return local_part(subject).removeprefix("#")
