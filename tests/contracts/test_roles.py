"""One role per process, each with what it needs and no more, none owning anything (contract §7)."""

from __future__ import annotations

import psycopg
import pytest

from actions import database
from tests.contracts.inside import MAY_NOT, Still, ask, refused
from tests.contracts.test_database_rules import MOVING
from tests.contracts.test_guards import ISSUE, issue_params

WRITES = {
    "web": {
        "INSERT": {"draft", "pull", "incident", "django_session"},
        "UPDATE": {"draft", "caller", "django_session"},
        "DELETE": {"django_session"},
    },
    "worker": {
        "INSERT": {
            *("attempt", "blocklist_entry", "heartbeat", "ends_hold"),
            *("subject_label", "made_value"),
        },
        "UPDATE": {
            *("operation", "effect", "attempt", "blocklist_entry", "heartbeat"),
            *("reading", "subject_label", "made_value"),
        },
        "DELETE": {"heartbeat", "reading"},
    },
    "auditor": {"INSERT": set(), "UPDATE": set(), "DELETE": set()},
}
UPDATES = {
    ("web", "draft"): {"first_shown_at"},
    ("web", "caller"): {"last_login", "password"},
    ("worker", "operation"): {"state", "settled_at", "verified_at"},
    ("worker", "effect"): set(MOVING["effect"].split()) - {"attempts_before"},
    ("worker", "attempt"): set(MOVING["attempt"].split()),
}


@pytest.mark.parametrize("role", WRITES)
@pytest.mark.parametrize(
    "privilege", ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
)
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
        "SELECT sealed FROM realm_secret",
        "SELECT sealed FROM made_value",
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
        assert refused(at, "SELECT log_append(NULL, 'incident.opened', '{}')") == ("", "")
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
    "web": {"look", "lane_now", "issue", "act", "log_append", "last_known", "ask_name"}
    | {"ask_readings", "value_state", "show_value", "acknowledge_value"},
    "worker": {"issue_end", "cancel_unsent", "log_append", "last_known", "erase_values"},
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
    with still.acting("worker"), pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.one(ISSUE, params)


def test_nobody_but_the_console_itself_is_named_as_who_ends(still: Still, operation: int) -> None:
    with still.database() as at:
        at.execute("ALTER TABLE operation DISABLE TRIGGER operation_intent_never_changes")
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [operation])
        at.execute("ALTER TABLE operation ENABLE ALWAYS TRIGGER operation_intent_never_changes")
    with still.database(role="worker") as at:
        end = "SELECT issue_end(%s, %s, '{}', 'op_x', 'ban-network', 1, '{}', '', 'x', '[]')"
        assert refused(at, end, operation, still.caller())[0] == "SH003"


@pytest.mark.parametrize(
    "kind", ["operation.moved", "effect.moved", "operation.requested", "ends.released"]
)
@pytest.mark.parametrize("role", ["web", "worker"])
def test_a_process_cannot_tell_the_log_what_it_did_not_do(
    still: Still, role: str, kind: str
) -> None:
    with still.database(role=role) as at:
        assert refused(at, f"SELECT log_append(NULL, '{kind}', '{{}}')")[0] == "SH003"


def test_a_worker_approves_nothing_and_withdraws_nothing(still: Still, name: str) -> None:
    operation, _ = still.issued(ask("ban-network", name, {"for": "1h"}))
    with still.database(role="worker") as at:
        move = f"UPDATE operation SET state = 'cancelled' WHERE id = {operation}"
        assert refused(at, move) == ("SH003", "operation_is_decided_by_people")


def test_web_does_not_ask_as_the_console(still: Still, name: str) -> None:
    console = still.value("SELECT id FROM caller WHERE kind = 'console'")
    with still.database(role="web") as at:
        given = issue_params(still, name, "console", []) | {"caller": console}
        with pytest.raises(psycopg.DatabaseError, match="only through issue_end"):
            at.execute(ISSUE, given)


def test_web_makes_nothing_that_passes_for_an_end(still: Still, name: str) -> None:
    # It would be tried without limit, and the end itself would count as issued.
    with still.database(role="web") as at:
        given = issue_params(still, name, "end", []) | {"because": "end of @1"}
        with pytest.raises(psycopg.DatabaseError, match="only through issue_end"):
            at.execute(ISSUE, given)


def test_web_writes_no_event_that_is_no_json(still: Still, name: str) -> None:
    with still.database(role="web") as at:
        given = issue_params(still, name, "json", []) | {"body": "not json"}
        with pytest.raises(psycopg.DatabaseError, match="not an event"):
            at.execute(ISSUE, given)
