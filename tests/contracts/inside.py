"""The console from inside: its domain called in this process, on a database where nothing runs.

What moves there, a test moved. Importing this module sets Django up, without a database.
"""

# ruff: noqa: E402 - Django is set up before what needs it is imported
from __future__ import annotations

import atexit
import contextlib
import copy
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

import django
import psycopg
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

django.setup()

from actions import deliver, issue, keys, subjects
from actions.ask import Ask, DraftGiven
from actions.issue import Answer, Who
from actions.registry import registry
from console import embedded
from console.roles import write_private
from tests.console_process import ROOMY, ROOT, Console, eventually

# No test reaches a database but through `Still.acting`.
connections.settings["default"].update(HOST="127.0.0.1", PORT="1", NAME="none", USER="nobody")

_mine = threading.local()


def ask(action: str, name: str, params: dict[str, object] | None = None, **more: Any) -> Ask:
    """A request on a network; `more` are fields of `Ask`."""
    given = {"key": uuid.uuid4().hex, "reason": "a test asks", "via": "api", **more}
    return Ask(
        action=registry.action(action),
        subject=subjects.canonical("network", name),
        params=params or {},
        **given,
    )


def ban(name: str, length: str = "24h", **more: Any) -> Ask:
    return ask("ban-network", name, {"for": length}, **more)


def lift(name: str, **more: Any) -> Ask:
    return ask("lift-ban", name, **more)


class Meanwhile:
    """Something done in a session of its own, at the same time."""

    def __init__(self, still: Still, role: str, do: Callable[[], Any]) -> None:
        self.still = still
        self.name = f"meanwhile {uuid.uuid4().hex[:8]}"
        self._came_to: list[Any] = []
        self._raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(role, do), daemon=True)
        self._thread.start()

    def _run(self, role: str, do: Callable[[], Any]) -> None:
        try:
            with self.still.acting(role, self.name):
                self._came_to.append(do())
        except BaseException as error:
            self._raised.append(error)
        finally:
            self.still.close()

    def until_it_waits(self) -> bool:
        """Return once it waits for a lock (True), or is through without (False)."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            " AND wait_event_type = 'Lock'"
        )

        def ask() -> str:
            if not self._thread.is_alive():
                return "through"
            return "waits" if self.still.value(waiting, self.name, role="superuser") else ""

        return eventually(ask, what="the second session waits or is through") == "waits"

    def result(self) -> Any:
        """What it came to; raises what it raised."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "the second session does not end"
        if self._raised:
            raise self._raised[0]
        return self._came_to[0]


class Still(Console):
    """A prepared database without web and keeper."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        if prepared := os.environ.get("STEADYHAND_PREPARED"):
            adopt(prepared, home)
        else:
            prepare(home)
        self._callers = dict(self.rows("SELECT username, id FROM caller"))

    @contextlib.contextmanager
    def acting(self, role: str, name: str = "") -> Iterator[DatabaseWrapper]:
        """This thread's Django connection is that of `role` meanwhile."""
        before = getattr(connections["default"], "for_tests", None) and connections["default"]
        connections["default"] = wrapper = self._connection(role, name)
        try:
            yield wrapper
        finally:
            connections["default"] = before or connections.create_connection("default")

    def _connection(self, role: str, name: str) -> DatabaseWrapper:
        held: dict[str, DatabaseWrapper] = _mine.__dict__.setdefault("held", {})
        if role not in held:
            settings = copy.deepcopy(connections.settings["default"])
            url = urlsplit(self.dsn(role))
            settings.update(
                HOST=url.hostname,
                PORT=str(url.port),
                NAME=url.path[1:],
                USER=url.username,
                PASSWORD=unquote(url.password or ""),
            )
            settings["OPTIONS"]["application_name"] = name or f"test {role}"
            held[role] = DatabaseWrapper(settings, "default")
            held[role].for_tests = True  # type: ignore[attr-defined]
        return held[role]

    def close(self) -> None:
        """Close this thread's connections."""
        for wrapper in _mine.__dict__.pop("held", {}).values():
            wrapper.close()

    def who(self, name: str = "ana") -> Who:
        """Who asks: somebody of the example world, or the runbook by its token."""
        if name != "runbook":
            return Who(caller=self._callers[name])
        digest = hashlib.sha256(self.token.encode()).digest()
        return Who(token_prefix=self.token.split("_")[1], token_digest=digest)

    def caller(self, name: str = "ana") -> uuid.UUID:
        return self._callers[name]

    def submit(self, asked: Ask, by: str = "ana") -> Answer:
        """Issue as the web process would."""
        with self.acting("web"):
            return issue.submit(self.who(by), asked)

    def deliver(self, operation: int) -> None:
        """Deliver every effect of an operation that is ready, once, as a worker would."""
        ready = "SELECT id FROM effect WHERE operation_id = %s AND state = 'ready' ORDER BY id"
        with self.acting("worker"):
            for (effect,) in self.rows(ready, operation):
                deliver.deliver(effect, "test")

    def made(self, asked: Ask, by: str = "ana") -> int:
        """The id of the operation that this request makes, delivered."""
        told = self.submit(asked, by)
        assert told.disposition == "created", told
        self.deliver(told.operation["id"])
        return int(told.operation["id"])

    def issued(self, asked: Ask, by: str = "ana") -> tuple[int, int]:
        """The ids of the operation that this request makes, not begun, and of its one effect."""
        told = self.submit(asked, by)
        assert told.disposition == "created", told
        operation = int(told.operation["id"])
        return operation, self.value("SELECT id FROM effect WHERE operation_id = %s", operation)

    def state(self, operation: int) -> str:
        return str(self.value("SELECT state FROM operation WHERE id = %s", operation))

    def effects(self, operation: int) -> list[str]:
        """The states of an operation's effects."""
        rows = self.rows("SELECT state FROM effect WHERE operation_id = %s ORDER BY id", operation)
        return [state for (state,) in rows]

    def meanwhile(self, role: str, do: Callable[[], Any]) -> Meanwhile:
        return Meanwhile(self, role, do)

    def listed(self, name: str) -> bool:
        """Whether the list blocks the network."""
        rows = self.rows("SELECT blocked FROM blocklist_entry WHERE network = %s::cidr", name)
        return bool(rows and rows[0][0])

    def draft(self, asked: Ask, by: str = "ana") -> DraftGiven:
        from actions import prepare as drafts

        with self.acting("web"):
            draft = drafts.prepare(self.who(by), asked).draft
            return drafts.ask_of(draft, "api").draft


