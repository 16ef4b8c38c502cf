"""What is due is found by an index, however much is settled, and however much is due."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from actions import outbox, overview, reconcile
from actions.outbox import Ring
from tests.contracts.inside import Still, ban

LEASES = (
    "SELECT id FROM effect WHERE state = 'executing' AND lease_until < now() ORDER BY lease_until"
)
UNSEEN = "SELECT id FROM operation WHERE state = 'running' ORDER BY id LIMIT 100"
SETTLED, DUE = 100_000, 20_000
_numbers = itertools.count(1)


@pytest.fixture
def crowded(still: Still) -> Iterator[psycopg.Connection]:
    """A hundred thousand settled effects and twenty thousand that are due, taken back afterwards."""
    operation, effect = still.issued(ban(f"198.19.77.{next(_numbers)}/32"))
    with still.database(role="superuser") as at, at.transaction(force_rollback=True):
        for table in ("operation", "effect"):
            at.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        at.execute("SET LOCAL session_replication_role = replica")
        copy(at, "operation", operation, {"ref": "'many_' || n", "state": "'superseded'"})
        own = {"operation_id": "1000000 + n", "subject_id": "1000000 + n"}
        state = f"CASE WHEN n <= {DUE} THEN 'ready' ELSE 'succeeded' END"
        copy(at, "effect", effect, {**own, "state": state, "run_at": "now() - interval '1 hour'"})
        at.execute("ANALYZE effect, operation")
        yield at
    with still.database() as at:
        at.execute("UPDATE effect SET run_at = now() + interval '1 year' WHERE id = %s", [effect])


def copy(at: psycopg.Connection, table: str, row: int, changed: dict[str, str]) -> None:
    """Copy a row very often, with some columns changed."""
    found = at.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
    )
    changed = {"id": "1000000 + n", "generation": "1000000 + n", **changed}
    columns = [name for (name,) in found.fetchall()]
    values = ", ".join(changed.get(name, f"t.{name}") for name in columns)
    at.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values}"
        f" FROM {table} t, generate_series(1, {SETTLED + DUE}) n WHERE t.id = {row}"
    )


def plan(at: psycopg.Connection, sql: str, params: Any) -> str:
    rows = at.execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF) {sql}", params)
    return "\n".join(line for (line,) in rows.fetchall())


def test_what_is_due_is_found_by_indexes_however_much_there_is(
    crowded: psycopg.Connection,
) -> None:
    steps = plan(crowded, outbox._DUE, outbox._asked(50))
    assert "Index Scan using effect_due" in steps
    assert "Seq Scan on effect" not in steps, steps
    walked = next(line for line in steps.splitlines() if "effect_due" in line)
    assert int(walked.split("rows=")[2].split(".")[0]) < 100, "it stops once it has enough"
    assert "Sort" not in steps.split("Limit")[-1], "what is due comes in its order"
    steps = plan(crowded, overview._HEALTH, {})
    assert "Seq Scan on effect" not in steps, steps
    for line in steps.splitlines():
        if "effect_due" in line:
            assert float(line.split("rows=")[2].split()[0]) <= 1, "the board looks at the first"
    first = crowded.execute(outbox._DUE, outbox._asked(1)).fetchone()
    assert first is not None
    given = {"effect": first[0], "realm": first[4], "lease": outbox.LEASE, "at_once": 8}
    with crowded.transaction(force_rollback=True):
        steps = plan(crowded, outbox._TAKE, given)
    assert "Update on effect" in steps and "Seq Scan on effect" not in steps, steps
    assert "effect_one_in_each_place_of_a_realm" in steps, steps
    for sql in (reconcile._DUE, LEASES, UNSEEN):
        steps = plan(crowded, sql, [])
        assert "Index" in steps and "Seq Scan" not in steps, steps
    # Who waits behind a doubt of their lane is passed by.
    crowded.execute(
        f"UPDATE effect SET subject_id = 1 WHERE id BETWEEN 1000001 AND {1000000 + DUE}"
    )
    crowded.execute(
        "UPDATE effect SET subject_id = 1, state = 'in_doubt', doubt_until = now()"
        f" WHERE id = {1000000 + DUE + 1}"
    )
    taken = crowded.execute(outbox._DUE, outbox._asked(50)).fetchall()
    assert not [row for row in taken if row[0] > 1_000_000]


def test_what_is_due_elsewhere_is_seen_behind_a_realm_with_a_backlog(
    crowded: psycopg.Connection,
) -> None:
    made = (
        "INSERT INTO realm (id, name, title, connector, version, enabled) VALUES"
        " (gen_random_uuid(), 'elsewhere', 'e', 'blocklist', 1, true) RETURNING id"
    )
    row = crowded.execute(made).fetchone()
    assert row is not None
    move = "UPDATE effect SET realm_id = %s, run_at = now() WHERE id = 1000001"
    crowded.execute(move, [row[0]])
    assert crowded.execute(outbox._DUE, outbox._asked(50)).fetchall()[-1][0] == 1_000_001


def test_a_ring_says_since_when_under_which_fence_and_whether_nobody_came(
    still: Still, networks: Callable[[], str]
) -> None:
    (_, late), (_, new) = still.issued(ban(networks())), still.issued(ban(networks()))
    with still.database() as at:
        at.execute("UPDATE effect SET run_at = now() - interval '6 s' WHERE id = %s", [late])
    with still.acting("worker"):
        rings = {ring.id: ring for ring in outbox.due(1000)}
        assert list(rings).index(late) < list(rings).index(new)
    ((run_at, realm),) = still.rows("SELECT run_at, realm_id FROM effect WHERE id = %s", new)
    assert rings[new] == Ring(new, run_at, 0, False, realm)
    assert rings[late].overdue
