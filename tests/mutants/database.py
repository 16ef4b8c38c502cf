"""Constraints, triggers and rights of the database, each dropped once.

A constraint that SQL names (`ON CONFLICT ON CONSTRAINT`) keeps its name and gets a column more,
which no two rows share: it is there, and never violated.
"""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TABLES = "actions/migrations/0001_tables.py"
FROZEN = "actions/sql/frozen.sql"
ISSUE = "actions/sql/issue.sql"
ISSUE_END = "actions/sql/issue_end.sql"
LOG = "actions/sql/log.sql"
GRANTS = "actions/sql/grants.sql"
GUARDS = "tests/contracts/test_guards.py::"
EFFECTS = "tests/contracts/test_guards_effects.py::"
ENDS = "tests/contracts/test_guards_ends.py::"
RULES = "tests/contracts/test_database_rules.py::"
ROLES = "tests/contracts/test_roles.py::"
UNIQUE = "tests/contracts/test_constraints.py::"
STATES = "tests/contracts/test_states.py::"
LOGGED = "tests/contracts/test_log.py::"


def widened(name: str, fields: str, by: str, *tests: str) -> Mutant:
    """A unique constraint that a column more makes useless."""
    old = f"models.UniqueConstraint(fields=({fields}), name='{name}')"
    new = f"models.UniqueConstraint(fields=({fields}, {by}), name='{name}')"
    return Mutant(name, TABLES, old, new, tests)


