"""Celery's workers die, stand still, or are rung wrongly: everything ends, once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.console_process import Console, eventually, running
from tests.faults.beside import keeper, pool_children, worker
from tests.faults.test_keeper_killed import (
    POINTS,
    assert_brought_about,
    late_and_on_time,
    stands_still_as,
    told,
)


@pytest.fixture(scope="module")
def unstaffed() -> Iterator[Console]:
    """A console with its broker, but without keeper and worker: the tests start their own."""
    with running({"KEEPERS": "0", "WORKERS": "0", "BROKER_URL": "embedded"}) as console:
        yield console


@pytest.fixture
def once(tmp_path: Path) -> Path:
    """Made by the first process that dies or halts, so that no other does."""
    return tmp_path / "once"


def broker(console: Console) -> psycopg.Connection[tuple[object, ...]]:
    url = json.loads((console.home / "broker.json").read_text())["url"]
    return psycopg.connect(url.replace("pgmq://", "postgresql://"), autocommit=True)


def waiting_messages(console: Console) -> int:
    with broker(console) as at:
        return int(str(at.execute("SELECT count(*) FROM pgmq.q_steadyhand").fetchone()[0]))


@contextlib.contextmanager
def ringing(console: Console) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper whose bell is warm: before that, it delivers by itself."""
    before = sent(console)
    with keeper(console.home) as it:
        eventually(lambda: sent(console) > before, 30, "the keeper rings")
        yield it


def sent(console: Console) -> int:
    """How many messages were ever sent."""
    with broker(console) as at:
        if at.execute("SELECT to_regclass('pgmq.q_steadyhand')").fetchone() == (None,):
            return 0
        sql = "SELECT last_value - 1 + is_called::int FROM pgmq.q_steadyhand_msg_id_seq"
        return int(str(at.execute(sql).fetchone()[0]))


def end_leases(console: Console) -> None:
    """The time of whoever holds an effect is over, so that nobody has to wait for it."""
    with console.database() as at:
        at.execute(
            "UPDATE effect SET lease_until = clock_timestamp() - interval '1 s'"
            " WHERE state = 'executing'"
        )


def ring(console: Console, *messages: object) -> None:
    """Publish messages as a keeper would, but with anything in them."""
    code = (
        "from console import celery\n"
        "from actions.tasks import deliver\n"
        f"for message in {list(messages)!r}:\n"
        "    deliver.delay(message)\n"
        "celery.app.pool.force_close_all()"
    )
    console.python(code, role="worker")


def effect_of(console: Console, ref: str) -> int:
    sql = "SELECT e.id FROM effect e JOIN operation o ON o.id = e.operation_id WHERE o.ref = %s"
    return int(console.value(sql, ref))


@pytest.mark.parametrize("point", POINTS)
def test_a_pool_child_that_dies_delivering_is_relieved(
    unstaffed: Console, network: str, point: str, once: Path
) -> None:
    crash = {"CRASH_AT": f"deliver.{point}", "CRASH_ONCE": str(once)}
    with worker(unstaffed.home, **crash), ringing(unstaffed):
        made = unstaffed.api().ban(network).json()["operation"]
        eventually(once.exists, what="the pool child dies")
        end_leases(unstaffed)
        assert_brought_about(unstaffed, made["ref"], network)
    attempts = told(unstaffed, made["ref"])["attempts"]
    again = point in {"claimed", "before_call"}
    assert len(attempts) == (2 if again else 1)
    if point != "before_claim":
        assert attempts[0]["worker"].startswith("worker")


def test_a_pool_child_halted_past_its_lease_records_on_its_own_attempt_only(
    unstaffed: Console, network: str, once: Path
) -> None:
    halt = {"PAUSE_AT": "deliver.before_call", "CRASH_ONCE": str(once)}
    with worker(unstaffed.home, **halt) as halted, ringing(unstaffed):
        made = unstaffed.api().ban(network).json()["operation"]
        child = eventually(lambda: [c for c in pool_children(halted) if stands_still_as(c)])[0]
        end_leases(unstaffed)
        assert_brought_about(unstaffed, made["ref"], network)
        settled = unstaffed.api().settled(made["ref"])["operation"]
        os.kill(child, signal.SIGCONT)
        first, second = late_and_on_time(unstaffed, made["ref"])
    assert (first["outcome"], first["late"]) == ("applied", True)
    assert (second["outcome"], second["late"]) == ("applied", False)
    assert unstaffed.api().settled(made["ref"])["operation"] == settled


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_effect_in_hand_is_finished_when_the_worker_ends(
    unstaffed: Console, network: str, once: Path, number: signal.Signals
) -> None:
    """Also by a child that a thread of the worker's forked, in the place of one that was killed."""
    halt = {"PAUSE_AT": "deliver.before_call", "CRASH_ONCE": str(once)}
    with ringing(unstaffed), worker(unstaffed.home, **halt) as ending:
        first = pool_children(ending)[0]
        os.kill(first, signal.SIGKILL)
        eventually(lambda: [c for c in pool_children(ending) if c != first], what="another child")
        made = unstaffed.api().ban(network).json()["operation"]
        child = eventually(lambda: [c for c in pool_children(ending) if stands_still_as(c)])[0]
        ending.send_signal(number)
        if number == signal.SIGKILL:
            ending.wait(10)
        else:
            eventually(lambda: pending(child), what="the thread that made the child has ended")
        os.kill(child, signal.SIGCONT)
        assert_brought_about(unstaffed, made["ref"], network)
        assert ending.wait(20) == (0 if number == signal.SIGTERM else -number)
    attempts = told(unstaffed, made["ref"])["attempts"]
    assert [(a["outcome"], a["late"]) for a in attempts] == [("applied", False)]


