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

from tests.chaos.bells import Bells, bells
from tests.console_process import Console, running
from tests.faults.world import CLASSES, LOADED, add_realm, downstream

LEASE, SETTLE = 6.0, 9.0
"""Seconds. Longer than a call (1 s); the settle time after the lease bounds how late a call may come.
Both leave room for a machine that others use too."""

ENVIRONMENT = {
    "KEEPERS": "2",
    "WORKERS": "1",
    "WORKER_PROCESSES": "2",
    "WEB_WORKERS": "2",
    "LEASE_SECONDS": str(LEASE),
    "DOWNSTREAM_SETTLE": str(SETTLE),
    "DOWNSTREAM_TIMEOUT": "1.5",
    **LOADED,
}


@dataclass(frozen=True)
class Scene:
    """The console, and per realm the directory in which its outside system keeps its ledger."""

    console: Console
    systems: Mapping[str, Path]
    bells: Bells | None = None

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
def scene(broker: str = "pgmq") -> Iterator[Scene]:
    """`broker`: pgmq (in the embedded PostgreSQL), rabbitmq, redis or none."""
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="steadyhand-chaos-"))
        systems = {realm: Path(made) / realm for realm in CLASSES}
        for directory in systems.values():
            directory.mkdir()
            stack.enter_context(downstream(directory))
        rings = stack.enter_context(bells(broker))
        console = stack.enter_context(running(ENVIRONMENT | {"BROKER_URL": rings.url}))
        rings.ready(console)
        console.rows("UPDATE realm SET enabled = false RETURNING id")
        for realm, directory in systems.items():
            add_realm(console, realm, f"down-{realm}", int((directory / "port").read_text()))
        yield Scene(console, systems, rings)
