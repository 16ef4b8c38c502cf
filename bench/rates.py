"""How many requests a second: the bare write under pgbench, and the whole console over HTTP."""

from __future__ import annotations

import itertools
import statistics
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import load, pgbench
from tests.console_process import Console

CLIENTS = 16
_TABLES = ("request", "arrival", "operation", "effect", "log_event")


@dataclass
class Case:
    """One kind of request, by both ways, and the rows that each call of it must leave."""

    name: str
    write: pgbench.Write
    varied: dict[str, str]
    make: Callable[[], bytes]
    status: int
    disposition: str
    rows: tuple[int, ...]  # of each of _TABLES, per call
    by_pgbench: list[float] = field(default_factory=list)
    by_http: list[float] = field(default_factory=list)
    load_cpu: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(self.by_http) / statistics.median(self.by_pgbench)


def cases(console: Console, port: int) -> list[Case]:
    """New operations, repeats on one hot lane, and one key sent again and again."""
    head = load.head(port, console.token)
    numbers = itertools.count(1)
    hot, key = "192.0.2.1", f"bench-same-{uuid.uuid4().hex}"

    def new() -> bytes:
        n = next(numbers)
        return load.post(head, f"bench-{uuid.uuid4().hex}", f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}")

    def repeat() -> bytes:
        return load.post(head, f"bench-{uuid.uuid4().hex}", hot)

    def same_key() -> bytes:
        return load.post(head, key, hot)

    new_write = pgbench.capture(console, "192.0.2.9", f"bench-new-{uuid.uuid4().hex}")
    pgbench.capture(console, hot, f"bench-hot-{uuid.uuid4().hex}")
    repeat_write = pgbench.capture(console, hot, f"bench-repeat-{uuid.uuid4().hex}")
    connection = load.connect(port)
    load.ask(connection, same_key())
    connection.close()
    return [
        Case("new", new_write, pgbench.NEW, new, 201, "created", (1, 1, 1, 1, 1)),
        Case("repeat, one hot lane", repeat_write, pgbench.REPEAT, repeat, 200, "existing",
             (1, 1, 0, 0, 1)),
        Case("same key", _same_key_write(console, hot), pgbench.SAME_KEY, same_key, 200, "existing",
             (0, 1, 0, 0, 1)),
    ]  # fmt: skip


def _same_key_write(console: Console, network: str) -> pgbench.Write:
    key = f"bench-again-{uuid.uuid4().hex}"
    pgbench.capture(console, network, key)
    return pgbench.capture(console, network, key)


def measure(console: Console, cases: list[Case], rounds: int, seconds: int) -> None:
    """Alternate pgbench and HTTP, case by case, `rounds` times; every call is accounted for."""
    port = int(console.state["port"])
    load.run(port, CLIENTS, 1.0, cases[0].make)  # every thread connects, every statement is prepared
    for number in range(rounds):
        for case in cases:
            _by_pgbench(console, case, seconds, number * pgbench.PER_ROUND)
            _by_http(console, case, seconds, port)


def _by_pgbench(console: Console, case: Case, seconds: int, base: int) -> None:
    # Each case counts from a place of its own, so that keys never meet.
    base += {"new": 0, "repeat, one hot lane": 1 << 22, "same key": 1 << 23}[case.name]
    before = _count(console)
    ran = pgbench.run(console, case.write, case.varied, CLIENTS, seconds, base)
    _check(f"pgbench, {case.name}", case, before, _count(console), ran.done)
    case.by_pgbench.append(ran.rate)


def _by_http(console: Console, case: Case, seconds: int, port: int) -> None:
    before = _count(console)
    sent = load.run(port, CLIENTS, seconds, case.make)
    if set(sent.statuses) != {case.status} or set(sent.dispositions) - {case.disposition}:
        raise AssertionError(
            f"HTTP, {case.name}: answered {dict(sent.statuses)} {dict(sent.dispositions)}"
        )
    _check(f"HTTP, {case.name}", case, before, _count(console), sent.done)
    case.by_http.append(sent.rate)
    case.load_cpu.append(sent.cpu / sent.seconds)


def _count(console: Console) -> tuple[int, ...]:
    parts = ", ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES)
    return tuple(console.rows(f"SELECT {parts}")[0])


def _check(
    what: str, case: Case, before: tuple[int, ...], after: tuple[int, ...], calls: int
) -> None:
    made = tuple(b - a for a, b in zip(before, after, strict=True))
    wanted = tuple(calls * rows for rows in case.rows)
    if made != wanted:
        raise AssertionError(f"{what}: {calls} calls left {made} rows in {_TABLES}, not {wanted}")
