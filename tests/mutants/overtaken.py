"""What was sent before a later generation came: each guard that keeps its record true."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SQL = "actions/sql/overtake.sql"
OVERTAKEN = "tests/contracts/test_overtaken.py::"
READ = OVERTAKEN + "test_it_is_read_not_sent_and_then_the_later_one_goes"

MUTANTS = (
    Mutant(
        "overtaken: sent is not unsent",
        SQL,
        "AND e.state = 'ready' AND e.redo IN ('natural', 'keyed')",
        "AND false",
        (READ, OVERTAKEN + "test_a_no_to_the_redo_says_nothing_of_the_first_call"),
    ),
    Mutant(
        "overtaken: a definite no is no doubt",
        SQL,
        " AND a.outcome IN ('', 'unknown')",
        "",
        (OVERTAKEN + "test_what_was_only_put_off_is_cancelled_as_never_sent",),
    ),
    Mutant(
        "overtaken: what was settled by a person",
        SQL,
        " AND a.number > e.attempts_before",
        "",
        (OVERTAKEN + "test_what_a_person_set_going_after_it_was_parked_was_settled_before",),
    ),
    Mutant(
        "overtaken: one open in a lane and realm",
        SQL,
        "WHEN unique_violation THEN",
        "WHEN division_by_zero THEN",
        (
            OVERTAKEN
            + "test_where_another_change_is_under_way_no_reading_could_tell_so_a_person_must_look",
        ),
        raises="UniqueViolation",
    ),
    Mutant(
        "overtaken: it is not sent again",
        "actions/reconcile.py",
        "redo = not (overtaken or row",
        "redo = not (row",
        (READ,),
    ),
    Mutant(
        "overtaken: the later one does not wait for ever",
        "actions/reconcile.py",
        "EffectState.PARKED if doubt.lasts > PARK_OVERTAKEN_AFTER else None",
        "None",
        (
            OVERTAKEN
            + "test_what_cannot_be_read_holds_the_later_one_up_for_a_minute_and_a_person_looks",
        ),
    ),
    Mutant(
        "overtaken: what settles after it came",
        "actions/settle.py",
        '        database.value(_CANCEL_UNSENT, {"operation": operation.pk})\n',
        "        steps.cancel(operation.effects.filter(state__in=sorted(states.UNSENT)))\n",
        (OVERTAKEN + "test_a_no_to_the_redo_says_nothing_of_the_first_call",),
    ),
)
