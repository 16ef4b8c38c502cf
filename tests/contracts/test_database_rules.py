"""What the database enforces by itself, whoever asks and whatever Python believes (contract §7)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from actions import ends, issue
from tests.contracts.inside import Still, ban, lift
from tests.contracts.test_guards import ISSUE, issue_params

KEPT = (
    *("operation", "effect", "attempt", "request", "arrival", "subject", "draft", "log_event"),
    *("operation_incident", "pull"),
)
FROZEN = {
    "operation": "id ref subject_id lane generation action action_version desired span ends_at"
    " plan_digest reason because again_of requested_by_id via draft_id requested_at",
    "effect": "id operation_id subject_id lane generation realm_id realm_version step ord capability"
    " redo desired",
    "attempt": "id effect_id number fence worker claimed_at",
    "request": "id caller_id key fingerprint rules first_seen_at",
    "arrival": "id request_id operation_id token_id incident_id at via disposition code",
    "draft": "id caller_id action action_version subject_kind subject_name subject_rules params"
    " until span reason incident_id seen again plan plan_digest created_at",
    "subject": "id kind name rules network",
    "log_event": "id at kind operation_id number body",
}
# What may change, column by column; a new column is either here or frozen.
MOVING = {
    "operation": "state settled_at verified_at ended_at end_note arrival_count last_arrival_at"
    " event_count",
    "effect": "state fence attempts run_at lease_until doubt_until found message settled_at"
    " verified_at",
    "attempt": "call_started_at ended_at outcome found message late",
    "request": "operation_id",
    "arrival": "",
    "draft": "first_shown_at",
    "subject": "",
    "log_event": "",
}
COLUMNS = [(table, column) for table in FROZEN for column in FROZEN[table].split()]


def refused(at: psycopg.Connection, statement: str, *params: object) -> tuple[str, str]:
    """(SQLSTATE, name of the rule) of what the database says; ("", "") when it lets it through.

    Undone either way.
    """
    try:
        with at.transaction(force_rollback=True):
            at.execute(statement, params or None)
            at.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        return error.sqlstate or "", error.diag.constraint_name or ""
    return "", ""


MAY_NOT = ("42501", "")


@pytest.fixture
def operation(still: Still, name: str) -> int:
    """A ban that was carried out."""
    return still.made(ban(name))


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
        at.execute(
            sql.SQL("SET LOCAL session_replication_role = {}").format(sql.Literal(mode))
        )
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
            through = "SELECT log_append(NULL, 'test', '{}')"
            assert refused(at, through) == (MAY_NOT if role == "auditor" else ("", ""))
            assert refused(at, "SELECT log_write(NULL, NULL, NULL, 'x', '{}', now())") == MAY_NOT


@pytest.mark.parametrize("body", ["[]", "1", "x", '{"a":1,"a":2}', "", '"text"', '{"a":1} {}'])
def test_the_body_of_an_event_is_one_json_object(still: Still, body: str) -> None:
    with still.database(role="web") as at:
        assert refused(at, "SELECT log_append(NULL, 'test', %s)", body)[0] == "SH003"


# Each role does what it needs and no more.
TABLES = (
    *("operation", "effect", "attempt", "request", "arrival", "subject", "log_event"),
    *("operation_incident", "realm", "realm_version", "api_token", "caller", "catalogue_entry"),
    *("entry_group_grant", "realm_group_grant", "entry_user_grant", "realm_user_grant"),
    *("auth_group", "caller_groups", "auth_group_permissions", "django_migrations"),
)
WRITES = {
    "web": {
        "INSERT": {"draft", "pull", "incident", "django_session"},
        "UPDATE": {"draft", "caller", "django_session"},
        "DELETE": {"django_session"},
    },
    "worker": {
        "INSERT": {"attempt", "blocklist_entry", "heartbeat", "ends_hold"},
        "UPDATE": {"operation", "effect", "attempt", "blocklist_entry", "heartbeat"},
        "DELETE": {"heartbeat"},
    },
    "auditor": {"INSERT": set(), "UPDATE": set(), "DELETE": set()},
}
UPDATES = {
    ("web", "draft"): {"first_shown_at"},
    ("web", "caller"): {"last_login", "password"},
    ("worker", "operation"): {"state", "settled_at", "verified_at", "ended_at", "end_note"},
    ("worker", "effect"): set(MOVING["effect"].split()),
    ("worker", "attempt"): set(MOVING["attempt"].split()),
}


@pytest.mark.parametrize("role", WRITES)
@pytest.mark.parametrize("privilege", ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
def test_each_role_writes_only_the_tables_that_it_needs(
    still: Still, role: str, privilege: str
) -> None:
    may = (
        "has_any_column_privilege(%s, c.oid, %s)"
        if privilege in {"INSERT", "UPDATE", "REFERENCES"}
        else "has_table_privilege(%s, c.oid, %s)"
    )
    written = still.rows(
        f"SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'p', 'm') AND {may}",
        f"steadyhand_{role}",
        privilege,
    )
    assert {table for (table,) in written} == WRITES[role].get(privilege, set())


@pytest.mark.parametrize(("role", "table"), UPDATES)
def test_each_role_changes_only_the_columns_that_it_needs(
    still: Still, role: str, table: str
) -> None:
    rows = still.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped AND has_column_privilege(%s, attrelid, attnum, 'UPDATE')",
        table,
        f"steadyhand_{role}",
    )
    assert {column for (column,) in rows} == UPDATES[role, table]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE effect SET state = 'succeeded', lease_until = NULL",
        "UPDATE operation SET state = 'succeeded'",
        "UPDATE effect SET found = 'changed'",
        "INSERT INTO operation DEFAULT VALUES",
        "INSERT INTO effect DEFAULT VALUES",
        "INSERT INTO request DEFAULT VALUES",
        "INSERT INTO arrival DEFAULT VALUES",
        "INSERT INTO subject DEFAULT VALUES",
        "INSERT INTO attempt DEFAULT VALUES",
        "INSERT INTO blocklist_entry DEFAULT VALUES",
        "INSERT INTO realm_group_grant DEFAULT VALUES",
        "INSERT INTO api_token DEFAULT VALUES",
        "INSERT INTO caller DEFAULT VALUES",
        "UPDATE caller SET is_active = true",
        "UPDATE caller SET is_superuser = true",
        "UPDATE api_token SET revoked_at = NULL",
        "SELECT settings FROM realm_version",
        "SELECT * FROM realm_version",
        "SELECT issue_end(1, NULL, '', '', '', 1, NULL, NULL, '', NULL)",
    ],
)
def test_web_neither_settles_nor_makes_nor_reads_what_realms_keep(
    still: Still, statement: str
) -> None:
    with still.database(role="web") as at:
        assert refused(at, statement) == MAY_NOT


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO operation DEFAULT VALUES",
        "INSERT INTO effect DEFAULT VALUES",
        "INSERT INTO request DEFAULT VALUES",
        "INSERT INTO arrival DEFAULT VALUES",
        "UPDATE operation SET desired = '{}'",
        "UPDATE effect SET desired = '{}'",
        "UPDATE operation SET event_count = 0",
        "UPDATE ends_hold SET released_at = now()",
        "SELECT password FROM caller",
        "SELECT digest FROM api_token",
        "SELECT session_data FROM django_session",
        "INSERT INTO realm_group_grant DEFAULT VALUES",
        "UPDATE realm_version SET settings = '{}'",
    ],
)
def test_a_worker_makes_nothing_and_reads_no_secret_of_people(still: Still, statement: str) -> None:
    with still.database(role="worker") as at:
        assert refused(at, statement) == MAY_NOT


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT password FROM caller",
        "SELECT email FROM caller",
        "SELECT * FROM django_session",
        "SELECT digest FROM api_token",
        "SELECT settings FROM realm_version",
        "INSERT INTO pull DEFAULT VALUES",
        "SELECT log_append(NULL, 'x', '{}')",
        "SELECT nextval('incident_number')",
    ],
)
def test_an_auditor_reads_and_no_secret(still: Still, statement: str) -> None:
    with still.database(role="auditor") as at:
        assert refused(at, statement) == MAY_NOT


def test_an_auditor_reads_what_happened_and_who(still: Still, operation: int) -> None:
    with still.database(role="auditor") as at:
        for table in ("operation", "effect", "attempt", "request", "arrival", "log_event"):
            assert at.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0
        assert at.execute("SELECT username, kind FROM caller").fetchall()
        assert at.execute("SELECT prefix, name, expires_at FROM api_token").fetchall()
        assert at.execute("SELECT facts FROM operation_facts LIMIT 1").fetchone()


@pytest.mark.parametrize("role", ["web", "worker", "auditor"])
def test_no_role_owns_or_makes_anything(still: Still, role: str) -> None:
    owned = still.rows(
        "SELECT relname FROM pg_class WHERE relowner = %s::regrole UNION ALL"
        " SELECT proname FROM pg_proc WHERE proowner = %s::regrole",
        *[f"steadyhand_{role}"] * 2,
    )
    assert owned == []
    flags = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    row = still.rows(f"SELECT {flags} FROM pg_roles WHERE rolname = %s", f"steadyhand_{role}")
    assert row == [(False,) * 5]
    member = "SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole"
    assert still.value(member, f"steadyhand_{role}") == 0
    with still.database(role=role) as at:
        for statement in (
            "CREATE TABLE mine (id int)",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE SCHEMA mine",
            "ALTER TABLE operation DISABLE TRIGGER ALL",
            "ALTER TABLE operation ADD COLUMN mine int",
            "DROP TABLE operation",
            "CREATE TRIGGER t BEFORE INSERT ON operation EXECUTE FUNCTION refuse_change()",
            "SET session_replication_role = replica",
            "SET ROLE steadyhand_owner",
        ):
            assert refused(at, statement)[0] == "42501", statement


def test_functions_that_run_as_their_owner_look_names_up_in_a_pinned_path(still: Still) -> None:
    definers = still.rows(
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    assert {name for name, _ in definers} >= {"issue", "issue_end", "log_append"}
    for name, config in definers:
        assert "search_path=pg_catalog, public, pg_temp" in (config or []), name


def test_a_table_of_the_callers_own_does_not_stand_in_for_ours(still: Still, name: str) -> None:
    with still.database(role="web") as at, at.transaction(force_rollback=True):
        at.execute("CREATE TEMP TABLE operation (id bigint, ref text, event_count int)")
        at.execute("CREATE TEMP TABLE log_event (LIKE public.log_event)")
        at.execute("SELECT log_append(NULL, 'test', '{}')")
        assert at.execute("SELECT count(*) FROM pg_temp.log_event").fetchone() == (0,)


def test_public_may_execute_none_of_our_functions_and_read_none_of_our_tables(still: Still) -> None:
    functions = still.rows(
        "SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) a"
        " WHERE pronamespace = 'public'::regnamespace AND a.grantee = 0"
    )
    assert functions == []
    tables = still.rows(
        "SELECT relname FROM pg_class, aclexplode(relacl) a"
        " WHERE relnamespace = 'public'::regnamespace AND a.grantee = 0"
    )
    assert tables == []
    schema = still.rows(
        "SELECT a.privilege_type FROM pg_namespace, aclexplode(nspacl) a"
        " WHERE nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE'"
    )
    assert schema == []


EXECUTES = {
    "web": {"issue", "log_append", "last_known"},
    "worker": {"issue_end", "log_append", "last_known"},
    "auditor": {"last_known"},
}


@pytest.mark.parametrize("role", EXECUTES)
def test_each_role_executes_only_the_functions_that_it_needs(still: Still, role: str) -> None:
    rows = still.rows(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND has_function_privilege(%s, oid, 'EXECUTE')",
        f"steadyhand_{role}",
    )
    assert {name for (name,) in rows} == EXECUTES[role]


# A worker makes no operation but the end of one that is due.
def test_a_worker_cannot_issue(still: Still, name: str) -> None:
    params = issue_params(still, name, "worker", [])
    with still.acting("worker") as at, pytest.raises(Exception, match="permission denied") as caught:
        ends.database.one(ISSUE, params)
    assert isinstance(caught.value, psycopg.errors.InsufficientPrivilege)
    del at


def test_nobody_but_the_console_itself_is_named_as_who_ends(still: Still, operation: int) -> None:
    with still.database() as at:
        at.execute("ALTER TABLE operation DISABLE TRIGGER operation_intent_never_changes")
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [operation])
        at.execute("ALTER TABLE operation ENABLE ALWAYS TRIGGER operation_intent_never_changes")
    with still.database(role="worker") as at:
        end = "SELECT issue_end(%s, %s, '{}', 'op_x', 'ban-network', 1, '{}', '', 'x', '[]')"
        assert refused(at, end, operation, still.caller())[0] == "SH003"


# Each unique rule, broken on purpose, is named.
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
    columns = [column for (column,) in still.rows(named, table) if column != "id" or "id" in changed]
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
    operation, effect = still.issued(ban(name))
    with still.database() as at:
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", [operation])
        at.execute("UPDATE operation SET state = 'parked' WHERE id = %s", [operation])
        back = "UPDATE operation SET state = 'running' WHERE id = %s"
        assert refused(at, back, operation) == ("", "")
        still.issued(lift(name, seen=1))
        assert refused(at, back, operation) == ("23505", "operation_one_live_per_lane")


def test_two_effects_of_a_lane_are_never_open_together_in_one_realm(still: Still, name: str) -> None:
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


def test_every_unique_rule_of_ours_is_broken_by_some_test(still: Still) -> None:
    rules = still.rows(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_class t ON t.oid = i.indrelid WHERE i.indisunique AND NOT i.indisprimary"
        " AND t.relnamespace = 'public'::regnamespace"
        " AND t.relname IN (SELECT relname FROM pg_class WHERE relkind = 'r')"
    )
    ours = {
        name for (name,) in rules if not re.match(r"(auth|django|guardian)_|.*_uniq$", name)
    }
    named_elsewhere = {
        *("operation_one_live_per_lane", "effect_one_open_per_lane_and_realm"),
        *("ends_hold_one_at_a_time", "incident_request_once", "incident_number_key"),
        *("operation_incident_once",),
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
            ends.database.one(issue._ISSUE, params)
        assert caught.value.diag.constraint_name == rule
