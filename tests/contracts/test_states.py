"""The table of states in `actions.states` and the running database are one list (contract §5)."""

from __future__ import annotations

from itertools import product

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions import states
from actions.states import EffectState, OperationState
from tests.contracts.inside import Still, ban

TABLES = {
    "operation": (OperationState, states.OPERATION_STARTS, states.OPERATION_MOVES),
    "effect": (EffectState, states.EFFECT_STARTS, states.EFFECT_MOVES),
}
# What else a state needs to be let in by the table's check constraints.
_SET = """
UPDATE {table} SET state = %(state)s::text{also} WHERE id = %(id)s
"""
_ALSO = """, lease_until = CASE WHEN %(state)s::text = 'executing' THEN clock_timestamp() END,
  doubt_until = CASE WHEN %(state)s::text = 'in_doubt' THEN clock_timestamp() END"""


def _set(table: str) -> str:
    return _SET.format(table=table, also=_ALSO if table == "effect" else "")


def _refused(at: psycopg.Connection, sql: str, params: dict[str, object]) -> str:
    """The name of the rule that refuses the statement, or "" when it is let through; undone."""
    try:
        with at.transaction(force_rollback=True):
            at.execute(sql, params)
    except psycopg.Error as error:
        assert error.sqlstate == "SH002", error
        return error.diag.constraint_name or ""
    return ""


_PEOPLE = {"operation": "operation_let_go_by_people", "effect": "effect_held_until_approved"}
"""What also refuses some legal moves, until somebody approved them: tried in a file of its own."""


def _that_could_wait(still: Still, name: str) -> int:
    """An operation that needs an approval, so that each state can be tried on it."""
    operation = still.made(ban(name))
    still.rewrite(
        "operation",
        "operation_intent_never_changes",
        """approvals = '[{"id": 0, "count": 1, "group": "x"}]', approve_by = now(), approved_at = NULL
           WHERE id = %s""",
        operation,
    )
    return operation


def _moves(still: Still, table: str, row: int) -> set[tuple[str, str]]:
    """Every pair of states that the database lets a row go through."""
    found = set()
    kinds = list(TABLES[table][0])
    trigger = f"{table}_moves_legally"
    for old in kinds:
        with still.database() as at, at.transaction(force_rollback=True):
            at.execute(
                "SET CONSTRAINTS ALL IMMEDIATE"
            )  # a table with checks to come is not altered
            at.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
            at.execute(f"ALTER TABLE {table} DISABLE TRIGGER {_PEOPLE[table]}")
            at.execute(_set(table), {"state": str(old), "id": row})
            at.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
            for new in kinds:
                rule = _refused(at, _set(table), {"state": str(new), "id": row})
                assert rule in {"", trigger}
                if not rule:
                    found.add((str(old), str(new)))
    return found


@pytest.mark.parametrize("table", TABLES)
def test_the_database_lets_through_the_moves_of_the_table_and_no_other(
    still: Still, name: str, table: str
) -> None:
    operation = _that_could_wait(still, name)
    effect = still.value("SELECT id FROM effect WHERE operation_id = %s", operation)
    kinds, _, moves = TABLES[table]
    legal = {(str(move.old), str(move.new)) for move in moves}
    staying = {(str(state), str(state)) for state in kinds}
    row = operation if table == "operation" else effect
    assert _moves(still, table, row) == legal | staying


# The state has its type said, because it stands in several places.
_COPY = """
INSERT INTO {table} ({columns}) SELECT {values} FROM {table} WHERE id = %(id)s
"""


def _copy(still: Still, table: str, changed: dict[str, str]) -> str:
    """SQL that inserts the row `id` once more, with some columns changed."""
    columns = [
        name
        for (name,) in still.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
            " AND column_name <> 'id'",
            table,
        )
    ]
    values = ", ".join(changed.get(name, name) for name in columns)
    return _COPY.format(table=table, columns=", ".join(columns), values=values)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_begins_only_in_a_state_that_it_may_begin_in(
    still: Still, name: str, table: str
) -> None:
    operation = _that_could_wait(still, name)
    effect = still.value("SELECT id FROM effect WHERE operation_id = %s", operation)
    changed = {"state": "%(state)s::text"}
    if table == "operation":
        changed |= {"ref": "'op_copy'", "generation": "generation + 1"}
    else:
        changed |= {"step": "'another'", "lease_until": _LEASE, "doubt_until": _DOUBT}
    kinds, starts, _ = TABLES[table]
    sql = _copy(still, table, changed)
    for state in kinds:
        with still.database() as at, at.transaction():
            row = operation if table == "operation" else effect
            rule = _refused(at, sql, {"state": str(state), "id": row})
        assert rule == ("" if state in starts else f"{table}_starts_legally"), state


_LEASE = "CASE WHEN %(state)s::text = 'executing' THEN now() END"
_DOUBT = "CASE WHEN %(state)s::text = 'in_doubt' THEN now() END"


@pytest.mark.parametrize("table", TABLES)
def test_a_state_that_nobody_knows_is_refused(still: Still, name: str, table: str) -> None:
    operation = still.made(ban(name))
    column = "id" if table == "operation" else "operation_id"
    with still.database() as at:
        sql = f"UPDATE {table} SET state = 'done' WHERE {column} = %(id)s"
        assert _refused(at, sql, {"id": operation}) == f"{table}_moves_legally"


@pytest.mark.parametrize("table", TABLES)
def test_the_table_names_every_state_and_says_when_each_move_happens(table: str) -> None:
    kinds, starts, moves = TABLES[table]
    pairs = [(move.old, move.new) for move in moves]
    assert len(pairs) == len(set(pairs))
    reached = set(starts) | {move.new for move in moves}
    assert reached == set(kinds), "a state that no move leads to"
    assert all(move.when.strip() and move.old != move.new for move in moves)


# Roll-up, as contract §5 says it: "any ready, executing or in doubt: running; else any parked:
# parked; all succeeded; none: failed; else partial."
def _contract(effects: list[str]) -> str:
    for effect in effects:
        if effect in ("ready", "executing", "in_doubt"):
            return "running"
    for effect in effects:
        if effect == "parked":
            return "parked"
    succeeded = sum(effect == "succeeded" for effect in effects)
    if succeeded == len(effects):
        return "succeeded"
    return "failed" if succeeded == 0 else "partial"


# An effect is held only while its operation waits for approval, when nothing is rolled up.
BEGUN = [str(state) for state in EffectState if state is not EffectState.HELD]


@given(st.lists(st.sampled_from(BEGUN), min_size=1, max_size=6))
def test_roll_up_is_what_the_contract_says(effects: list[str]) -> None:
    assert str(states.roll_up(effects)) == _contract(effects)


def test_roll_up_is_what_the_contract_says_of_every_three_effects() -> None:
    for effects in product(BEGUN, repeat=3):
        assert str(states.roll_up(effects)) == _contract(list(effects)), effects


def test_roll_up_asks_neither_for_order_nor_for_number() -> None:
    for effects in product(BEGUN, repeat=2):
        one, other = effects
        assert states.roll_up([one, other]) == states.roll_up([other, one, other, one])


def test_what_rolls_up_is_a_legal_move_of_a_running_operation() -> None:
    legal = {move.new for move in states.OPERATION_MOVES if move.old == OperationState.RUNNING}
    for effects in product(BEGUN, repeat=3):
        state = states.roll_up(effects)
        assert state in legal | {OperationState.RUNNING}


def test_what_came_to_nothing_never_moves_again() -> None:
    dead = {str(state) for state in states.VOID}
    assert not [move for move in states.OPERATION_MOVES if move.old in dead]
