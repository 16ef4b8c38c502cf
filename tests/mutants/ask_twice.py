"""The guards of what asks twice, each taken out once."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

APPROVALS = "actions/sql/approvals.sql"
LIMITS = "actions/limits.py"
TWICE = "tests/contracts/test_ask_twice.py::"
AGREE = "tests/contracts/test_approvals.py::test_python_and_the_database_ask_for_the_same"

MUTANTS = (
    Mutant(
        "what asks twice needs somebody",
        LIMITS,
        'return found is not None and found.level == "ask_twice" and not gives_back(desired)',
        "return False",
        (TWICE + "test_a_responders_address_waits_for_a_second_person_and_then_runs",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "what asks twice needs somebody, as the database judges it too",
        "actions/sql/limits.sql",
        "->> 'level' = 'ask_twice', false);",
        "->> 'level' = 'nothing', false);",
        (TWICE + "test_a_responders_address_waits_for_a_second_person_and_then_runs",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "what only waits is written",
        "actions/sql/limits.sql",
        "NOT (o.state = 'awaiting_approval' AND NEW.state = 'held')",
        "true",
        (TWICE + "test_a_responders_address_waits_for_a_second_person_and_then_runs",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "what asks twice is typed",
        LIMITS,
        '(ask.subject.label if twice else "")',
        '""',
        (
            TWICE + "test_a_responders_address_waits_for_a_second_person_and_then_runs",
            TWICE + "test_who_goes_alone_needs_nobody_but_types_it",
        ),
    ),
    Mutant(
        "without a rule it is refused in words",
        "actions/compare.py",
        "    if decision := _alone(case):\n",
        "    if decision := None:\n",
        (TWICE + "test_without_anybody_to_agree_nothing_is_asked_for",),
        raises="actions.errors.NotRecorded",
    ),
    Mutant(
        "who goes alone needs nobody",
        "actions/compare.py",
        "    if seen.break_glass is not None:\n        return None\n",
        "",
        (TWICE + "test_who_goes_alone_needs_nobody_but_types_it",),
    ),
    Mutant(
        "without anybody plain SQL is refused",
        APPROVALS,
        "              ELSE o.approvals <> '[]' AND approvals_enough(o.id) END\n",
        "              ELSE approvals_enough(o.id) END\n",
        (
            TWICE + "test_without_anybody_to_agree_nothing_is_asked_for",
            TWICE + "test_what_is_protected_meanwhile_does_not_run[ask_twice]",
        ),
    ),
    Mutant(
        "break-glass must stand when it is sent",
        APPROVALS,
        "  SELECT CASE WHEN o.break_glass_id IS NOT NULL THEN break_glass_stands(o.break_glass_id)\n",
        "  SELECT CASE WHEN o.break_glass_id IS NOT NULL THEN true\n",
        (TWICE + "test_what_an_admin_closed_lets_nothing_run_that_asks_twice",),
    ),
    Mutant(
        "a rule for what is protected is for nothing else, in the database",
        APPROVALS,
        "           WHERE NOT r.protected\n",
        "           WHERE true\n",
        (AGREE,),
    ),
    Mutant(
        "a rule for what is protected is the last resort",
        "actions/approvals.py",
        "    if asks_twice and not found:\n",
        "    if asks_twice:\n",
        (AGREE,),
    ),
    Mutant(
        "what asks twice by now goes on only if somebody agreed",
        APPROVALS,
        "(w.needs = '[]' AND NOT w.twice)",
        "(w.needs = '[]')",
        (TWICE + "test_what_failed_and_asks_twice_by_now_goes_on_only_if_somebody_agrees",),
    ),
    Mutant(
        "what nobody agreed to does not go on",
        APPROVALS,
        "     AND o.approvals <> '[]'\n",
        "",
        (TWICE + "test_what_failed_and_asks_twice_by_now_goes_on_only_if_somebody_agrees",),
    ),
    Mutant(
        "the time to keep it begins when it is approved",
        APPROVALS,
        "    NEW.keep_by := coalesce(NEW.approved_at, clock_timestamp())",
        "    NEW.kept_at := NULL::timestamptz",
        (TWICE + "test_the_time_to_keep_it_counts_from_the_approval",),
        raises="psycopg.errors.CheckViolation",
    ),
    Mutant(
        "the time to keep it does not begin while it waits",
        "actions/sql/issue.sql",
        "CASE WHEN NOT v_waits THEN v_at + make_interval(secs => p_keep_for) END)",
        "v_at - interval '10 minutes' + make_interval(secs => p_keep_for))",
        (TWICE + "test_the_time_to_keep_it_counts_from_the_approval",),
    ),
    Mutant(
        "how long it has to be kept never changes",
        "actions/sql/frozen.sql",
        "break_glass_id, keep_for\n",
        "break_glass_id\n",
        (TWICE + "test_nobody_sets_or_moves_the_time_to_keep_it",),
    ),
    Mutant(
        "what waits may end any moment, too",
        LIMITS,
        '    if not facts.get("keep_for") or',
        '    if not facts.get("keep_by") or',
        (TWICE + "test_what_waits_and_may_end_any_moment_is_not_enough_for_anybody_else",),
    ),
)