MUTANTS = (
    widened(
        "request_key_once",
        "'caller', 'key'",
        "'first_seen_at'",
        GUARDS + "test_one_key_sent_for_two_subjects_at_once_stands_for_one",
    ),
    # Hidden by operation_one_live_per_lane, unless the first to take the generation is over.
    widened(
        "operation_key_once",
        "'subject', 'lane', 'generation'",
        "'ref'",
        GUARDS + "test_a_generation_is_given_once_even_when_the_first_to_take_it_is_over",
    ),
    # Hidden by operation_key_once, unless it is an older generation that comes back.
    Mutant(
        "operation_one_live_per_lane",
        TABLES,
        "fields=('subject', 'lane'), name='operation_one_live_per_lane'",
        "fields=('subject', 'lane', 'ref'), name='operation_one_live_per_lane'",
        (UNIQUE + "test_two_operations_of_a_lane_never_hold_it_together",),
    ),
    widened(
        "effect_key_once",
        "'operation', 'realm', 'step'",
        "'id'",
        UNIQUE + "test_a_unique_rule_is_named_when_it_is_broken[effect_key_once]",
    ),
    Mutant(
        "effect_one_open_per_lane_and_realm",
        TABLES,
        "fields=('subject', 'lane', 'realm'), name='effect_one_open_per_lane_and_realm'",
        "fields=('subject', 'lane', 'realm', 'id'), name='effect_one_open_per_lane_and_realm'",
        (
            GUARDS + "test_a_later_operation_of_the_lane_waits_in_the_realm_that_is_still_busy",
            UNIQUE + "test_two_effects_of_a_lane_are_never_open_together_in_one_realm",
        ),
    ),
    widened("subject_once", "'kind', 'name'", "'id'", GUARDS + "test_a_subject_is_made_once"),
    # Hidden by the operation's row lock, under which numbers are given.
    widened(
        "log_number_once",
        "'operation', 'number'",
        "'id'",
        UNIQUE + "test_a_unique_rule_is_named_when_it_is_broken[log_number_once]",
    ),
    widened(
        "attempt_number_once",
        "'effect', 'number'",
        "'id'",
        UNIQUE + "test_a_unique_rule_is_named_when_it_is_broken[attempt_number_once]",
    ),
    widened(
        "incident_request_once",
        "'opened_by', 'request_key'",
        "'id'",
        UNIQUE + "test_an_incident_is_opened_once_per_key_and_numbered_once",
    ),
    widened(
        "operation_incident_once",
        "'operation', 'incident'",
        "'id'",
        UNIQUE + "test_an_operation_is_linked_to_an_incident_once",
    ),
    Mutant(
        "ends_hold_one_at_a_time",
        TABLES,
        "models.UniqueConstraint(models.Value(1), condition",
        "models.UniqueConstraint(models.F('id'), condition",
        (UNIQUE + "test_ends_are_held_once_at_a_time",),
    ),
    Mutant(
        "arrival_id",
        ISSUE,
        "VALUES (p_arrival, v_request,",
        "VALUES (gen_random_uuid(), v_request,",
        (
            GUARDS + "test_a_write_that_was_lost_under_way_and_lands_later_is_told_once",
            GUARDS + "test_a_write_whose_answer_was_lost_is_found_and_not_written_again",
        ),
    ),
    # Issuing, in the database.
    Mutant(
        "issue: the state of the lane",
        ISSUE,
        "IF v_state IS DISTINCT FROM p_decided_state THEN",
        "IF false THEN",
        (GUARDS + "test_a_decision_is_not_written_once_the_state_that_it_rests_on_has_moved",),
    ),
    Mutant(
        "issue: a later generation",
        ISSUE,
        "AND o.generation > p_decided_on;",
        "AND false;",
        (GUARDS + "test_a_decision_is_not_written_once_a_later_generation_is_there",),
    ),
    Mutant(
        "issue: the lock of the lane",
        ISSUE,
        "AND o.generation = p_decided_on\n         FOR NO KEY UPDATE;",
        "AND o.generation = p_decided_on;",
        (GUARDS + "test_whoever_waits_for_the_lane_decides_on_what_it_came_to",),
    ),
    Mutant(
        "issue: a key that names an operation",
        ISSUE,
        "AND (r.operation_id IS NULL OR r.operation_id = p_told)",
        "AND true",
        (GUARDS + "test_a_decision_is_not_written_once_its_key_names_an_operation",),
    ),
    Mutant(
        "issue: unsent effects of the superseded",
        ISSUE,
        "      PERFORM cancel_unsent(v_newest, v_at);\n",
        "",
        (GUARDS + "test_what_a_superseded_operation_had_not_sent_is_never_sent",),
    ),
    # Ends.
    Mutant(
        "issue_end: what is not due",
        ISSUE_END,
        "     OR least(o.ends_at, CASE WHEN o.kept_at IS NULL THEN o.keep_by END) > clock_timestamp() THEN",
        "     THEN",
        (ENDS + "test_an_end_is_issued_once_and_only_when_it_is_due",),
    ),
    Mutant(
        "issue_end: once",
        ISSUE_END,
        "OR o.ended_at IS NOT NULL OR",
        "OR",
        (ENDS + "test_an_end_is_issued_once_and_only_when_it_is_due",),
    ),
    Mutant(
        "issue_end: void once the lane has moved on",
        ISSUE_END,
        "IF v_why IS NOT NULL THEN",
        "IF false THEN",
        (ENDS + "test_an_end_is_void_once_the_lane_has_moved_on",),
    ),
    Mutant(
        "issue_end: not while a later generation has not begun",
        ISSUE_END,
        "IF v_later && ARRAY['approved', 'running'] OR o.state",
        "IF o.state",
        (ENDS + "test_an_end_waits_for_a_later_generation_that_has_not_begun",),
    ),
    Mutant(
        "issue_end: the console alone",
        ISSUE_END,
        "AND c.kind = 'console'",
        "",
        (ROLES + "test_nobody_but_the_console_itself_is_named_as_who_ends",),
    ),
    # Moves.
    Mutant(
        "legal moves",
        "actions/states.py",
        "ELSIF NEW.state <> OLD.state AND",
        "ELSIF false AND",
        (
            STATES
            + "test_the_database_lets_through_the_moves_of_the_table_and_no_other[operation]",
            STATES + "test_the_database_lets_through_the_moves_of_the_table_and_no_other[effect]",
        ),
    ),
    Mutant(
        "legal starts",
        "actions/states.py",
        "IF NEW.state NOT IN ({first}) THEN",
        "IF false THEN",
        (STATES + "test_a_row_begins_only_in_a_state_that_it_may_begin_in[operation]",),
    ),
    Mutant(
        "moves in replica mode",
        "actions/migrations/0002_guards.py",
        "ENABLE ALWAYS TRIGGER {table}_moves_legally",
        "ENABLE TRIGGER {table}_moves_legally",
        (
            RULES + "test_every_trigger_of_ours_fires_always",
            RULES + "test_moves_are_refused_and_logged_in_replica_mode_too[replica]",
        ),
    ),
    # Frozen columns, fences, deletes.
    Mutant(
        "the intent never changes",
        FROZEN,
        "reason, because, again_of, undoes_id, requested_by_id, via, draft_id, requested_at,\n",
        "reason,\n",
        (RULES + "test_a_frozen_column_never_changes[origin-operation-because]",),
    ),
    Mutant(
        "a refused change is refused",
        FROZEN,
        "BEGIN\n  RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,\n"
        "    MESSAGE = format('%s on %s",
        "BEGIN\n  RETURN NULL;\n  RAISE EXCEPTION USING ERRCODE = 'SH003', CONSTRAINT = TG_NAME,\n"
        "    MESSAGE = format('%s on %s",
        (
            RULES + "test_a_frozen_column_never_changes[origin-effect-desired]",
            RULES
            + "test_nothing_is_deleted_or_emptied_not_even_by_its_owner_or_a_replica[log_event]",
        ),
    ),
    Mutant(
        "the fence never falls",
        FROZEN,
        "IF NEW.fence < OLD.fence THEN",
        "IF false THEN",
        (RULES + "test_a_fence_never_falls[origin]",),
    ),
    Mutant(
        "a request is not bound anew",
        FROZEN,
        "IF OLD.operation_id IS NOT NULL AND",
        "IF false AND",
        (RULES + "test_a_request_names_one_operation_for_ever[origin]",),
    ),
    Mutant(
        "nothing is deleted",
        FROZEN,
        "    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE DELETE ON %I FOR EACH STATEMENT"
        " EXECUTE FUNCTION refuse_change()',\n                   t || '_is_kept', t);\n",
        "    EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I', t || '_is_kept', t);\n",
        (
            RULES
            + "test_nothing_is_deleted_or_emptied_not_even_by_its_owner_or_a_replica[log_event]",
        ),
    ),
    Mutant(
        "nothing is emptied",
        FROZEN,
        "    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT"
        " EXECUTE FUNCTION refuse_change()',\n                   t || '_is_never_emptied', t);\n",
        "    EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I', t || '_is_never_emptied', t);\n",
        (
            RULES
            + "test_nothing_is_deleted_or_emptied_not_even_by_its_owner_or_a_replica[log_event]",
        ),
    ),
    Mutant(
        "kept in replica mode",
        FROZEN,
        "ENABLE ALWAYS TRIGGER %I",
        "ENABLE TRIGGER %I",
        (
            RULES + "test_a_fence_never_falls[replica]",
            RULES
            + "test_nothing_is_deleted_or_emptied_not_even_by_its_owner_or_a_replica[log_event]",
        ),
    ),
    # The log.
    Mutant(
        "an operation's move is logged",
        LOG,
        "AFTER UPDATE OF state ON operation FOR EACH ROW\n  WHEN (OLD.state IS DISTINCT FROM NEW.state)",
        "AFTER UPDATE OF state ON operation FOR EACH ROW\n  WHEN (false)",
        (LOGGED + "test_what_every_operation_and_effect_went_through_can_be_replayed",),
    ),
    Mutant(
        "an effect's move is logged",
        LOG,
        "AFTER UPDATE OF state ON effect FOR EACH ROW\n  WHEN (OLD.state IS DISTINCT FROM NEW.state)",
        "AFTER UPDATE OF state ON effect FOR EACH ROW\n  WHEN (false)",
        (LOGGED + "test_what_every_operation_and_effect_went_through_can_be_replayed",),
    ),
    Mutant(
        "moves are logged in replica mode",
        LOG,
        "ALTER TABLE operation ENABLE ALWAYS TRIGGER operation_move_is_logged;",
        "",
        (RULES + "test_moves_are_refused_and_logged_in_replica_mode_too[replica]",),
    ),
    Mutant(
        "an event's body is one object",
        LOG,
        "IF NOT (p_body IS JSON OBJECT WITH UNIQUE KEYS) THEN",
        "IF false THEN",
        (RULES + "test_the_body_of_an_event_is_one_json_object[[]]",),
    ),
    Mutant(
        "events are numbered under the operation's lock",
        LOG,
        "UPDATE operation SET event_count = event_count + 1 WHERE id = p_operation\n"
        "    RETURNING ref, event_count INTO STRICT v_ref, v_number;",
        "SELECT ref, 1 + (SELECT max(number) FROM log_event WHERE operation_id = p_operation)"
        " INTO STRICT v_ref, v_number FROM operation WHERE id = p_operation;",
        (LOGGED + "test_two_who_append_at_once_take_turns",),
        raises="django.db.utils.IntegrityError",
    ),
    # Rights.
    Mutant(
        "web settles nothing",
        GRANTS,
        "GRANT INSERT ON draft, pull TO steadyhand_web;",
        "GRANT INSERT ON draft, pull TO steadyhand_web; GRANT UPDATE (state) ON effect TO steadyhand_web;",
        (ROLES + "test_each_role_writes_only_the_tables_that_it_needs[UPDATE-web]",),
    ),
    Mutant(
        "web reads no realm's settings",
        GRANTS,
        "realm_user_grant, realm_group_grant,\n  caller_groups TO steadyhand_worker;",
        "realm_user_grant, realm_group_grant,\n  caller_groups TO steadyhand_worker, steadyhand_web;",
        (
            ROLES + "test_web_neither_settles_nor_makes_nor_reads_what_realms_keep"
            "[SELECT settings FROM realm_version]",
        ),
    ),
    Mutant(
        "a worker issues nothing",
        GRANTS,
        "GRANT EXECUTE ON FUNCTION issue_end, cancel_unsent,",
        "GRANT EXECUTE ON FUNCTION issue, issue_end, cancel_unsent,",
        (
            ROLES + "test_a_worker_cannot_issue",
            ROLES + "test_each_role_executes_only_the_functions_that_it_needs[worker]",
        ),
    ),
    Mutant(
        "public executes nothing",
        GRANTS,
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC,",
        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM",
        (ROLES + "test_public_may_execute_none_of_our_functions_and_read_none_of_our_tables",),
    ),
    Mutant(
        "a pinned path",
        LOG,
        "CREATE OR REPLACE FUNCTION log_append(p_operation bigint, p_kind text, p_body text) RETURNS void\n"
        "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS",
        "CREATE OR REPLACE FUNCTION log_append(p_operation bigint, p_kind text, p_body text) RETURNS void\n"
        "LANGUAGE plpgsql SECURITY DEFINER AS",
        (
            ROLES + "test_functions_that_run_as_their_owner_look_names_up_in_a_pinned_path",
            ROLES + "test_a_table_of_the_callers_own_does_not_stand_in_for_ours",
        ),
    ),
    Mutant(
        "issue: only the event of a request",
        ISSUE,
        "IF NOT (p_body IS JSON OBJECT WITH UNIQUE KEYS)",
        "IF false AND NOT (p_body IS JSON OBJECT WITH UNIQUE KEYS)",
        (ROLES + "test_web_writes_no_event_that_is_no_json",),
        raises="Failed",
    ),
    Mutant(
        "issue: the console asks only through issue_end",
        ISSUE,
        "IF session_user = 'steadyhand_web' AND (p_via",
        "IF false AND (p_via",
        (ROLES + "test_web_does_not_ask_as_the_console",),
        raises="Failed",
    ),
    Mutant(
        "log_append: only what a process may tell",
        LOG,
        "IF (session_user = 'steadyhand_web' AND p_kind <> 'incident.opened')",
        "IF false",
        (ROLES + "test_a_process_cannot_tell_the_log_what_it_did_not_do[web-effect.moved]",),
    ),
    Mutant(
        "a worker decides nothing",
        FROZEN,
        "IF session_user = 'steadyhand_worker' AND NEW.state IN",
        "IF false AND NEW.state IN",
        (ROLES + "test_a_worker_approves_nothing_and_withdraws_nothing",),
    ),
    Mutant(
        "issue_end: a failed lift is none",
        ISSUE_END,
        "v_later && ARRAY['succeeded', 'partial', 'parked']",
        "v_later && ARRAY['succeeded', 'partial', 'parked', 'failed']",
        (ENDS + "test_an_end_waits_for_a_lift_under_way_and_is_issued_if_it_fails",),
    ),
    Mutant(
        "issue_end: a key for each generation that it is decided on",
        ISSUE_END,
        "'end:' || o.ref || ':' || p_decided_on",
        "'end:' || o.ref",
        (ENDS + "test_an_end_that_was_superseded_unsent_is_issued_again",),
    ),
    Mutant(
        "issue_end: of what failed, nothing is lifted",
        ISSUE_END,
        "IN ('declined', 'expired', 'cancelled', 'failed', 'superseded')",
        "IN ('declined', 'expired', 'cancelled', 'superseded')",
        (ENDS + "test_the_end_of_a_ban_that_failed_lifts_nothing",),
    ),
)
