"""A real console under test: `python -m console.run` on a home and a port of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psycopg

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = ("read", "lists", "incidents", "ask:ban-network", "ask:lift-ban")
"""The scopes of a token that may do whatever its caller may."""

ROOMY = (
    "person=1000000,token=100000000,console=100000000,api_read=10000000,"
    "api_write=10000000,bad_token=1000000"
)
"""Ceilings that no test reaches that does not mean to; what is counted is counted all the same."""


def eventually[T](ask: Callable[[], T], seconds: float = 20, what: str = "") -> T:
    """The first true value of `ask`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if value := ask():
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or ask}"
        time.sleep(0.02)


class Console:
    """A running console: its doors, its people, and its database as the owner sees it."""

    def __init__(self, home: Path, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.env = dict(env or {})
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> Console:
        env = {
            **os.environ,
            "STEADYHAND_HOME": str(self.home),
            "PORT": "0",
            "STEADYHAND_LIMITS": ROOMY,
        }
        env |= self.env
        if "LEASE_SECONDS" in self.env:  # shorter than a call may take
            env.setdefault("SILENCED_SYSTEM_CHECKS", "actions.E001")
        self.log = self.home.parent / f"{self.home.name}.out"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "console.run"],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.url = eventually(self._ready, 300, "the console is ready")
        return self

    def _ready(self) -> str:
        assert self.process is not None
        text = self.log.read_text()
        assert self.process.poll() is None, f"the console ended:\n{text}"
        return next((ln.split()[1] for ln in text.splitlines() if ln.startswith("ready ")), "")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    @property
    def credentials(self) -> dict[str, Any]:
        return json.loads((self.home / "credentials.json").read_text())

    @property
    def token(self) -> str:
        """The runbook's token."""
        return str(self.credentials["tokens"]["runbook"])

    @property
    def state(self) -> dict[str, Any]:
        """Process ids and port, as the run wrote them."""
        return json.loads((self.home / "run" / "state.json").read_text())

    def dsn(self, role: str = "owner") -> str:
        return str(json.loads((self.home / "database.json").read_text())[role])

    @contextlib.contextmanager
    def database(self, role: str = "owner", **options: Any) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.dsn(role), autocommit=True, **options) as connection:
            yield connection

    def rows(self, sql: str, *params: Any, role: str = "owner") -> list[tuple[Any, ...]]:
        with self.database(role) as connection:
            return connection.execute(sql, params).fetchall()

    def value(self, sql: str, *params: Any, role: str = "owner") -> Any:
        return self.rows(sql, *params, role=role)[0][0]

    def api(self, token: str | None = None) -> Api:
        return Api(self.url, self.token if token is None else token)

    def new_token(self, username: str, *scopes: str) -> str:
        """A token of its own for a caller, made as an owner of the database would."""
        code = (
            "import django; django.setup()\n"
            "from console.world import make_token\n"
            "from actions.models import Caller\n"
            f"c = Caller.objects.get(username={username!r})\n"
            f"print(make_token(c, Caller.objects.get(username='ana'), 'test', {list(scopes)!r}))\n"
        )
        return self.python(code).strip()

    def new_caller(
        self, username: str, *groups: str, kind: str = "service", scopes: Sequence[str] = EVERYTHING
    ) -> Api:
        """Somebody new in these groups, with a token of their own, as the database's owner adds them."""
        prefix = secrets.token_hex(6)
        token = f"sh_{prefix}_{secrets.token_urlsafe(32)}"
        with self.database() as connection:
            connection.execute(
                "INSERT INTO caller (id, username, kind, password, first_name, last_name, email,"
                " is_superuser, is_staff, is_active, date_joined)"
                " VALUES (gen_random_uuid(), %s, %s, '!', %s, '', '', false, false, true, now())",
                [username, kind, username.title()],
            )
            connection.execute(
                "INSERT INTO api_token (id, prefix, digest, name, caller_id, owner_id, scopes, created_at,"
                " expires_at) SELECT gen_random_uuid(), %s, %s, 'test', c.id, a.id, %s, now(),"
                " now() + interval '1 day' FROM caller c, caller a"
                " WHERE c.username = %s AND a.username = 'ana'",
                [prefix, hashlib.sha256(token.encode()).digest(), list(scopes), username],
            )
        for group in groups:
            self.join(username, group)
        return self.api(token)

    def set_password(self, username: str, password: str) -> None:
        """Give somebody a password, as the database's owner would."""
        self.python(
            "import django; django.setup()\n"
            "from actions.models import Caller\n"
            f"one = Caller.objects.get(username={username!r}); one.set_password({password!r}); one.save()\n"
        )

    def join(self, username: str, group: str) -> None:
        """Give somebody the rights of a group."""
        with self.database() as connection:
            connection.execute(
                "INSERT INTO caller_groups (caller_id, group_id) SELECT c.id, g.id"
                " FROM caller c, auth_group g WHERE c.username = %s AND g.name = %s",
                [username, group],
            )

    def leave(self, username: str, group: str) -> None:
        """Take the rights of a group from somebody."""
        with self.database() as connection:
            connection.execute(
                "DELETE FROM caller_groups USING caller c, auth_group g WHERE caller_id = c.id"
                " AND group_id = g.id AND c.username = %s AND g.name = %s",
                [username, group],
            )

    def rewrite(self, table: str, guard: str, change: str, *params: Any) -> None:
        """UPDATE what a trigger keeps from changing, as only the owner can: it is put aside meanwhile."""
        with self.database() as connection, connection.transaction():
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
            changed = connection.execute(f"UPDATE {table} SET {change}", params).rowcount
            connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}")
        assert changed == 1, f"{changed} rows of {table} were rewritten"

    def bring_on_the_end(self, ref: str) -> None:
        """The time of an operation is over, so that nobody has to wait for it."""
        guard, change = "operation_intent_never_changes", "ends_at = clock_timestamp()"
        self.rewrite("operation", guard, f"{change} WHERE ref = %s", ref)

    @contextlib.contextmanager
    def keeper_halted(self) -> Iterator[None]:
        """Nothing is delivered meanwhile: the keeper stands still, between two of its transactions."""
        pid = self.state["children"]["keeper_0"]
        eventually(lambda: self._halt(pid), what="the keeper stands still")
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _halt(self, pid: int) -> bool:
        os.kill(pid, signal.SIGSTOP)
        busy = self.value(
            "SELECT (SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'virtualxid' AND usename = 'steadyhand_worker')"
            " + (SELECT count(*) FROM effect WHERE state = 'executing')"
        )
        if busy:
            os.kill(pid, signal.SIGCONT)
        return not busy

    def python(self, code: str, role: str = "owner") -> str:
        """Run Python with Django set up on this console's database; what it printed."""
        env = {
            **os.environ,
            "STEADYHAND_HOME": str(self.home),
            "STEADYHAND_ROLE": role,
            "DJANGO_SETTINGS_MODULE": "console.settings",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class Api:
    """The HTTP API with one bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self.token = token
        self.http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    def ask(
        self,
        action: str,
        name: str,
        params: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        wait: float | None = None,
        if_match: int | None = None,
        reason: str = "a test asks",
        **more: Any,
    ) -> httpx.Response:
        """POST an operation on a network; `more` goes into the body (seen, again, incident)."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        if wait is not None:
            headers["Prefer"] = f"wait={wait:.0f}"
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        subject = {"kind": "network", "name": name}
        body = {"action": action, "subject": subject, "params": params or {}, "reason": reason}
        return self.http.post("/api/v1/operations", json={**body, **more}, headers=headers)

    def ban(self, name: str, length: str = "24h", **more: Any) -> httpx.Response:
        return self.ask("ban-network", name, {"for": length}, **more)

    def lift(self, name: str, **more: Any) -> httpx.Response:
        return self.ask("lift-ban", name, **more)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(f"/api/v1{path}", params=params)

    def settled(self, ref: str) -> dict[str, Any]:
        """The operation once it has settled."""

        def ask() -> dict[str, Any] | None:
            told = self.get(f"/operations/{ref}").json()
            return None if told["operation"]["state"] in {"approved", "running"} else told

        return eventually(ask, what=f"{ref} settles")

    def incident(self, title: str = "a test's incident") -> str:
        """A new incident's ref."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        made = self.http.post("/api/v1/incidents", json={"title": title}, headers=headers)
        return str(made.json()["incident"]["ref"])

    def listed(self, name: str = "blocked-networks") -> list[str]:
        return self.get(f"/lists/{name}.txt").text.splitlines()


class Browser:
    """A person at the pages, without JavaScript: cookies, forms and redirects only."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60, follow_redirects=False)
        page = self.http.get("/sign-in")
        self.submit("/sign-in", page.text, username=username, password=password)

    def submit(self, path: str, page: str, **fields: str) -> httpx.Response:
        """POST `fields` with the CSRF token of `page`."""
        mark = 'name="csrfmiddlewaretoken" value="'
        token = page.split(mark, 1)[1].split('"', 1)[0] if mark in page else ""
        return self.http.post(path, data={"csrfmiddlewaretoken": token, **fields})


@contextlib.contextmanager
def running(env: Mapping[str, str] | None = None) -> Iterator[Console]:
    """A console of its own, on a fresh home, stopped and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="steadyhand-test-") as directory:
        console = Console(Path(directory) / "home", env)
        try:
            yield console.start()
        finally:
            if console.process is not None and console.process.poll() is None:
                console.stop()