def refused(at: psycopg.Connection, statement: str, *params: object) -> tuple[str, str]:
    """(SQLSTATE, name of the rule) of what the database says; ("", "") when it lets it through.

    Undone either way. One mapping, for a statement whose parameters have names, is taken as such.
    """
    named = params[0] if len(params) == 1 and isinstance(params[0], dict) else params
    try:
        with at.transaction(force_rollback=True):
            at.execute(statement, named or None)
            at.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        return error.sqlstate or "", error.diag.constraint_name or ""
    return "", ""


MAY_NOT = ("42501", "")
"""What `refused` says of somebody without the right."""


@contextlib.contextmanager
def tampering(still: Still, table: str, trigger: str) -> Iterator[psycopg.Connection]:
    """Somebody who owns the tables turns one guard off."""
    with still.database() as at:
        at.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        try:
            yield at
        finally:
            at.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def age(still: Still, operation: int, interval: str) -> None:
    """Make an operation older than it is."""
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute(
            "UPDATE operation SET requested_at = requested_at - %s::interval,"
            " approved_at = approved_at - %s::interval WHERE id = %s",
            [interval, interval, operation],
        )


@contextlib.contextmanager
def without_groups(still: Still, username: str) -> Iterator[None]:
    """A caller has no group, and so no right, meanwhile."""
    caller = still.caller(username)
    groups = still.rows("DELETE FROM caller_groups WHERE caller_id = %s RETURNING group_id", caller)
    try:
        yield
    finally:
        for (group,) in groups:
            with still.database() as at:
                at.execute(
                    "INSERT INTO caller_groups (caller_id, group_id) VALUES (%s, %s)",
                    [caller, group],
                )


def prepare(home: Path) -> None:
    """Make a cluster in `home`, migrated, with the example world."""
    embedded.make_home(home)
    embedded.start(home)
    env = {**os.environ, "STEADYHAND_HOME": str(home), "STEADYHAND_ROLE": "owner"}
    env["STEADYHAND_LIMITS"] = ROOMY
    done = subprocess.run(
        [sys.executable, "manage.py", "prepare"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    if done.returncode != 0:
        embedded.stop(home)
        raise RuntimeError(f"the database cannot be prepared:\n{done.stderr[-3000:]}")


def adopt(prepared: str, home: Path) -> None:
    """Start a copy of a cluster that `prepare` made, on a port of its own: others copy it too."""
    subprocess.run(["cp", "-a", prepared, str(home)], check=True)
    secret = json.loads((home / "postgres.json").read_text())
    write_private(home / "postgres.json", {"password": secret["password"]})
    embedded.start(home)


@functools.cache
def still() -> Still:
    """The one for this process, removed when it ends."""
    directory = Path(tempfile.mkdtemp(prefix="steadyhand-still-"))

    def remove() -> None:
        embedded.stop(directory / "home")
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)
    return Still(directory / "home")


def new_key() -> str:
    return keys.new_draft_id()
