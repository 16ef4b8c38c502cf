"""The logins that the console's processes use, and the file in which each finds its own.

`database.json` holds one URL per role, mode 600. It is the only copy of their passwords: machines
that share a database share this file too, or each would set the others' passwords anew.
"""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import LiteralString
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from console import limits

OWNER = "steadyhand_owner"
WEB = "steadyhand_web"
WORKER = "steadyhand_worker"
AUDITOR = "steadyhand_auditor"
LOGINS: Mapping[str, str] = {"web": WEB, "worker": WORKER, "auditor": AUDITOR}

OLDEST_SERVER = 180000
_LOCK = 0x57EAD1


class DatabaseProblem(Exception):
    """Why there is no database to work on, in words for whoever started the console."""


def read_urls(home: Path) -> dict[str, str]:
    """The URLs of `database.json`, or none while there is no such file."""
    try:
        found: dict[str, str] = json.loads((home / "database.json").read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise DatabaseProblem(f"{home / 'database.json'} is not JSON; move it away") from None
    return found


def write_private(path: Path, content: object) -> None:
    """Replace `path` with `content` as JSON, mode 600, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


def with_login(url: str, role: str, password: str) -> str:
    """`url` with another login: hosts, database and parameters stay."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return parts._replace(
        netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{hosts}"
    ).geturl()


def known_or_new(url: str | None, role: str) -> str:
    """The password in `url` if it is that role's, else a new one."""
    parts = urlsplit(url or "")
    return (parts.password if parts.username == role else None) or secrets.token_urlsafe(32)


def adopt_given(home: Path, given: str) -> dict[str, str]:
    """Use the database at `given` (DATABASE_URL): see to the logins there, write `database.json`.

    Its role must own the database and be allowed to CREATE ROLE; the server must be 18 or later.
    """
    urls = {"owner": given, **ensure_logins(given, read_urls(home))}
    write_private(home / "database.json", urls)
    return urls


def ensure_logins(admin_url: str, known: Mapping[str, str]) -> dict[str, str]:
    """Let web, worker and auditor log in to the database of `admin_url`, and nobody else.

    `known` are URLs of an earlier start; a password in them is kept, and set anew only where it
    no longer opens the door. Returns role name to URL. Tables are granted by a migration.
    """
    urls = {
        name: with_login(admin_url, role, known_or_new(known.get(name), role))
        for name, role in LOGINS.items()
    }
    try:
        with limits.connect(admin_url) as connection:
            _require_version(connection)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            for name, role in LOGINS.items():
                ensure_login(connection, role, urls[name])
            _close_to_others(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseProblem(
            f"the role of DATABASE_URL must own its database and may CREATE ROLE: {error}"
        ) from error
    except psycopg.Error as error:
        raise DatabaseProblem(f"the database cannot be used: {error}") from error
    return urls


def ensure_login(connection: psycopg.Connection, role: str, url: str) -> None:
    """Make `role` able to log in with the password in `url`, leaving it alone if it can."""
    exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    if exists is not None and opens(url):
        return
    # A verifier made here keeps the password out of the server's log, whatever it logs.
    password = urlsplit(url).password or ""
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    form: LiteralString = "CREATE ROLE {} LOGIN PASSWORD {}"
    if exists is not None:
        form = "ALTER ROLE {} LOGIN PASSWORD {}"
    connection.execute(sql.SQL(form).format(sql.Identifier(role), sql.Literal(verifier)))


def opens(url: str) -> bool:
    try:
        limits.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _require_version(connection: psycopg.Connection) -> None:
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise DatabaseProblem(
            f"DATABASE_URL is PostgreSQL {version // 10000}; the console needs 18 or later"
        )


def _close_to_others(connection: psycopg.Connection) -> None:
    database = sql.Identifier(connection.info.dbname)
    logins = sql.SQL(", ").join(map(sql.Identifier, LOGINS.values()))
    forms: tuple[LiteralString, ...] = (
        "REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC",
        "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {logins}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC, {logins}",
    )
    for form in forms:
        connection.execute(sql.SQL(form).format(database=database, logins=logins))
