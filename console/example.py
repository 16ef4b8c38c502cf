"""The example world: a payments database and application to act on, in a cluster of its own.

It lies in `example/` of the home: `realms.json` says how the console reaches it, `credentials.json`
how a user tries things there. A cluster of its own, for transactions left open in another database
of the console's cluster would keep the console's own rows from being cleaned up.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from console import embedded, limits, roles
from console.roles import DatabaseProblem

DATABASE = "payments"
MANAGERS = ("steadyhand_access", "steadyhand_sessions")
LOGINS = ("app_rw", "app_pay_a", "batch", "alice_admin", "bob_analyst")
STANDBY = "app_pay_b"
SECRETS = {"app_pay": ["app_pay_a", STANDBY]}
PROTECTED = ["batch"]

_SCHEMA = """
CREATE TABLE accounts (id bigint PRIMARY KEY, username text NOT NULL UNIQUE);
CREATE TABLE sessions (
  id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  account_id bigint NOT NULL REFERENCES accounts,
  issued_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON sessions (account_id, issued_at);
INSERT INTO accounts VALUES (1, 'alice'), (2, 'bob'), (3, 'carol'), (4, 'mallory');
INSERT INTO sessions (account_id, issued_at)
  SELECT a.id, now() - n * interval '7 minutes' FROM accounts a, generate_series(1, 3) n;
GRANT SELECT ON accounts, sessions TO app_rw, app_pay_a, app_pay_b, alice_admin, bob_analyst;
GRANT INSERT, DELETE ON sessions TO app_rw, app_pay_a, app_pay_b;
GRANT SELECT ON accounts, sessions TO steadyhand_sessions;
GRANT DELETE ON sessions TO steadyhand_sessions;
"""
_RIGHTS = """
ALTER ROLE steadyhand_access CREATEROLE;
GRANT pg_signal_backend, pg_read_all_stats TO steadyhand_access;
GRANT SET ON PARAMETER "steadyhand.access", "steadyhand.credential", "steadyhand.credential_version"
  TO steadyhand_access;
"""


@dataclass(frozen=True)
class Place:
    """A realm of the example: what the console's row of it says."""

    name: str
    title: str
    connector: str
    settings: Mapping[str, object]
    credentials: Mapping[str, str]


def start(home: Path, say: Callable[[str], None] = embedded.silent) -> None:
    """Start the example's cluster, making it if need be, and say in its files how it is reached.

    What goes wrong is told and no more: the console does its work without it.
    """
    place = home / "example"
    try:
        embedded.make_home(place)
        superuser = embedded.launch(place)
        port = urlsplit(superuser).port or 0
        # The passwords are written down first: a kill in between leaves none that nobody knows.
        passwords = _known(place).get("passwords") or _passwords()
        _write(place, port, passwords)
        _ensure(superuser, passwords)
    except (DatabaseProblem, psycopg.Error, OSError) as problem:
        say(f"the example world is not there: {problem}")


def stop(home: Path) -> None:
    """Stop the example's cluster."""
    embedded.stop(home / "example")


def places(home: Path) -> tuple[Place, ...]:
    """The realms of the example; none when it was not made here."""
    known = _known(home / "example")
    if not known:
        return ()
    where = {"host": "127.0.0.1", "port": known["port"], "dbname": DATABASE}
    access, sessions = ({"user": m, "password": known["passwords"][m]} for m in MANAGERS)
    tables = {
        "table": "sessions",
        "account_column": "account_id",
        "issued_column": "issued_at",
        "accounts": {"table": "accounts", "id": "id", "name": "username"},
    }
    return (
        Place(
            "payments-db",
            "Payments database",
            "postgres_role",
            {**where, "protected": PROTECTED, "secrets": SECRETS},
            access,
        ),
        Place(
            "payments-app", "Payments application", "sql_sessions", {**where, **tables}, sessions
        ),
    )


def _known(place: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((place / "realms.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _passwords() -> dict[str, str]:
    return {name: secrets.token_urlsafe(24) for name in (*MANAGERS, *LOGINS, STANDBY)}


def _write(place: Path, port: int, passwords: Mapping[str, str]) -> None:
    logins = {name: passwords[name] for name in LOGINS}
    told = {"host": "127.0.0.1", "port": port, "dbname": DATABASE, "accounts": logins}
    roles.write_private(place / "credentials.json", told)
    roles.write_private(place / "realms.json", {"port": port, "passwords": dict(passwords)})


def _ensure(superuser: str, passwords: Mapping[str, str]) -> None:
    """Make the roles, the database and its tables, unless they are there."""
    with limits.connect(superuser, autocommit=True) as at:
        found = at.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            at.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    with limits.connect(f"{superuser.rpartition('/')[0]}/{DATABASE}") as at:
        # In one transaction: the tables tell that all of it is there.
        if at.execute("SELECT to_regclass('public.sessions')").fetchone() != (None,):
            return
        for name, password in passwords.items():
            _make_role(at, name, password)
        at.execute(_RIGHTS.encode())
        at.execute(_SCHEMA.encode())


def _make_role(at: psycopg.Connection[Any], name: str, password: str) -> None:
    verifier = at.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    login = sql.SQL("NOLOGIN" if name == STANDBY else "LOGIN")
    role = sql.Identifier(name)
    at.execute(
        sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(role, login, sql.Literal(verifier.decode()))
    )
    if name not in MANAGERS:
        given = sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
        at.execute(given.format(role, sql.Identifier(MANAGERS[0])))
