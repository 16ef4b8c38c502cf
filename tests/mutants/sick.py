"""Sick systems: when one is left alone, who may try it, how many at once, and what it costs the others."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

HEALTH, OUTBOX = "actions/health.py", "actions/outbox.py"
TIME_OUTS = "tests/architecture/test_time_outs.py::test_"
SICK = "tests/contracts/test_realm_health.py::test_"

MUTANTS = (
    Mutant(
        "sick: nobody calls one that is left alone",
        HEALTH,
        "WHERE realm_id = %(realm)s AND paused_at IS NULL AND (failures >=",
        "WHERE false AND (failures >=",
        (SICK + "after_three_calls_for_nothing_nobody_calls_and_nothing_is_spent",),
    ),
    Mutant(
        "sick: nothing there is due",
        OUTBOX,
        " WHERE {health.MAY_BE_TRIED} AND jsonb_exists",
        " WHERE jsonb_exists",
        (SICK + "after_three_calls_for_nothing_nobody_calls_and_nothing_is_spent",),
    ),
    Mutant(
        "sick: one tries at a time",
        HEALTH,
        "   AND (probe IS NULL OR probe_until <= clock_timestamp())\n",
        "",
        (SICK + "once_its_rest_is_over_one_tries_and_its_success_sets_all_going",),
    ),
    Mutant(
        "sick: who tries has to be the one",
        OUTBOX,
        "        if paused and not health.take_probe(realm, attempt, LEASE):",
        "        if False:",
        (SICK + "once_its_rest_is_over_one_tries_and_its_success_sets_all_going",),
    ),
    Mutant(
        "sick: a success sets all going",
        HEALTH,
        "(paused_at IS NULL AND failures > 0 OR probe = %(attempt)s)\n",
        "paused_at IS NULL AND failures > 0\n",
        (SICK + "once_its_rest_is_over_one_tries_and_its_success_sets_all_going",),
    ),
    Mutant(
        "sick: only who tries it ends its rest",
        HEALTH,
        "(paused_at IS NULL AND failures > 0 OR probe = %(attempt)s)\n",
        "(failures > 0 OR probe = %(attempt)s)\n",
        (SICK + "an_answer_to_a_call_from_before_neither_ends_nor_lengthens_its_rest",),
    ),
    Mutant(
        "sick: in a row",
        HEALTH,
        "elif isinstance(outcome, Applied | Refused):",
        "elif isinstance(outcome, Applied):",
        (SICK + "any_answer_is_a_sign_of_health_also_a_no",),
    ),
    Mutant(
        "sick: only what reached it counts",
        "actions/deliver.py",
        'return Told(RetryLater(f"It could not be made ready: {type(error).__name__}."))',
        'return Told(RetryLater(f"It could not be made ready: {type(error).__name__}."), asked=True)',
        (SICK + "what_never_reached_the_system_says_nothing_of_it",),
    ),
    Mutant(
        "sick: the rest doubles",
        HEALTH,
        "rest = least(2 * rest, %(longest)s),",
        "rest = least(rest, %(longest)s),",
        (SICK + "each_try_for_nothing_doubles_the_rest_and_a_system_that_asks_for_more_gets_it",),
    ),
    Mutant(
        "sick: longer, if it asks for that",
        HEALTH,
        "greatest(least(2 * rest, %(longest)s), %(after)s)",
        "least(2 * rest, %(longest)s)",
        (SICK + "each_try_for_nothing_doubles_the_rest_and_a_system_that_asks_for_more_gets_it",),
    ),
    Mutant(
        "sick: one that says when is not asked before",
        HEALTH,
        "(failures >= %(most)s OR %(after)s > 0)",
        "failures >= %(most)s",
        (SICK + "a_system_that_says_when_to_come_again_is_not_asked_before_by_anybody",),
    ),
    Mutant(
        "sick: who tries without asking lets go",
        HEALTH,
        "        _run(_LET_GO, given)\n",
        "        pass\n",
        (SICK + "who_tries_without_asking_lets_the_next_try_at_once",),
    ),
    Mutant(
        "sick: its rest is not spent",
        "actions/settle.py",
        "       + greatest({health.RESTED} - e.rested_before, 0) AS left",
        "       AS left",
        (SICK + "the_time_for_which_its_realm_was_left_alone_is_not_spent_on_an_effect",),
    ),
    Mutant(
        "sick: rests are summed up",
        HEALTH,
        "rested = CASE WHEN paused_at IS NULL THEN rested ELSE %(rested)s END,",
        "",
        (SICK + "once_its_rest_is_over_one_tries_and_its_success_sets_all_going",),
    ),
    Mutant(
        "sick: the log tells it",
        "actions/sql/health.sql",
        "ALTER TABLE realm_health ENABLE ALWAYS TRIGGER realm_pause_is_logged;",
        "ALTER TABLE realm_health DISABLE TRIGGER realm_pause_is_logged;",
        (SICK + "after_three_calls_for_nothing_nobody_calls_and_nothing_is_spent",),
    ),
    Mutant(
        "sick: a place each",
        "actions/migrations/0004_realm_health.py",
        "fields=('realm', 'place')",
        "fields=('realm', 'place', 'subject')",
        (SICK + "two_who_want_the_same_place_do_not_both_get_it",),
    ),
    Mutant(
        "sick: as many places as it bears",
        OUTBOX,
        "generate_series(1, %(at_once)s) p",
        "generate_series(1, %(at_once)s + 3) p",
        (SICK + "no_more_are_under_way_in_a_realm_than_it_bears_and_the_others_spend_nothing",),
    ),
    Mutant(
        "sick: nobody is rung for what finds no place",
        "actions/bell.py",
        "if at <= now and not one.full:",
        "if at <= now:",
        (SICK + "no_more_are_under_way_in_a_realm_than_it_bears_and_the_others_spend_nothing",),
    ),
    Mutant(
        "sick: one look a rest",
        "actions/reconcile.py",
        "silent = set(health.not_read_now())",
        "silent = set()",
        (SICK + "doubts_in_a_realm_that_is_left_alone_are_looked_at_by_one_look_a_rest",),
    ),
    Mutant(
        "sick: one look a rest for pages too",
        "actions/reader.py",
        "if until := health.not_read_now().get(row.realm_id):",
        "if until := None:",
        (SICK + "pages_that_ask_for_looks_at_a_silent_system_get_one_a_rest",),
    ),
    Mutant(
        "sick: who may not see a system is not told of it",
        "actions/paused.py",
        '{_PAUSED} AND {granted("realm", "see_realm", "m.id", "%(caller)s::uuid")}',
        "{_PAUSED}",
        (SICK + "the_board_and_the_operation_say_that_its_system_does_not_answer",),
    ),
    Mutant(
        "sick: the operation says what it waits for",
        "console/views/effects.py",
        'if silent is not None and effect["state"] == "ready":',
        "if False:",
        (SICK + "the_board_and_the_operation_say_that_its_system_does_not_answer",),
    ),
    # Time-outs.
    Mutant(
        "time-outs: transactions",
        "console/limits.py",
        '    "transaction_timeout": "30s",\n',
        "",
        (TIME_OUTS + "every_process_gives_up_in_time[web]",),
    ),
    Mutant(
        "time-outs: the line",
        "console/limits.py",
        '    "tcp_user_timeout": 10_000,\n',
        "",
        (TIME_OUTS + "every_process_gives_up_in_time[worker and keeper]",),
    ),
    Mutant(
        "time-outs: the owner's too",
        "console/settings.py",
        'limits.SETTING_UP if ROLE == "owner" else limits.AT_WORK',
        '{} if ROLE == "owner" else limits.AT_WORK',
        (TIME_OUTS + "every_process_gives_up_in_time[commands of the owner]",),
    ),
    Mutant(
        "time-outs: the queue's pool",
        "console/pgmq.py",
        "            self._whole,\n            min_size",
        '            options["conn_string"],\n            min_size',
        (TIME_OUTS + "every_process_gives_up_in_time[the queue]",),
    ),
    Mutant(
        "time-outs: a connector's own line",
        "actions/database.py",
        '_OURS = ("server_side_binding",',
        '_OURS = ("tcp_user_timeout", "server_side_binding",',
        (TIME_OUTS + "every_process_gives_up_in_time[a connector's own]",),
    ),
    Mutant(
        "time-outs: what the URL says of the line",
        "console/settings.py",
        "        **given,\n",
        "",
        (TIME_OUTS + "what_the_url_says_of_the_line_is_kept",),
    ),
)
