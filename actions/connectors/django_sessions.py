"""Sessions of a Django application, in its own `django_session` table (PostgreSQL).

Settings: those of `sql_sessions` without the columns; `table` (django_session), `accounts` (Django's
auth_user) and `issued_key`: under which name the application keeps, in the session, when it began.
Django itself keeps no such moment, and that of the last save would let an old session that was saved
again pass for a new one. A session without it may be of any age, and goes with the old ones.

The data of a session is signed and not secret: it is read here without the application's key.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from psycopg import sql

from actions.connectors import sql_sessions
from actions.connectors._postgres import Connection

MOST = 1_000_000  # bytes that one session's data may unpack to

_LIVE = "SELECT session_key, session_data FROM {table} WHERE expire_date > clock_timestamp()"
_END = "DELETE FROM {table} WHERE session_key = ANY(%(keys)s)"
_ACCOUNTS: Mapping[str, object] = {"table": "auth_user", "id": "id", "name": "username"}


class DjangoSessions(sql_sessions.SqlSessions):
    name = "django_sessions"
    title = "Sessions of a Django application"
    already: ClassVar[Mapping[str, str]] = {
        "no row": "no session of the account that has not expired began before the cut-off",
    }

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        self.settings = {"table": "django_session", "accounts": _ACCOUNTS, **self.settings}

    def _end(self, at: Connection, account: str, before: datetime) -> int:
        theirs = self._of(at, account)
        old = [key for key, began in theirs if began is None or began < before]
        return at.execute(self._table(_END), {"keys": old}).rowcount if old else 0

    def _ages(self, at: Connection, account: str) -> sql_sessions.Ages:
        began = [began for _, began in self._of(at, account)]
        dated = [moment for moment in began if moment is not None]
        undated = len(dated) < len(began)
        return len(began), undated, min(dated, default=None), max(dated, default=None)

    def _of(self, at: Connection, account: str) -> list[tuple[str, datetime | None]]:
        """The account's sessions: their keys, and when each began."""
        return list(self._theirs(at.execute(self._table(_LIVE)).fetchall(), account))

    def _theirs(
        self, rows: list[tuple[str, str]], account: str
    ) -> Iterator[tuple[str, datetime | None]]:
        for key, data in rows:
            kept = unpacked(data)
            if str(kept.get("_auth_user_id")) == account:
                yield key, _moment(kept.get(str(self.settings["issued_key"])))

    def _table(self, form: str) -> sql.Composed:
        return sql.SQL(form).format(table=sql_sessions.identifier(self.settings["table"]))


def unpacked(data: str) -> Mapping[str, Any]:
    """What a session holds; nothing where it is not of the form that Django writes.

    `[.]BASE64:TIMESTAMP:SIGNATURE`, packed by zlib where it begins with a dot
    (`django.core.signing.dumps` with `compress`).
    """
    packed = data.partition(":")[0]
    text = packed.removeprefix(".")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if packed != text:
            raw = zlib.decompressobj().decompress(raw, MOST)
        kept = json.loads(raw)
    except (ValueError, zlib.error, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _moment(kept: object) -> datetime | None:
    """Seconds since 1970, or ISO 8601 with a zone; None for anything else."""
    try:
        if isinstance(kept, int | float) and not isinstance(kept, bool):
            return datetime.fromtimestamp(kept, UTC)
        found = datetime.fromisoformat(kept) if isinstance(kept, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return found if found is not None and found.tzinfo is not None else None
