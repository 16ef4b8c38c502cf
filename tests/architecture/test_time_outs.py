"""Nothing waits for ever: every connection that a process of ours opens is given up in time."""

from __future__ import annotations

import ast
import json
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from actions.connectors._postgres import Server
from console import limits
from tests.architecture.test_layers import FILES
from tests.console_process import Console
from tests.contracts.inside import Still

SERVER = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
)
LINE = ("connect_timeout", "tcp_user_timeout")
# Where a dead server would leave us waiting for an answer: it acknowledged all that we sent.
ALIVE = ("keepalives_idle", "keepalives_interval", "keepalives_count")

_TELL = """
import json
def tell(at):
    said = at.info.get_parameters()
    for name in {names}:
        said[name] = at.execute(
            "SELECT setting::bigint FROM pg_settings WHERE name = %s", [name]).fetchone()[0]
    print(json.dumps(said))
""".replace("{names}", repr(SERVER))
_PAGES = """
import django; django.setup()
from django.db import connection
connection.ensure_connection()
tell(connection.connection)
"""
_OWN = """
import django; django.setup()
from actions import database
tell(database.own_line("test"))
"""
_QUEUE = """
from console.celery import app
line = app.connection_for_write()
line.connect()
client = line.transport._get_pgmq_client()
with client.pool.connection() as at:
    tell(at)
"""
_SETS_UP = """
from console import limits, roles
from django.conf import settings
urls = roles.read_urls(settings.HOME)
tell(limits.connect(urls["owner"]))
"""
WAYS = {
    "web": ("web", _PAGES),
    "worker and keeper": ("worker", _PAGES),
    "auditor": ("auditor", _PAGES),
    "commands of the owner": ("owner", _PAGES),
    "a connector's own": ("worker", _OWN),
    "the queue": ("worker", _QUEUE),
    "what sets up": ("owner", _SETS_UP),
}
HALF_AN_HOUR = 1_800_000


def unbounded(said: dict[str, Any], *wanted: str) -> list[str]:
    """The limits that are not there, of a connection."""
    return [name for name in wanted if int(said.get(name) or 0) <= 0]


@pytest.mark.parametrize("way", WAYS)
def test_every_process_gives_up_in_time(console: Console, way: str) -> None:
    role, code = WAYS[way]
    said = json.loads(console.python(_TELL + code, role=role).splitlines()[-1])
    assert unbounded(said, *SERVER, *LINE, *ALIVE) == []
    longest = HALF_AN_HOUR if role == "owner" else 30_000
    assert max(said[name] for name in SERVER) <= longest


def test_a_line_to_an_outside_database_gives_up_in_time(still: Still) -> None:
    at = urlsplit(still.dsn("superuser"))
    settings = {"host": at.hostname, "port": at.port, "dbname": at.path[1:]}
    login = {"user": unquote(at.username or ""), "password": unquote(at.password or "")}
    with Server(settings, login).managing() as line:
        said = line.info.get_parameters()
        for name in SERVER:
            row = line.execute("SELECT setting FROM pg_settings WHERE name = %s", [name]).fetchone()
            said[name] = row[0] if row else ""
    # Whoever says nothing at all is hung up on, by a watch of its own.
    assert unbounded(said, *SERVER, *LINE) == []


def test_what_the_url_says_of_the_line_is_kept(console: Console, monkeypatch: Any) -> None:
    url = "postgresql://u:p@db.example/d?sslmode=verify-full&sslrootcert=/ca.pem&options=-c%20geqo%3Doff"
    monkeypatch.setenv("DATABASE_URL", url)
    shown = console.python(
        "import json; from django.conf import settings;"
        "print(json.dumps(settings.DATABASES['default']['OPTIONS']))"
    )
    options = json.loads(shown.splitlines()[-1])
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert "geqo=off" in options["options"] and "statement_timeout" in options["options"]


# Where a connection is opened without `limits.connect`, and why it is bounded all the same.
ALLOWED = {
    "console.limits": "it is the one that bounds",
    "actions.database": "with all parameters of the process's own line",
    "actions.connectors._postgres": "an outside system, with limits of its own",
    "console.pgmq": "with limits.LINE and limits.QUEUE in its address",
}


def test_no_connection_is_opened_in_another_way() -> None:
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            opens = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "connect"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "psycopg"
            )
            assert not opens or module in ALLOWED, f"{module} opens a line without limits"


def test_a_server_that_takes_our_line_and_says_nothing_is_given_up() -> None:
    import socket
    import time

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            limits.connect(f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/d")
        assert time.monotonic() - begun < 60, "not as long as TCP would"
