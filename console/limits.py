"""How long the console waits for a database: for a line, an answer, a lock, and its own transactions.

Nothing here waits for ever, whoever asks: without these, a server that is gone, or one that holds
a lock, holds up whoever asked it for hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

LINE: Mapping[str, Any] = {
    "connect_timeout": 5,
    # What is sent and not acknowledged, in milliseconds; and, waiting for an answer, a server that
    # is gone without a word, which TCP alone would notice after two hours.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""For libpq: how a line to a server is given up."""

AT_WORK: Mapping[str, str] = {
    "statement_timeout": "15s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "15s",
    "transaction_timeout": "30s",
}
"""For the server, while people and systems wait: web, keepers, workers, auditors."""

SETTING_UP: Mapping[str, str] = {
    "statement_timeout": "15min",
    # Who waits for a lock on a table keeps everybody else waiting behind it.
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "1min",
    "transaction_timeout": "30min",
}
"""For the server, while tables are made and changed: a long table takes long to index."""

QUEUE: Mapping[str, str] = {
    # No reading of a queue may hold back what the whole server may clean up.
    "statement_timeout": "5s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "transaction_timeout": "10s",
}
"""For the broker's queues in PostgreSQL."""

_NEWER = ("transaction_timeout",)
_KNOWS_THEM = 170000


def as_options(limits: Mapping[str, str]) -> str:
    """The `options` of a connection that has them set from its beginning."""
    return " ".join(f"-c {name}={value}" for name, value in limits.items())


def connect(url: str, *, autocommit: bool = False, **more: Any) -> psycopg.Connection[Any]:
    """A connection for setting something up, within its limits, to a server of any version.

    Raises psycopg.OperationalError.
    """
    given = conninfo_to_dict(url).get("options") or ""
    options = f"{given} {as_options(known_everywhere(SETTING_UP))}".strip()
    connection = psycopg.connect(url, **LINE, options=options, autocommit=True, **more)
    limit(connection, SETTING_UP)
    connection.autocommit = autocommit
    return connection


def known_everywhere(limits: Mapping[str, str]) -> dict[str, str]:
    """Those that a server of any version knows: one that it does not know, it would not let us in with."""
    return {name: value for name, value in limits.items() if name not in _NEWER}


def limit(connection: psycopg.Connection[Any], limits: Mapping[str, str]) -> None:
    """Set what else its server knows, on a connection in autocommit."""
    if connection.info.server_version >= _KNOWS_THEM:
        for name in _NEWER:
            connection.execute("SELECT set_config(%s, %s, false)", [name, limits[name]])
