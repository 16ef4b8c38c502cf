"""Each constraint, broken on purpose, says no under its own name: that is how it is answered."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import psycopg
import pytest

from actions import database
from tests.contracts.inside import Still, ban, lift, refused
from tests.contracts.test_guards import ISSUE, issue_params

COPIES = {
    "operation_key_once": ("operation", {"ref": "'copied'"}),
    "operation_ref_key": ("operation", {"generation": "generation + 1000"}),
    "effect_key_once": ("effect", {}),
    "attempt_number_once": ("attempt", {"id": "gen_random_uuid()"}),
    "request_key_once": ("request", {}),
    "arrival_pkey": ("arrival", {"id": "id"}),
    "subject_once": ("subject", {}),
    "log_number_once": ("log_event", {}),
    "realm_version_once": ("realm_version", {}),
    "realm_name_key": ("realm", {"id": "gen_random_uuid()"}),
    "catalogue_entry_name_key": ("catalogue_entry", {"id": "gen_random_uuid()"}),
    "blocklist_entry_once": ("blocklist_entry", {}),
    "api_token_prefix_key": ("api_token", {"id": "gen_random_uuid()"}),
    "caller_username_key": ("caller", {"id": "gen_random_uuid()"}),
}


@pytest.mark.parametrize("rule", COPIES)
def test_a_unique_rule_is_named_when_it_is_broken(still: Still, operation: int, rule: str) -> None:
    table, changed = COPIES[rule]
    named = "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
    columns = [
        column for (column,) in still.rows(named, table) if column != "id" or "id" in changed
    ]
    if table == "operation":
        changed = {**changed, "state": "'approved'"}
    if table == "effect":
        changed = {**changed, "state": "'ready'"}
    values = ", ".join(changed.get(column, column) for column in columns)
    numbered = "WHERE number IS NOT NULL" if table == "log_event" else ""
    copied = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} {numbered} LIMIT 1"
    with still.database() as at:
        assert refused(at, copied) == ("23505", rule)


def test_two_operations_of_a_lane_never_hold_it_together(still: Still, name: str) -> None:
    # A parked one holds nothing; once a later generation holds the lane, it cannot come back.
    operation, _ = still.issued(ban(name))
    with still.database() as at:
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", [operation])
        at.execute("UPDATE operation SET state = 'parked' WHERE id = %s", [operation])
        back = "UPDATE operation SET state = 'running' WHERE id = %s"
        assert refused(at, back, operation) == ("", "")
        still.issued(lift(name, seen=1))
        assert refused(at, back, operation) == ("23505", "operation_one_live_per_lane")


def test_two_effects_of_a_lane_are_never_open_together_in_one_realm(
    still: Still, name: str
) -> None:
    _, one = still.issued(ban(name))
    take = "UPDATE effect SET state = 'executing', lease_until = now() WHERE id = %s"
    with still.database() as at:
        at.execute(take, [one])
        _, other = still.issued(lift(name, seen=1))
        assert refused(at, take, other) == ("23505", "effect_one_open_per_lane_and_realm")
        at.execute(
            "UPDATE effect SET state = 'in_doubt', lease_until = NULL, doubt_until = now()"
            " WHERE id = %s",
            [one],
        )
        assert refused(at, take, other) == ("23505", "effect_one_open_per_lane_and_realm")


def test_ends_are_held_once_at_a_time(still: Still) -> None:
    hold = "INSERT INTO ends_hold (seconds, noticed_at) VALUES (61, now()), (62, now())"
    with still.database() as at:
        assert refused(at, hold) == ("23505", "ends_hold_one_at_a_time")


def test_an_incident_is_opened_once_per_key_and_numbered_once(still: Still) -> None:
    made = (
        "INSERT INTO incident (id, number, title, state, opened_by_id, request_key, fingerprint)"
        " SELECT gen_random_uuid(), {}, 't', 'open', %s, {}, '' FROM generate_series(1, 2) n"
    )
    with still.database() as at:
        once = made.format("1000000 + n", "'k'")
        assert refused(at, once, still.caller()) == ("23505", "incident_request_once")
        numbered = made.format("1000000", "n::text")
        assert refused(at, numbered, still.caller()) == ("23505", "incident_number_key")


def test_an_operation_is_linked_to_an_incident_once(still: Still, operation: int) -> None:
    with still.database() as at, at.transaction(force_rollback=True):
        at.execute(
            "INSERT INTO incident (id, number, title, state, opened_by_id, request_key, fingerprint)"
            " VALUES (%s, 2000000, 't', 'open', %s, 'k2', '')",
            [incident := uuid.uuid4(), still.caller()],
        )
        link = "INSERT INTO operation_incident (operation_id, incident_id) VALUES (%s, %s)"
        at.execute(link, [operation, incident])
        rule = ("23505", "operation_incident_once")
        assert refused(at, link, operation, incident) == rule


def test_what_the_executor_keeps_is_kept_once(still: Still, operation: int) -> None:
    once = {
        "reading_once": "INSERT INTO reading"
        " (realm_id, kind, name, capability, asked_at, message) SELECT id, 'network', 'n', 'c', now(), ''"
        " FROM (SELECT id FROM realm LIMIT 1), generate_series(1, 2)",
        "subject_label_once": "INSERT INTO subject_label (kind, name, label, seen_at)"
        " SELECT 'account', 'n', 'l', now() FROM generate_series(1, 2)",
        "made_value_operation_id_key": "INSERT INTO made_value (operation_id, key_id, sealed, made_at)"
        " SELECT id, 'k', '\\x00', now() FROM (SELECT id FROM operation LIMIT 1), generate_series(1, 2)",
        "realm_secret_version_id_key": "INSERT INTO realm_secret (version_id, key_id, sealed)"
        " SELECT id, 'k', '\\x00' FROM (SELECT id FROM realm_version LIMIT 1), generate_series(1, 2)",
    }
    with still.database() as at:
        for rule, twice in once.items():
            assert refused(at, twice) == ("23505", rule)


def test_an_operation_is_undone_once(still: Still, name: str) -> None:
    # A second undo of the same operation could only be made in a later generation of the lane.
    operation, _ = still.issued(ban(name))
    still.issued(lift(name, seen=1))
    with still.database(role="superuser") as at, at.transaction(force_rollback=True):
        at.execute("ALTER TABLE operation DISABLE TRIGGER USER")
        undo = "UPDATE operation SET undoes_id = %s WHERE id > %s"
        at.execute(undo, [operation, operation])
        copied = "INSERT INTO operation ({0}) SELECT {1} FROM operation WHERE undoes_id = %s"
        named = "SELECT column_name FROM information_schema.columns WHERE table_name = 'operation'"
        columns = [c for (c,) in at.execute(named) if c != "id"]
        changed = {"ref": "'op_again'", "generation": "generation + 1", "state": "'succeeded'"}
        values = ", ".join(changed.get(column, column) for column in columns)
        again = copied.format(", ".join(columns), values)
        assert refused(at, again, operation) == ("23505", "operation_undone_once")


def test_a_life_of_the_database_is_written_down_once(still: Still) -> None:
    again = "INSERT INTO timeline (system, number, noticed_at) SELECT system, number, now() FROM timeline"
    with still.database() as at:
        assert refused(at, again) == ("23505", "timeline_once")


def test_every_unique_rule_of_ours_is_broken_by_some_test(still: Still) -> None:
    rules = still.rows(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_class t ON t.oid = i.indrelid WHERE i.indisunique AND NOT i.indisprimary"
        " AND t.relnamespace = 'public'::regnamespace"
        " AND t.relname IN (SELECT relname FROM pg_class WHERE relkind = 'r')"
    )
    ours = {name for (name,) in rules if not re.match(r"(auth|django|guardian)_|.*_uniq$", name)}
    named_elsewhere = {
        *("operation_one_live_per_lane", "effect_one_open_per_lane_and_realm"),
        *("ends_hold_one_at_a_time", "incident_request_once", "incident_number_key"),
        *("approval_once_per_person", "break_glass_one_open_per_person"),
        *("operation_incident_once", "operation_undone_once", "reading_once"),
        *("incident_key_once", "incident_entry_once", "incident_member_once"),
        *("subject_label_once", "made_value_operation_id_key", "realm_secret_version_id_key"),
        *("protected_subject_once", "limit_count_once", "seat_once"),
        *("timeline_once", "effect_one_in_each_place_of_a_realm", "happening_once"),
        *("endpoint_name_key", "endpoint_secret_once", "endpoint_has_two_secrets_at_most"),
        *("notice_once_for_a_person_and_channel", "notice_once_for_an_endpoint"),
        *("notice_choice_once", "notice_mark_is_one"),
    }
    assert ours == (set(COPIES) - {"arrival_pkey"}) | named_elsewhere


# Checks.
@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        (
            "UPDATE effect SET lease_until = now() WHERE state = 'succeeded'",
            "effect_leased_exactly_while_executing",
        ),
        (
            "UPDATE effect SET doubt_until = now() WHERE state = 'succeeded'",
            "effect_doubted_exactly_while_in_doubt",
        ),
        (
            "UPDATE effect SET state = 'executing' WHERE id = (SELECT id FROM effect"
            " WHERE state = 'ready' LIMIT 1)",
            "effect_leased_exactly_while_executing",
        ),
        (
            "INSERT INTO log_event (at, kind, number, body) VALUES (now(), 'x', 1, '')",
            "log_numbered_exactly_within_an_operation",
        ),
        (
            "INSERT INTO log_event (at, kind, operation_id, body)"
            " SELECT now(), 'x', max(id), '' FROM operation",
            "log_numbered_exactly_within_an_operation",
        ),
        (
            "UPDATE api_token SET expires_at = created_at",
            "api_token_expires_after_it_begins",
        ),
    ],
)
def test_a_check_is_named_when_it_is_broken(
    still: Still, operation: int, networks: Callable[[], str], statement: str, rule: str
) -> None:
    still.issued(ban(networks()))
    with still.database() as at:
        assert refused(at, statement) == ("23514", rule)


def test_an_operation_begins_at_generation_one_and_with_a_reason(still: Still, name: str) -> None:
    for changed, rule in (
        ({"decided_on": -1}, "operation_generations_begin_at_one"),
        ({"reason": " \n\t"}, "operation_has_a_reason"),
    ):
        params = {**issue_params(still, name, "check", []), **changed}
        with still.acting("owner"), pytest.raises(psycopg.errors.CheckViolation) as caught:
            database.one(ISSUE, params)
        assert caught.value.diag.constraint_name == rule
