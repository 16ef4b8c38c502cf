"""A million effects due at once in several realms: what finding, taking up and telling of them costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.console_process import Console

REALMS = 4
TABLES = ("subject", "operation", "effect")
_COPY = """
INSERT INTO {table} ({columns}) SELECT {values}
  FROM {table} t, generate_series(1, {count}) n WHERE t.id = {row}
"""
_TIMED = """
import statistics, time
import django; django.setup()
from actions import ends, outbox, overview, reconcile
from django.db import connection, transaction

def timed(step, times):
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        step()
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)

def claim():
    with transaction.atomic():
        assert outbox.claim(next(ids), "bench") is not None
        transaction.set_rollback(True)

ids = iter([ring.id for ring in outbox.due(300)])
told = {
    "what is due": timed(lambda: outbox.due(300), 20),
    "taking one up": timed(claim, 20),
    "what is in doubt": timed(reconcile.reconcile_due, 20),
    "leases that ran out": timed(outbox.expire_leases, 20),
    "roll-ups unseen": timed(outbox.roll_up_unseen, 20),
    "what was not begun in time": timed(outbox.expire_unbegun, 1),
    "how the console does, for the board": timed(overview.health, 20),
}
for name, taken in told.items():
    print(f"{name}\\t{taken:.2f}")
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many are due, and the median milliseconds of each question of a sweep."""

    due: int
    taken: dict[str, float]


def measure(home: Path, count: int) -> Backlog:
    """Make the backlog in a console of its own, and ask."""
    console = Console(home, {"KEEPERS": "0", "WORKERS": "0"}).start()
    try:
        told = console.api().ban("192.0.2.1").json()["operation"]["ref"]
        fill(console, told, count)
        lines = console.python(_TIMED, role="worker").splitlines()
        there = console.value("SELECT count(*) FROM effect WHERE state = 'ready'")
        taken = {name: float(ms) for name, ms in (line.split("\t") for line in lines)}
        return Backlog(int(there), taken)
    finally:
        console.stop()


def fill(console: Console, ref: str, count: int) -> None:
    """Copy one operation and its effect so often, each with a subject of its own."""
    operation = console.value("SELECT id FROM operation WHERE ref = %s", ref)
    effect = console.value("SELECT id FROM effect WHERE operation_id = %s", operation)
    with console.database("superuser") as at:
        at.execute("SET session_replication_role = replica")
        for table in TABLES:
            at.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        at.execute(
            "INSERT INTO realm (id, name, title, connector, version, enabled)"
            " SELECT gen_random_uuid(), 'many-' || n, 'Many', 'blocklist', 1, true"
            " FROM generate_series(1, %s) n",
            [REALMS - 1],
        )
        subject = console.value("SELECT subject_id FROM effect WHERE id = %s", effect)
        address = "host('10.0.0.0'::inet + n) || '/32'"
        own = {"id": "1000000 + n", "name": address, "network": f"({address})::cidr"}
        _copy(at, "subject", subject, count, own)
        new = {"id": "1000000 + n", "subject_id": "1000000 + n"}
        _copy(at, "operation", operation, count, {**new, "ref": "'many_' || n"})
        realm = "(SELECT array_agg(id) FROM realm WHERE connector = 'blocklist')"
        own = {
            "operation_id": "1000000 + n",
            "realm_id": f"({realm})[1 + n % {REALMS}]",
            "run_at": "now() - interval '1 second' - (n % 600) * interval '1 second'",
        }
        _copy(at, "effect", effect, count, {**new, **own})
        for table in TABLES:
            at.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            at.execute(f"ANALYZE {table}")


def _copy(at, table: str, row: int, count: int, changed: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    found = at.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
    )
    columns = [name for (name,) in found.fetchall()]
    values = ", ".join(changed.get(name, f"t.{name}") for name in columns)
    sql = _COPY.format(table=table, columns=", ".join(columns), values=values, count=count, row=row)
    at.execute(sql)
