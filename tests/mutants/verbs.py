"""The guards of finish, cancel, decide and undo, each taken out once."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SQL = "actions/sql/verbs.sql"
ACT = "actions/act.py"
FINISH = "actions/finish.py"
CANCEL = "actions/withdraw.py"
DECIDE = "actions/decide.py"
UNDO = "actions/undoable.py"
ONE = "tests/contracts/test_finish_and_cancel.py::"
TWO = "tests/contracts/test_decide_and_undo.py::"

MUTANTS = (
    Mutant(
        "a verb is decided on the state that is there",
        SQL,
        "IF o.state <> p_state OR p_newest",
        "IF p_newest",
        (ONE + "test_two_who_finish_at_once_meet",),
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "a cancel is decided on the state that is there",
        SQL,
        "IF o.state <> p_state OR p_newest",
        "IF p_newest",
        (ONE + "test_a_cancel_that_was_decided_before_it_was_taken_up_is_decided_again",),
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "only the newest is set going, in the database",
        SQL,
        "IF p_disposition = 'resumed' AND NOT v_newest THEN",
        "IF false THEN",
        (TWO + "test_the_web_process_cannot_finish_an_older_generation",),
    ),
    Mutant(
        "a decision has a reason, in the database",
        SQL,
        "v_body ->> 'reason' ~ '\\S' AND ",
        "",
        (
            TWO
            + "test_the_web_process_cannot_tell_a_verb_falsely[decided-decide-succeeded-change0]",
        ),
    ),
    Mutant(
        "a decision names who decided, in the database",
        SQL,
        "                      AND c.username = v_body ->> 'by'), false)",
        "                      ), false)",
        (
            TWO
            + "test_the_web_process_cannot_tell_a_verb_falsely[decided-decide-succeeded-change1]",
        ),
    ),
    Mutant(
        "a decision is logged as it is made, in the database",
        SQL,
        " AND (p_verb <> 'decide' OR v_body ->> 'to' = p_to)\n",
        "\n",
        (
            TWO
            + "test_the_web_process_cannot_tell_a_verb_falsely[decided-decide-succeeded-change2]",
        ),
    ),
    Mutant(
        "a person decides, in the database",
        SQL,
        "AND c.kind = 'person' AND c.is_active",
        "AND c.is_active",
        (
            TWO
            + "test_the_web_process_cannot_tell_a_verb_falsely[decided-decide-succeeded-change3]",
        ),
    ),
    Mutant(
        "a decision is of an effect that is parked",
        SQL,
        "e.operation_id = o.id AND e.state = 'parked')",
        "e.operation_id = o.id)",
        (TWO + "test_the_second_effect_decided_meanwhile_is_decided_again",),
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "what a later generation overtook is not set running",
        SQL,
        "  IF p_newest THEN\n    UPDATE operation SET state = 'running'",
        "  IF true THEN\n    UPDATE operation SET state = 'running'",
        (TWO + "test_after_a_later_generation_it_is_only_said_what_it_was",),
        raises="psycopg.errors.UniqueViolation",
    ),
    Mutant(
        "what waits behind it is left to the keeper",
        SQL,
        "IF 'blocked' = ANY(v_states) THEN",
        "IF false THEN",
        (TWO + "test_what_waits_behind_it_is_left_to_whoever_rolls_it_up",),
    ),
    Mutant(
        "a key means one verb",
        ACT,
        '                "verb": self.name,\n',
        "",
        (ONE + "test_a_key_that_stands_for_another_verb_is_refused",),
    ),
    Mutant(
        "rights before a verb",
        ACT,
        "if decision is None or (_in_scope(case) and excused(case, decision)):",
        "if True:",
        (
            ONE + "test_who_lost_the_right_finishes_nothing",
            TWO + "test_who_may_not_ask_for_the_action_decides_nothing",
        ),
    ),
    Mutant(
        "who may cancel",
        CANCEL,
        "lambda case, no: case.own)",
        "lambda case, no: True)",
        (
            ONE + "test_who_neither_asked_nor_may_ask_cancels_nothing",
            "tests/contracts/test_waiting.py::"
            "test_who_may_ask_for_the_action_and_in_none_of_its_systems_cancels_nothing_of_others",
        ),
    ),
    Mutant(
        "only the newest is finished",
        FINISH,
        "if case.is_newest or newest is None:",
        "if True:",
        (ONE + "test_only_the_newest_generation_is_finished",),
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "what is parked is not finished",
        FINISH,
        "if state == OperationState.PARKED and EffectState.FAILED not in case.states:",
        "if False:",
        (ONE + "test_a_parked_operation_is_finished_only_where_something_failed",),
    ),
    Mutant(
        "a realm that is gone",
        FINISH,
        "    if gone:\n",
        "    if False:\n",
        (ONE + "test_a_realm_that_is_gone_is_not_set_going",),
    ),
    Mutant(
        "a machine decides nothing",
        DECIDE,
        'if case.seen.caller_kind != "person":',
        "if False:",
        (TWO + "test_a_machine_decides_nothing",),
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "what was overtaken is not sent again",
        DECIDE,
        "return _not_again(case) or Decision(",
        "return Decision(",
        (TWO + "test_after_a_later_generation_it_is_only_said_what_it_was",),
        raises="psycopg.DatabaseError",
    ),
    Mutant(
        "an undo leaves what was so already",
        UNDO,
        'if _in_place(e) and e["found"] == Found.CHANGED)',
        "if _in_place(e))",
        (TWO + "test_an_undo_takes_back_what_we_changed_and_leaves_what_was_so_already",),
    ),
    Mutant(
        "what is not known is put to the person",
        UNDO,
        "if unclear and not ask.undoes.not_known:",
        "if False:",
        (TWO + "test_what_is_not_known_is_put_to_the_person[parked-unsaid]",),
    ),
    Mutant(
        "only the newest is undone",
        UNDO,
        'if newest is None or newest["id"] != undone["id"] or busy:',
        "if False:",
        (TWO + "test_only_the_newest_generation_is_undone",),
    ),
    Mutant(
        "what is not settled is not undone",
        UNDO,
        'if busy and undone["state"] != states.OperationState.SUPERSEDED:',
        "if False:",
        (TWO + "test_what_is_not_settled_is_not_undone",),
    ),
    Mutant(
        "an operation is undone once",
        UNDO,
        "return _undone_already(seen) or _not_now",
        "return _not_now",
        (TWO + "test_two_who_undo_at_once_make_one_undo",),
    ),
    Mutant(
        "what an undo undoes is part of what a key stands for",
        "actions/ask.py",
        "                **undo,\n",
        "",
        (TWO + "test_the_same_key_undoes_once",),
    ),
    Mutant(
        "an undo stays on its lane",
        "actions/sql/issue.sql",
        "WHERE u.id = p_undoes AND u.subject_id = v_subject AND u.lane = p_lane;",
        "WHERE u.id = p_undoes;",
        (TWO + "test_an_undo_of_another_lane_is_refused_by_the_database",),
    ),
)
