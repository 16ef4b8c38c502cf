"""A PostgreSQL server of its own, as an outside system that people use while they are acted on."""

from __future__ import annotations

import atexit
import functools
import itertools
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from actions.connectors._base import Call
from actions.connectors.postgres_role import PostgresRole
from actions.connectors.sql_sessions import SqlSessions
from console import embedded

MANAGER = "manager"
_numbers = itertools.count(1)


class Outside:
    """The server, with a management role that has just the rights that it needs."""

    def __init__(self, home: Path) -> None:
        embedded.make_home(home)
        self.home = home
        url = urlsplit(embedded.launch(home))
        self.port = url.port or 0
        self._superuser = (url.username or "", url.password or "")
        self.manager_password = secrets.token_urlsafe(12)
        verifier = self.verifier(MANAGER, self.manager_password)
        self.run(f"CREATE ROLE {MANAGER} LOGIN CREATEROLE PASSWORD '{verifier}'")
        self.run(f"GRANT pg_signal_backend, pg_read_all_stats TO {MANAGER}")
        self.run(
            'GRANT SET ON PARAMETER "steadyhand.access", "steadyhand.credential",'
            f' "steadyhand.credential_version" TO {MANAGER}'
        )

    def run(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        """What a superuser of that server does there."""
        with self.open(*self._superuser) as at:
            done = at.execute(statement.encode(), params or None)
            return done.fetchall() if done.description else []

    def verifier(self, user: str, password: str) -> str:
        with self.open(*self._superuser) as at:
            made = at.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
            return made.decode()

    def open(self, user: str, password: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname="postgres",
            user=user,
            password=password,
            autocommit=True,
        )

    def here(self) -> psycopg.Connection[Any]:
        """A database of the console: that its clock is this machine's is all that matters."""
        return self.open(*self._superuser)

    def lets_in(self, user: str, password: str) -> bool:
        try:
            self.open(user, password).close()
        except psycopg.OperationalError:
            return False
        return True

    def person(self, word: str = "app", *, login: bool = True, managed: bool = True) -> Person:
        """A new role that the management role may alter."""
        name = f"{word}_{next(_numbers)}"
        self.run(f"CREATE ROLE {name} {'LOGIN' if login else 'NOLOGIN'}")
        if managed:
            self.manage(name)
        return Person(self, name, secrets.token_urlsafe(12))

    def manage(self, name: str) -> None:
        self.run(f"GRANT {name} TO {MANAGER} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")

    def settings(self, **more: object) -> dict[str, object]:
        return {"host": "127.0.0.1", "port": self.port, "dbname": "postgres", **more}

    def roles(self, **settings: object) -> PostgresRole:
        given = {"user": MANAGER, "password": self.manager_password}
        return PostgresRole(self.settings(**settings), self.here, given)

    def application(self, table: str, **settings: object) -> SqlSessions:
        """The connector of an application that has accounts and sessions here."""
        self.run(f"CREATE TABLE {table}_accounts (id int PRIMARY KEY, username text)")
        self.run(f"CREATE TABLE {table} (id serial, account_id int, issued_at timestamptz)")
        self.run(f"GRANT SELECT ON {table}_accounts TO {MANAGER}")
        self.run(f"GRANT SELECT, DELETE ON {table} TO {MANAGER}")
        named = {
            "table": f"public.{table}",
            "account_column": "account_id",
            "issued_column": "issued_at",
            "accounts": {"table": f"{table}_accounts", "id": "id", "name": "username"},
        }
        given = {"user": MANAGER, "password": self.manager_password}
        return SqlSessions(self.settings(**named, **settings), self.here, given)

    def now(self) -> datetime:
        moment: datetime = self.run("SELECT clock_timestamp()")[0][0]
        return moment


class Person:
    """A role of the server, and who uses it."""

    def __init__(self, outside: Outside, name: str, password: str) -> None:
        self.outside, self.name, self.password = outside, name, password
        outside.run(f"ALTER ROLE {name} PASSWORD '{outside.verifier(name, password)}'")

    @property
    def oid(self) -> int:
        return int(self.outside.run("SELECT oid FROM pg_roles WHERE rolname = %s", self.name)[0][0])

    @property
    def subject(self) -> str:
        return f"db:#{self.oid}"

    def sign_in(self) -> psycopg.Connection[Any]:
        return self.outside.open(self.name, self.password)

    def gets_in(self) -> bool:
        return self.outside.lets_in(self.name, self.password)

    def stored(self) -> tuple[Any, ...]:
        """Everything that the server keeps of the role, its verifier included."""
        return self.outside.run(
            "SELECT a.*, r.rolconfig FROM pg_authid a JOIN pg_roles r USING (oid)"
            " WHERE a.rolname = %s",
            self.name,
        )[0]


def alive(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("SELECT")
    except psycopg.OperationalError:
        return False
    return True


def call(
    capability: str,
    subject: str,
    desired: Mapping[str, object],
    generation: int = 1,
    *,
    step: str = "",
    made: Mapping[str, str] | None = None,
    key: str = "",
) -> Call:
    kind = "secret" if capability == "credential.rotate" else "account"
    return Call(
        key=key or f"{capability}:{subject}@{generation}#{step}",
        generation=generation,
        capability=capability,
        kind=kind,
        subject=subject,
        desired=desired,
        step=step,
        made=made or {},
    )


def disable(subject: str, generation: int = 1, *, key: str = "") -> Call:
    return call("account.disable", subject, {"disabled": True}, generation, key=key)


def enable(subject: str, generation: int = 2) -> Call:
    return call("account.disable", subject, {"disabled": False}, generation)


def revoke(subject: str, before: datetime, generation: int = 1) -> Call:
    return call("session.revoke", subject, {"before": before.isoformat()}, generation)


@functools.cache
def outside() -> Outside:
    """The one for this process, removed when it ends."""
    directory = Path(tempfile.mkdtemp(prefix="steadyhand-outside-"))

    def remove() -> None:
        embedded.stop(directory / "home")
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)
    return Outside(directory / "home")
