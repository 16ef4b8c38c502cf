"""A console whose bans go to one downstream system of each redo class, and the systems' own ledger."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.console_process import ROOT, Console, eventually, running
from tests.faults.beside import keeper

CLASSES = ("natural", "keyed", "observed", "never")
LOADED = {"STEADYHAND_CONNECTORS": "tests.faults.systems"}
SHORT = {"LEASE_SECONDS": "3", **LOADED}
"""Longer than a call, and no longer."""

UNHURRIED = {"LEASE_SECONDS": "15", **LOADED}
"""For storms: a busy machine needs longer than a call for what comes before and after it."""

_REALM = """
WITH made AS (INSERT INTO realm (id, name, title, connector, version, enabled)
       VALUES (gen_random_uuid(), %s, %s, %s, 1, true) RETURNING id),
     set AS (INSERT INTO realm_version (realm_id, number, settings, created_at)
       SELECT id, 1, jsonb_build_object('realm', %s::text, 'port', %s::text), now() FROM made),
     may AS (INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)
       SELECT DISTINCT made.id, g.group_id, g.permission_id FROM made, realm_group_grant g)
SELECT id FROM made
"""


def add_realm(console: Console, name: str, connector: str, port: int) -> None:
    """A realm that everybody who may act in another may act in."""
    console.rows(_REALM, name, name, connector, name, str(port))


class World:
    """The console without a keeper, and its outside systems."""

    def __init__(self, console: Console, directory: Path) -> None:
        self.console = console
        self.directory = directory
        self.port = int((directory / "port").read_text())
        self._ledger = directory / "ledger"

    def add_realm(self, name: str, connector: str) -> None:
        add_realm(self.console, name, connector, self.port)

    def tell(self, realm: str, *words: str) -> None:
        """How the next calls in a realm go, readings included."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        line.request("POST", "/told", json.dumps({"realm": realm, "words": words}))
        assert line.getresponse().status == 200
        line.close()

    def ledger(self, name: str) -> Counter[str]:
        """How often each realm really changed something for a network."""
        lines = map(json.loads, self._ledger.read_text().splitlines())
        return Counter(line["realm"] for line in lines if line["subject"] == f"{name}/32")

    def ban(self, name: str, **more: Any) -> str:
        told = self.console.api().ban(name, **more).json()
        return str(told["operation"]["ref"])

    def states(self, ref: str) -> dict[str, str]:
        """The state of an operation's effect in each realm."""
        return dict(
            self.console.rows(
                "SELECT r.name, e.state FROM effect e JOIN realm r ON r.id = e.realm_id"
                " JOIN operation o ON o.id = e.operation_id WHERE o.ref = %s",
                ref,
            )
        )

    def attempts(self, ref: str, realm: str) -> list[tuple[Any, ...]]:
        """(number, outcome, late, was called) of every attempt in a realm."""
        return self.console.rows(
            "SELECT a.number, a.outcome, a.late, a.call_started_at IS NOT NULL FROM attempt a"
            " JOIN effect e ON e.id = a.effect_id JOIN realm r ON r.id = e.realm_id"
            " JOIN operation o ON o.id = e.operation_id WHERE o.ref = %s AND r.name = %s"
            " ORDER BY a.number",
            ref,
            realm,
        )

    def settled(self, ref: str, seconds: float = 60) -> dict[str, str]:
        """The states of its effects once nothing of it is under way."""
        still = {"ready", "executing", "in_doubt", "blocked"}
        return eventually(
            lambda: (found := self.states(ref)) and not still & set(found.values()) and found,
            seconds,
            f"{ref} settles: {self.states(ref)}",
        )

    @contextlib.contextmanager
    def keeper(self, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        with keeper(self.console.home, **{**SHORT, **env}) as process:
            yield process


@contextlib.contextmanager
def downstream(directory: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.faults.downstream", str(directory)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        eventually((directory / "port").exists, what="the downstream listens")
        yield
    finally:
        process.kill()
        process.wait(10)


@contextlib.contextmanager
def world(realms: dict[str, str]) -> Iterator[World]:
    """`realms`: name to connector. The console's own block list takes no part."""
    with (
        tempfile.TemporaryDirectory(prefix="steadyhand-downstream-") as made,
        downstream(Path(made)),
        running({"KEEPERS": "0", "BROKER_URL": "none", **LOADED}) as console,
    ):
        console.rows("UPDATE realm SET enabled = false RETURNING id")
        given = World(console, Path(made))
        for name, connector in realms.items():
            given.add_realm(name, connector)
        yield given
