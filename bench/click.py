"""How soon a click is in force: from sending the POST until the block list has the address."""

from __future__ import annotations

import random
import time
import uuid

from bench import load
from tests.console_process import Console

_LIST = "blocked-networks"
_PATIENCE = 30.0


def measure(console: Console, clicks: int) -> list[float]:
    """Seconds for each of `clicks` bans, sent one at a time to an idle console with one keeper."""
    port = int(console.state["port"])
    head = load.head(port, console.token)
    taken: list[float] = []
    names = [f"172.16.{n >> 8}.{n & 255}" for n in range(clicks + 3)]
    connection = load.connect(port)
    with console.database("auditor") as database:
        for name in names:
            # At no fixed distance from the keeper's sweeps.
            time.sleep(random.uniform(0.05, 0.25))
            begun = time.monotonic()
            status, body = load.ask(connection, load.post(head, f"bench-{uuid.uuid4().hex}", name))
            assert status == 201, (status, body)
            while not database.execute(
                "SELECT 1 FROM blocklist_entry WHERE list = %s AND network = %s::cidr AND blocked",
                [_LIST, name],
                prepare=True,
            ).fetchone():
                assert time.monotonic() - begun < _PATIENCE, f"{name} is not on the list"
                time.sleep(0.002)
            taken.append(time.monotonic() - begun)
    connection.close()
    missing = set(names) - set(console.api().listed(_LIST))
    assert not missing, f"{len(missing)} addresses are not on the list as it is served"
    return taken[3:]  # the first few connect, prepare and import
