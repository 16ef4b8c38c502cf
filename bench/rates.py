"""How many requests a second: the bare statements under pgbench, and the whole console over HTTP."""

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
    """One kind of request, by each way, and the rows that each call of it must leave."""

    name: str
    look: pgbench.Statement
    write: pgbench.Statement
    make: Callable[[], bytes]
    status: int
    disposition: str
    rows: tuple[int, ...]  # of each of _TABLES, per call
    by_write: list[float] = field(default_factory=list)
    by_both: list[float] = field(default_factory=list)
    by_http: list[float] = field(default_factory=list)
    load_cpu: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(self.by_http) / statistics.median(self.by_write)


def cases(console: Console, port: int) -> list[Case]:
    """New operations, repeats on one hot lane, and one key sent again and again."""
    head = load.head(port, console.token)
    numbers = itertools.count(1)
    hot, key = "192.0.2.1", f"bench-same-{uuid.uuid4().hex}"

    def new() -> bytes:
        n = next(numbers)
        return load.post(
            head, f"bench-{uuid.uuid4().hex}", f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        )

    def repeat() -> bytes:
        return load.post(head, f"bench-{uuid.uuid4().hex}", hot)

    def same_key() -> bytes:
        return load.post(head, key, hot)

    def captured(
        network: str, kind: pgbench.Kind, key: str = ""
    ) -> tuple[pgbench.Statement, pgbench.Statement]:
        return pgbench.capture(console, network, key or f"bench-{uuid.uuid4().hex}", kind)

    new_sent = captured("192.0.2.9", pgbench.NEW)
    captured(hot, pgbench.REPEAT)
    repeat_sent = captured(hot, pgbench.REPEAT)
    captured(hot, pgbench.SAME_KEY, f"{key}-again")
    same_key_sent = captured(hot, pgbench.SAME_KEY, f"{key}-again")
    connection = load.connect(port)
    load.ask(connection, same_key())
    connection.close()
    return [
        Case("new", *new_sent, new, 201, "created", (1, 1, 1, 1, 1)),
        Case("repeat, one hot lane", *repeat_sent, repeat, 200, "existing", (1, 1, 0, 0, 1)),
        Case("same key", *same_key_sent, same_key, 200, "existing", (0, 1, 0, 0, 1)),
    ]


def measure(console: Console, cases: list[Case], rounds: int, seconds: int) -> None:
    """Alternate pgbench and HTTP, case by case, `rounds` times; every call is accounted for."""
    port = int(console.state["port"])
    # Every thread connects, and every statement is prepared.
    load.run(port, CLIENTS, 1.0, cases[0].make)
    bases = itertools.count(step=pgbench.PER_ROUND)  # so that keys and subjects never meet
    for _ in range(rounds):
        for case in cases:
            write, both = [case.write], [case.look, case.write]
            case.by_write.append(_by_pgbench(console, case, write, seconds, next(bases)))
            _by_http(console, case, seconds, port)
            case.by_both.append(_by_pgbench(console, case, both, seconds, next(bases)))


def _by_pgbench(
    console: Console,
    case: Case,
    statements: list[pgbench.Statement],
    seconds: int,
    base: int,
) -> float:
    before = _count(console)
    ran = pgbench.run(console, statements, CLIENTS, seconds, base)
    _check(f"pgbench, {case.name}", case, before, _count(console), ran.done)
    return ran.rate


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