def test_a_worker_whose_child_was_killed_while_it_waited_goes_on_with_another(
    unstaffed: Console, fresh_network: Callable[[], str]
) -> None:
    """It dies holding the lock of the queue that it waits at."""

    def by_the_worker() -> bool:
        name = fresh_network()
        made = unstaffed.api().ban(name).json()["operation"]
        assert_brought_about(unstaffed, made["ref"], name)
        return bool(told(unstaffed, made["ref"])["attempts"][0]["worker"].startswith("worker"))

    with ringing(unstaffed), worker(unstaffed.home) as it:
        for _ in range(2):
            eventually(by_the_worker, 60, "the worker takes something up")
            waiting = pool_children(it)
            os.kill(waiting[0], signal.SIGKILL)
            eventually(lambda: set(pool_children(it)) - set(waiting), what="another child")
        eventually(by_the_worker, 60, "the worker takes something up again")


def pending(pid: int) -> bool:
    """Whether a signal waits for the process to go on."""
    status = Path(f"/proc/{pid}/status").read_text()
    return any(
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith("ShdPnd")
    )


def test_without_any_worker_and_with_the_queue_emptied_effects_flow_within_6_seconds(
    unstaffed: Console, fresh_network: Callable[[], str]
) -> None:
    names = [fresh_network() for _ in range(3)]
    with ringing(unstaffed):
        with worker(unstaffed.home) as dying:
            warm = unstaffed.api().ban(names[0]).json()["operation"]
            assert_brought_about(unstaffed, warm["ref"], names[0])
            os.killpg(dying.pid, signal.SIGKILL)
        lost = unstaffed.api().ban(names[1]).json()["operation"]
        eventually(lambda: waiting_messages(unstaffed), what="the keeper rings")
        with broker(unstaffed) as at:
            at.execute("SELECT pgmq.purge_queue('steadyhand')")
        unheard = unstaffed.api().ban(names[2]).json()["operation"]
        for made, name in ((lost, names[1]), (unheard, names[2])):
            assert_brought_about(unstaffed, made["ref"], name)
            [attempt] = told(unstaffed, made["ref"])["attempts"]
            assert attempt["worker"].startswith("keeper")
    late = unstaffed.value(
        "SELECT max(extract(epoch FROM t.claimed_at - o.requested_at)) FROM attempt t"
        " JOIN effect e ON e.id = t.effect_id JOIN operation o ON o.id = e.operation_id"
        " WHERE o.ref = ANY(%s)",
        [lost["ref"], unheard["ref"]],
    )
    # 5 s, and a sweep: under 6 on a machine that has time.
    assert 4.9 < late < 10


def test_a_message_ten_times_over_and_one_for_what_is_over_do_it_once(
    unstaffed: Console, network: str
) -> None:
    made = unstaffed.api().ban(network).json()["operation"]
    effect = effect_of(unstaffed, made["ref"])
    with worker(unstaffed.home):
        ring(unstaffed, *[[effect]] * 10, [effect] * 10)
        assert_brought_about(unstaffed, made["ref"], network)
        ring(unstaffed, [effect])
        eventually(lambda: waiting_messages(unstaffed) == 0, what="all messages are taken")
    assert len(told(unstaffed, made["ref"])["attempts"]) == 1
    assert_brought_about(unstaffed, made["ref"], network)


def test_a_message_that_makes_no_sense_harms_nobody(unstaffed: Console, network: str) -> None:
    made = unstaffed.api().ban(network).json()["operation"]
    effect = effect_of(unstaffed, made["ref"])
    nonsense = ["x", None, {"a": 1}, [True], [str(effect)], [[effect]], [1.0], list(range(101))]
    unknown = [[-1], [10**30], [987654321]]
    with worker(unstaffed.home):
        ring(unstaffed, *nonsense, *unknown)
        eventually(lambda: waiting_messages(unstaffed) == 0, what="all messages are taken")
        assert told(unstaffed, made["ref"])["attempts"] == []
        # Unknown ones keep nobody from what stands beside them.
        ring(unstaffed, [987654321, effect])
        assert_brought_about(unstaffed, made["ref"], network)
    log = (unstaffed.home / "beside-worker.log").read_text()
    assert "Traceback" not in log.rpartition("no list of ids")[2]


def test_with_a_broker_that_never_answers_the_keeper_delivers_at_once_and_says_so_once(
    unstaffed: Console, fresh_network: Callable[[], str], tmp_path: Path
) -> None:
    log = unstaffed.home / "beside-worker.log"
    before = log.stat().st_size if log.exists() else 0
    for url in ("amqp://127.0.0.1:1//", "redis://127.0.0.1:1/0", "pgmq://a:b@127.0.0.1:1/none"):
        with keeper(unstaffed.home, BROKER_URL=url):
            for name in (fresh_network(), fresh_network()):
                made = unstaffed.api().ban(name).json()["operation"]
                assert_brought_about(unstaffed, made["ref"], name)
                [attempt] = told(unstaffed, made["ref"])["attempts"]
                assert attempt["worker"].startswith("keeper")
            said = lambda: log.read_text()[before:].count("the keeper delivers meanwhile")  # noqa: E731
            eventually(said, what="the outage is told")
        assert said() == 1
        before = log.stat().st_size
