"""A whole console under supervisord, and one outside system in a process of its own per redo class."""

from __future__ import annotations

import contextlib
import http.client
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.console_process import Console, running
from tests.faults.world import CLASSES, LOADED, add_realm, downstream

LEASE = 4.0
"""Seconds. Longer than a call (1 s); with the settle time (3 s) it bounds how late a call may come."""

ENVIRONMENT = {
    "KEEPERS": "2",
    "WORKERS": "1",
    "WORKER_PROCESSES": "2",
    "WEB_WORKERS": "2",
    "LEASE_SECONDS": str(LEASE),
    **LOADED,
}


@dataclass(frozen=True)
class Scene:
    """The console, and per realm the directory in which its outside system keeps its ledger."""

    console: Console
    systems: Mapping[str, Path]

    def tell(self, realm: str, words: Sequence[str]) -> None:
        """How the next calls in a realm go."""
        port = int((self.systems[realm] / "port").read_text())
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        line.request("POST", "/told", json.dumps({"realm": realm, "words": list(words)}))
        assert line.getresponse().status == 200
        line.close()

    def ledger(self) -> list[dict[str, Any]]:
        """Every change that was really made, in the order of each realm."""
        return [
            json.loads(line)
            for directory in self.systems.values()
            for line in (directory / "ledger").read_text().splitlines()
        ]


@contextlib.contextmanager
def scene(broker: str = "") -> Iterator[Scene]:
    """`broker`: as BROKER_URL; empty for pgmq in the embedded PostgreSQL."""
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="steadyhand-chaos-"))
        systems = {realm: Path(made) / realm for realm in CLASSES}
        for directory in systems.values():
            directory.mkdir()
            stack.enter_context(downstream(directory))
        env = ENVIRONMENT | ({"BROKER_URL": broker} if broker else {})
        console = stack.enter_context(running(env))
        console.rows("UPDATE realm SET enabled = false RETURNING id")
        for realm, directory in systems.items():
            add_realm(console, realm, f"down-{realm}", int((directory / "port").read_text()))
        yield Scene(console, systems)
