"""The guards where two parts meet, each taken out once."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

VALUES = "actions/sql/values.sql"
SEAMS = "tests/contracts/test_seams.py::"

MUTANTS = (
    Mutant(
        "a cut on another lane makes nothing ours to give back",
        "actions/undoable.py",
        "    ours = on_its_lane(undone)",
        '    ours = undone["effects"]',
        (SEAMS + "test_undoing_a_suspension_does_not_let_in_whom_others_had_disabled",),
    ),
    Mutant(
        "a cut that is not known is put to nobody",
        "actions/undoable.py",
        "        for effect in on_its_lane(undone)\n",
        '        for effect in undone["effects"]\n',
        (SEAMS + "test_nobody_is_asked_what_to_do_about_a_cut_that_no_undo_can_take_back",),
    ),
    Mutant(
        "whom others disabled since a restoration is spared",
        "actions/catalogue/restore_account.py",
        'if last.otherwise and not last.desired["disabled"]:',
        "if False:",
        (SEAMS + "test_a_restoration_asked_again_leaves_disabled_whom_others_disabled_since",),
    ),
    Mutant(
        "what is unfinished and erased is more, not resumed",
        "actions/case.py",
        "if lacks or gone or",
        "if lacks or",
        (SEAMS + "test_a_failed_rotation_whose_value_is_erased_is_asked_for_anew_not_finished",),
    ),
    Mutant(
        "what is erased is not finished",
        "actions/finish.py",
        'if case.told.get("erased"):',
        "if False:",
        (SEAMS + "test_a_failed_rotation_whose_value_is_erased_is_asked_for_anew_not_finished",),
    ),
    Mutant(
        "what is parked is not settled: its value is kept",
        VALUES,
        "     AND ((o.settled_at IS NOT NULL AND o.state <> 'parked' AND (m.acknowledged_at IS NOT NULL\n"
        "            OR",
        "     AND ((o.settled_at IS NOT NULL AND (m.acknowledged_at IS NOT NULL\n            OR",
        (SEAMS + "test_a_value_is_kept_while_a_person_has_to_decide",),
    ),
    Mutant(
        "what is parked is not settled: its value is shown",
        VALUES,
        "CASE WHEN o.state <> 'parked' THEN o.settled_at + interval '15 minutes' END",
        "o.settled_at + interval '15 minutes'",
        (SEAMS + "test_a_value_is_kept_while_a_person_has_to_decide",),
        raises="actions.errors.Refusal",
    ),
    Mutant(
        "the console uses no verb, in the database",
        "actions/sql/verbs.sql",
        """  IF session_user = 'steadyhand_web' AND (p_via""",
        """  IF false AND (p_via""",
        (
            "tests/contracts/test_decide_and_undo.py::"
            "test_the_web_process_cannot_finish_in_the_name_of_the_console",
        ),
    ),
    Mutant(
        "web makes nothing that passes for an end, in the database",
        "actions/sql/issue.sql",
        " OR p_because LIKE 'end of @%'",
        "",
        ("tests/contracts/test_roles.py::test_web_makes_nothing_that_passes_for_an_end",),
    ),
    Mutant(
        "many looks at one system keep no other waiting",
        "actions/reader.py",
        'rows.order_by("since")]',
        'rows.order_by("since")[:1]]',
        (
            "tests/contracts/test_readings.py::"
            "test_a_thousand_looks_at_one_system_keep_no_other_from_its_turn",
        ),
    ),
    Mutant(
        "rights come once, with the row of an action",
        "console/world.py",
        "            if made:\n",
        "            if True:\n",
        (
            "tests/contracts/test_example_realms.py::"
            "test_rights_on_an_action_that_were_taken_away_are_not_given_again",
        ),
    ),
    Mutant(
        "rights come with the row of an action",
        "console/world.py",
        "            if made:\n",
        "            if False:\n",
        (
            "tests/contracts/test_example_realms.py::"
            "test_an_action_of_a_later_version_comes_with_its_rights",
        ),
    ),
    Mutant(
        "drift put right ends no sooner than what had stood",
        "actions/case.py",
        "            intent = mended.at_least(intent, intent_of(standing))\n",
        "",
        (
            "tests/contracts/test_readings.py::"
            "test_drift_put_right_by_who_asks_for_less_does_not_end_sooner[24h]",
            "tests/contracts/test_readings.py::"
            "test_drift_put_right_by_who_asks_for_less_does_not_end_sooner[None]",
        ),
    ),
)
