"""Where the console's broker is: pgmq in the embedded PostgreSQL, the one of BROKER_URL, or none.

`broker.json` holds its URL, mode 600, for keepers and workers; web has no use for it. The broker
has a database and a role of its own, because kombu makes queues as it goes and must own them.
"""

import json
import os
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from pgmq.install import PGMQInstallError, install_pgmq_from_sql
from psycopg import sql

from console import limits, roles
from console.one_run import Problem
from console.roles import DatabaseProblem

NAME = "steadyhand_broker"
FILE = "broker.json"
NONE, EMBEDDED = "none", "embedded"
SCHEMES = ("amqp", "amqps", "redis", "rediss", "pgmq", "postgresql", "postgres")


def given() -> str:
    """BROKER_URL, if it is set: a URL, "none" or "embedded". Raises `Problem` for anything else."""
    url = os.environ.get("BROKER_URL", "").strip()
    if url not in ("", NONE, EMBEDDED) and urlsplit(url).scheme not in SCHEMES:
        # Not the URL itself: it may hold a password.
        raise Problem(f"BROKER_URL is {NONE} or {EMBEDDED}, or begins with {':, '.join(SCHEMES)}:")
    if url == EMBEDDED and os.environ.get("DATABASE_URL"):
        raise Problem("with DATABASE_URL there is no embedded broker; set BROKER_URL to another")
    return url


def adopt(home: Path, superuser: str | None, *, wanted: bool) -> bool:
    """Say in `broker.json` where the broker is, setting up the embedded one; False when there is none.

    `superuser` is the URL of the embedded cluster's, where there is one. `wanted` is whether workers
    of ours listen: nobody from elsewhere reaches the embedded broker, so else nobody would hear it.
    """
    url = given()
    if superuser and (url == EMBEDDED or (wanted and not url)):
        url = _ensure(superuser, _known(home))
    url = "" if url == NONE else url
    if _known(home) != url or not (home / FILE).exists():
        roles.write_private(home / FILE, {"url": url})
    return bool(url)


def _known(home: Path) -> str:
    try:
        return str(json.loads((home / FILE).read_text())["url"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ""


def _ensure(superuser: str, known: str) -> str:
    """The embedded broker's URL, once its role, database and schema are there."""
    base = roles.with_login(superuser, NAME, roles.known_or_new(known, NAME))
    # A role's password is tried where every role may connect: the database may not be there yet.
    url = f"{base.rpartition('/')[0]}/{NAME}"
    try:
        with limits.connect(superuser, autocommit=True) as connection:
            roles.ensure_login(connection, NAME, base)
            _ensure_database(connection)
        with limits.connect(url) as connection:
            if connection.execute("SELECT to_regclass('pgmq.meta')").fetchone() == (None,):
                install_pgmq_from_sql(conn=connection)
    except (psycopg.Error, PGMQInstallError) as error:
        raise DatabaseProblem(f"the embedded broker cannot be set up: {error}") from error
    return urlsplit(url)._replace(scheme="pgmq").geturl()


def _ensure_database(connection: psycopg.Connection) -> None:
    name = sql.Identifier(NAME)
    found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [NAME])
    if found.fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for setting, value in limits.QUEUE.items():
        form: LiteralString = "ALTER ROLE {} SET {} = {}"
        connection.execute(sql.SQL(form).format(name, sql.Identifier(setting), sql.Literal(value)))
