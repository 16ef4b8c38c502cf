"""RabbitMQ and Redis by BROKER_URL alone: they ring, they may vanish, and nothing rests on them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.console_process import Console, eventually, running
from tests.faults.brokers import broker

NETWORKS = (f"198.18.{n >> 8}.{n & 255}" for n in range(60_000, 65_000))


def carried_out_by(console: Console, name: str) -> str:
    """Who brought a ban about, the only attempt at it: `worker` or `keeper`."""
    ref = console.api().ban(name).json()["operation"]["ref"]
    assert console.api().settled(ref)["operation"]["state"] == "succeeded"
    assert console.api().listed().count(name) == 1
    attempts = console.rows(
        "SELECT a.worker FROM attempt a JOIN effect e ON e.id = a.effect_id"
        " JOIN operation o ON o.id = e.operation_id WHERE o.ref = %s",
        ref,
    )
    assert len(attempts) == 1
    return str(attempts[0][0]).split()[0]


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_bans_are_carried_out_with_the_broker_without_it_and_with_it_again(kind: str) -> None:
    by: Callable[[], str] = lambda: carried_out_by(console, next(NETWORKS))  # noqa: E731
    with broker(kind) as server, running({"BROKER_URL": server.url}) as console:
        eventually(lambda: by() == "worker", 60, "workers listen")
        server.kill()
        assert [by() for _ in range(3)] == ["keeper"] * 3
        server.start()
        eventually(lambda: by() == "worker", 60, "workers listen again")
