"""RabbitMQ, Redis and pgmq by BROKER_URL alone: they die emptied, repeat, and nothing is done twice."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.console_process import Console, eventually, running
from tests.faults.brokers import Broker, started
from tests.faults.test_keeper_killed import assert_brought_about, told
from tests.faults.test_worker_killed import effect_of, end_leases, ring

NETWORKS = (f"198.18.{n >> 8}.{n & 255}" for n in range(60_000, 65_000))
LEASE = 8
AGAIN_WITHIN = 60
"""Seconds in which workers find a broker again: kombu tries less and less often."""


class Served:
    """A whole console, with a keeper and a worker of its own, that has its broker by a URL alone."""

    def __init__(self, console: Console, broker: Broker) -> None:
        self.console, self.broker = console, broker

    @property
    def worker(self) -> psutil.Process:
        """The worker's main process, which takes messages for its pool."""
        return psutil.Process(self.console.state["children"]["worker_0"])

    def said(self) -> str:
        """What the worker logged."""
        return (self.console.home / "logs" / "worker_0.log").read_text()

    def ban(self) -> tuple[str, str]:
        """Ask for a ban; its ref and its network."""
        name = next(NETWORKS)
        return str(self.console.api().ban(name).json()["operation"]["ref"]), name

    def workers_of(self, ref: str) -> list[str]:
        """Who tried it, one after another."""
        return [attempt["worker"] for attempt in told(self.console, ref)["attempts"]]

    def done_by_a_worker(self) -> bool:
        """Whether a ban asked for now is carried out by a worker, and not left to the keeper."""
        ref, name = self.ban()
        assert_brought_about(self.console, ref, name)
        return [who.split()[0] for who in self.workers_of(ref)] == ["worker"]

    def await_workers(self) -> None:
        eventually(self.done_by_a_worker, AGAIN_WITHIN, "workers carry out what is asked")

    @contextlib.contextmanager
    def held_up(self) -> Iterator[tuple[str, str, int]]:
        """A ban in the middle of its call meanwhile: its ref and network, and the pool child's pid."""
        with self.console.database() as at, at.transaction():
            at.execute("LOCK TABLE blocklist_entry IN SHARE ROW EXCLUSIVE MODE")
            ref, name = self.ban()
            [who] = eventually(lambda: self.workers_of(ref), what="somebody takes it up")
            assert who.startswith("worker ")
            yield ref, name, int(who.split()[-1])


def env(broker: Broker) -> dict[str, str]:
    return {"BROKER_URL": broker.url, "LEASE_SECONDS": str(LEASE)}


@pytest.fixture(scope="module", params=["rabbitmq", "redis", "pgmq"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    home = tmp_path_factory.mktemp(request.param)
    with started(request.param, home) as broker, running(env(broker)) as console:
        broker.ready(console)
        served = Served(console, broker)
        served.await_workers()
        yield served


def test_workers_carry_out_one_ban_after_another(served: Served) -> None:
    assert [served.done_by_a_worker() for _ in range(5)] == [True] * 5


def test_a_broker_that_dies_and_comes_back_empty_delays_nothing_by_more_than_6_seconds(
    served: Served,
) -> None:
    console, worker, before = served.console, served.worker, len(served.said())
    asked = [served.ban()]
    with served.held_up() as (in_hand, name, _):
        worker.suspend()  # what is rung for now is lost with the broker
        asked += [(in_hand, name), served.ban(), served.ban()]
        served.broker.kill()
        worker.resume()
    lost = lambda: "Connection to broker lost" in served.said()[before:]  # noqa: E731
    eventually(lost, what="the worker sees that its broker is gone")
    asked += [served.ban(), served.ban()]
    for ref, name in asked:
        assert_brought_about(console, ref, name)
    assert served.workers_of(asked[-1][0])[0].startswith("keeper ")
    served.broker.restart()
    asked += [served.ban(), served.ban()]
    for ref, name in asked:
        assert_brought_about(console, ref, name)
    assert_tried_once_and_soon(console, [ref for ref, _ in asked])
    served.await_workers()
    assert served.worker == worker


def assert_tried_once_and_soon(console: Console, refs: list[str]) -> None:
    """Each was tried once, and over within 6 seconds of when it was asked for, on an idle machine."""
    rows = console.rows(
        "SELECT count(t.id), max(extract(epoch FROM t.ended_at - o.requested_at))"
        " FROM operation o JOIN effect e ON e.operation_id = o.id"
        " LEFT JOIN attempt t ON t.effect_id = e.id WHERE o.ref = ANY(%s) GROUP BY o.ref",
        refs,
    )
    assert [tries for tries, _ in rows] == [1] * len(refs)
    seconds = sorted(float(took) for _, took in rows)
    assert seconds[-1] < 5 + max(1, 10 * seconds[0])


def test_a_message_delivered_ten_times_does_it_once(served: Served) -> None:
    with served.console.keeper_halted():
        ref, name = served.ban()
        effect = effect_of(served.console, ref)
        ring(served.console, *[[effect]] * 10)
        assert_brought_about(served.console, ref, name)
        [who] = served.workers_of(ref)
        assert who.startswith("worker ")
    # Of the ten, some come after it is over; what is asked for next comes after all of them.
    served.await_workers()
    assert served.workers_of(ref) == [who]


def test_a_pool_child_killed_in_the_middle_of_a_call_is_relieved(served: Served) -> None:
    main = served.worker
    with served.held_up() as (ref, name, child):
        os.kill(child, signal.SIGKILL)
    end_leases(served.console)
    assert_brought_about(served.console, ref, name)
    served.await_workers()
    assert served.worker == main


def test_once_the_broker_and_every_worker_are_killed_effects_flow_within_the_lease_and_5_seconds(
    served: Served,
) -> None:
    console = served.console
    ordinary, _ = served.ban()
    console.api().settled(ordinary)
    with served.held_up() as (in_hand, name, _):
        asked = [(in_hand, name), served.ban()]
        killed = console.value("SELECT clock_timestamp()")
        served.broker.kill()
        for process in (*served.worker.children(recursive=True), served.worker):
            process.kill()
    asked += [served.ban(), served.ban()]
    for ref, name in asked:
        assert_brought_about(console, ref, name)
    took = (
        "SELECT max(extract(epoch FROM settled_at - %s))::float FROM operation WHERE ref = ANY(%s)"
    )
    asked_at = console.value("SELECT requested_at FROM operation WHERE ref = %s", ordinary)
    slack = max(1, 10 * console.value(took, asked_at, [ordinary]))
    assert console.value(took, killed, [ref for ref, _ in asked]) < LEASE + 5 + slack
    served.broker.restart()
    served.await_workers()
