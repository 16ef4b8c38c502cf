"""What the database enforces by itself, whoever asks and whatever Python believes (contract §7)."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from psycopg import sql

from tests.contracts.inside import MAY_NOT, Still, ban, refused

KEPT = (
    *("operation", "effect", "attempt", "request", "arrival", "subject", "draft", "log_event"),
    *("operation_incident", "pull", "realm", "realm_version", "realm_secret", "made_value"),
    *("subject_label", "incident", "incident_entry", "incident_member", "protected_subject"),
)
FROZEN = {
    "operation": "id ref subject_id lane generation action action_version desired span ends_at"
    " plan_digest reason because again_of undoes_id requested_by_id via draft_id requested_at"
    " approvals approve_by break_glass_id keep_for keep_by",
    "effect": "id operation_id subject_id lane generation realm_id realm_version step ord capability"
    " redo desired after",
    "attempt": "id effect_id number fence worker claimed_at",
    "request": "id caller_id key fingerprint rules first_seen_at",
    "arrival": "id request_id operation_id token_id incident_id at via disposition code",
    "draft": "id caller_id token_id action action_version subject_kind subject_name subject_rules params"
    " until span reason incident_id seen again undoes_id not_known plan plan_digest created_at",
    "subject": "id kind name rules network",
    "protected_subject": "id kind name network level source found_by reason added_by_id added_at",
    "log_event": "id at kind operation_id number body",
    "incident": "id number opened_by_id opened_at request_key fingerprint",
    "incident_entry": "id incident_id number at caller_id token_id via key fingerprint kind body",
    "incident_member": "id incident_id caller_id added_by_id added_at",
    "operation_incident": "id operation_id incident_id made",
}
# What may change, column by column; a new column is either here or frozen.
MOVING = {
    "operation": "state settled_at verified_at ended_at end_note arrival_count last_arrival_at"
    " event_count approved_at kept_at",
    "effect": "state fence attempts run_at lease_until doubt_until found message settled_at"
    " verified_at going_since attempts_before place rested_before",
    "attempt": "call_started_at ended_at outcome found message late",
    "request": "operation_id",
    "arrival": "",
    "draft": "first_shown_at",
    "subject": "",
    "protected_subject": "means withdrawn_by_id withdrawn_at withdrawn_why",
    "log_event": "",
    "incident": "title state lead_id restricted version entry_count",
    "incident_entry": "",
    "incident_member": "removed_at",
    "operation_incident": "",
}
COLUMNS = [(table, column) for table in FROZEN for column in FROZEN[table].split()]


# What was asked never changes.
@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("mode", ["origin", "replica"])
def test_a_frozen_column_never_changes(still: Still, table: str, column: str, mode: str) -> None:
    with still.database(role="superuser") as at:
        at.execute(sql.SQL("SET session_replication_role = {}").format(sql.Literal(mode)))
        state, rule = refused(at, f"UPDATE {table} SET {column} = {column}")
    assert (state, rule.endswith("_never_changes")) == ("SH003", True)


@pytest.mark.parametrize("table", FROZEN)
def test_every_column_is_either_frozen_or_known_to_move(still: Still, table: str) -> None:
    named = "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
    columns = {column for (column,) in still.rows(named, table)}
    assert columns == set(FROZEN[table].split()) | set(MOVING[table].split())
    assert not set(FROZEN[table].split()) & set(MOVING[table].split())


@pytest.mark.parametrize("mode", ["origin", "replica"])
def test_a_fence_never_falls(still: Still, operation: int, mode: str) -> None:
    with still.database(role="superuser") as at:
        at.execute(sql.SQL("SET session_replication_role = {}").format(sql.Literal(mode)))
        fall = "UPDATE effect SET fence = fence - 1 WHERE operation_id = %s"
        assert refused(at, fall, operation) == ("SH003", "effect_fence_never_falls")
        rise = "UPDATE effect SET fence = fence + 1 WHERE operation_id = %s"
        assert refused(at, rise, operation) == ("", "")


@pytest.mark.parametrize("mode", ["origin", "replica"])
def test_a_request_names_one_operation_for_ever(
    still: Still, operation: int, networks: Callable[[], str], mode: str
) -> None:
    other = still.made(ban(networks()))
    with still.database(role="superuser") as at:
        at.execute(sql.SQL("SET session_replication_role = {}").format(sql.Literal(mode)))
        for value in (other, None):
            rebind = "UPDATE request SET operation_id = %s WHERE operation_id = %s"
            rule = ("SH003", "request_names_one_operation")
            assert refused(at, rebind, value, operation) == rule
        same = "UPDATE request SET operation_id = operation_id WHERE operation_id = %s"
        assert refused(at, same, operation) == ("", "")


# Nothing is ever deleted.
@pytest.mark.parametrize("table", KEPT)
def test_nothing_is_deleted_or_emptied_not_even_by_its_owner_or_a_replica(
    still: Still, operation: int, table: str
) -> None:
    with still.database() as at:
        assert refused(at, f"DELETE FROM {table}") == ("SH003", f"{table}_is_kept")
        emptied = refused(at, f"TRUNCATE {table} CASCADE")
        assert (emptied[0], emptied[1].endswith("_is_never_emptied")) == ("SH003", True)
    with still.database(role="superuser") as at:
        at.execute("SET session_replication_role = replica")
        assert refused(at, f"DELETE FROM {table}") == ("SH003", f"{table}_is_kept")
        emptied = refused(at, f"TRUNCATE {table} CASCADE")
        assert (emptied[0], emptied[1].endswith("_is_never_emptied")) == ("SH003", True)
    for role in ("web", "worker", "auditor"):
        with still.database(role=role) as at:
            assert refused(at, f"DELETE FROM {table}") == MAY_NOT
            assert refused(at, f"TRUNCATE {table} CASCADE") == MAY_NOT


@pytest.mark.parametrize("table", KEPT)
def test_each_kept_table_refuses_to_be_emptied_itself(still: Still, table: str) -> None:
    triggers = still.rows(
        "SELECT tgname, tgenabled::text FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal",
        table,
    )
    enabled = dict(triggers)
    assert enabled[f"{table}_is_kept"] == enabled[f"{table}_is_never_emptied"] == "A"


def test_every_trigger_of_ours_fires_always(still: Still) -> None:
    passed_over = still.rows(
        "SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE NOT tgisinternal AND tgenabled <> 'A'"
    )
    assert passed_over == []


@pytest.mark.parametrize("mode", ["origin", "replica"])
def test_moves_are_refused_and_logged_in_replica_mode_too(
    still: Still, operation: int, mode: str
) -> None:
    with still.database(role="superuser") as at:
        at.execute(sql.SQL("SET session_replication_role = {}").format(sql.Literal(mode)))
        wrong = "UPDATE operation SET state = 'approved' WHERE id = %s"
        assert refused(at, wrong, operation) == ("SH002", "operation_moves_legally")
        wrong = "UPDATE effect SET state = 'ready' WHERE operation_id = %s"
        assert refused(at, wrong, operation) == ("SH002", "effect_moves_legally")
    with still.database(role="superuser") as at, at.transaction(force_rollback=True):
        at.execute(sql.SQL("SET LOCAL session_replication_role = {}").format(sql.Literal(mode)))
        count = "SELECT count(*) FROM log_event WHERE kind LIKE '%.moved'"
        before = at.execute(count).fetchone()
        made = "SELECT id FROM operation WHERE state = 'approved' LIMIT 1"
        row = at.execute(made).fetchone() or _approved(still)
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", row)
        assert at.execute(count).fetchone()[0] == before[0] + 1


def _approved(still: Still) -> tuple[int]:
    octets = uuid.uuid4().bytes
    return (still.issued(ban(f"10.{octets[0]}.{octets[1]}.{octets[2]}/32"))[0],)


def test_the_log_takes_inserts_only_and_only_through_its_function(still: Still) -> None:
    for role in ("web", "worker", "auditor"):
        with still.database(role=role) as at:
            write = "INSERT INTO log_event (at, kind, body) VALUES (now(), 'forged', '{}')"
            assert refused(at, write) == MAY_NOT
            assert refused(at, "UPDATE log_event SET kind = 'x'") == MAY_NOT
            kind = {"worker": "ends.held"}.get(role, "incident.opened")
            through = f"SELECT log_append(NULL, '{kind}', '{{}}')"
            assert refused(at, through) == (MAY_NOT if role == "auditor" else ("", ""))
            assert refused(at, "SELECT log_write(NULL, NULL, NULL, 'x', '{}', now())") == MAY_NOT


@pytest.mark.parametrize("body", ["[]", "1", "x", '{"a":1,"a":2}', "", '"text"', '{"a":1} {}'])
def test_the_body_of_an_event_is_one_json_object(still: Still, body: str) -> None:
    with still.database(role="web") as at:
        assert refused(at, "SELECT log_append(NULL, 'incident.opened', %s)", body)[0] == "SH003"
