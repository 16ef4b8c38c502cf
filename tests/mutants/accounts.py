"""The guards of accounts, secrets and made values, each taken out once."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

VALUES = "actions/sql/values.sql"
NAMING = "actions/naming.py"
ACCOUNTS = "tests/contracts/test_accounts.py::"
BROWSER = "tests/browser/test_accounts_and_secrets.py::"
SHOWN = "tests/contracts/test_values.py::"

MUTANTS = (
    # What was ours.
    Mutant(
        "what others disabled is left",
        "actions/catalogue/restore_account.py",
        'and last.found == "so_already":',
        'and last.found == "never":',
        (ACCOUNTS + "test_an_account_that_others_disabled_stays_disabled",),
    ),
    Mutant(
        "what is on no record is left",
        "actions/catalogue/restore_account.py",
        "        if last is None:\n            return",
        "        if last is None and False:\n            return",
        (ACCOUNTS + "test_an_account_that_we_never_suspended_is_not_ours_to_restore",),
        raises="AttributeError",
    ),
    Mutant(
        "what we changed stays ours when it is done again",
        "actions/sql/facts.sql",
        "s.realm_id = k.realm_id AND s.id <= k.id",
        "s.realm_id = k.realm_id AND s.id = k.id",
        (ACCOUNTS + "test_what_we_suspended_is_ours_though_it_was_suspended_again",),
    ),
    Mutant(
        "what we gave back is no longer ours",
        "actions/sql/facts.sql",
        "AND d.desired <> k.desired)",
        "AND false)",
        (ACCOUNTS + "test_what_we_gave_back_and_others_took_is_not_ours",),
    ),
    Mutant(
        "who cannot block does not cut",
        "actions/plan.py",
        "    effects = [effect for effect in effects if effect.realm in able]\n",
        "",
        (ACCOUNTS + "test_a_system_that_cannot_block_is_not_said_to_have_suspended_anybody",),
    ),
    # Repeats.
    Mutant(
        "an old rotation is not enough",
        "actions/catalogue/rotate_secret.py",
        "        if now - standing.at > ENOUGH:\n            return Relation.LAPSED\n",
        "",
        (
            ACCOUNTS + "test_a_rotation_is_enough_for_its_incident_for_four_hours",
            ACCOUNTS + "test_an_old_rotation_is_stale_until_it_is_ordered_again",
        ),
    ),
    Mutant(
        "a rotation is enough for its own incident",
        "actions/catalogue/rotate_secret.py",
        "Relation.COVERED if same else Relation.MORE",
        "Relation.COVERED",
        (ACCOUNTS + "test_a_rotation_is_enough_for_its_incident_for_four_hours",),
    ),
    Mutant(
        "what lapsed is stale",
        "actions/compare.py",
        "if case.relation is Relation.LAPSED and not _orders_again(case):",
        "if False:",
        (ACCOUNTS + "test_an_old_rotation_is_stale_until_it_is_ordered_again",),
    ),
    Mutant(
        "a session opened since the cut-off counts",
        "actions/catalogue/revoke_sessions.py",
        "if near and not opened_since else",
        "if near else",
        (ACCOUNTS + "test_a_session_read_since_the_cut_off_makes_the_next_one_more",),
    ),
    # Names.
    Mutant(
        "a look is new",
        NAMING,
        " AND taken_at >= %(since)s\n",
        "\n",
        (ACCOUNTS + "test_an_old_look_is_not_gone_by",),
    ),
    Mutant(
        "who may see the realm",
        "actions/sql/naming.sql",
        " AND {{may_see_realm}}",
        "",
        (ACCOUNTS + "test_somebody_without_a_right_on_the_realm_learns_nothing_of_its_names",),
    ),
    Mutant(
        "a key stays with its account",
        NAMING,
        "_before(asker, key, name) or _found",
        "_found",
        (ACCOUNTS + "test_a_request_sent_again_is_about_the_same_account_unlooked",),
        raises="actions.errors.SubjectRefused",
    ),
    Mutant(
        "an id has one name",
        "actions/realm_names.py",
        r"(?!0[0-9]+\Z)",
        "",
        (ACCOUNTS + "test_what_is_no_name_of_an_account_is_refused",),
    ),
    # Made values.
    Mutant(
        "who asked",
        VALUES,
        "IF o.id IS NULL OR NOT (o.requested_by_id = p_caller OR EXISTS (",
        "IF o.id IS NULL OR NOT (true OR EXISTS (",
        (
            SHOWN + "test_another_responder_is_neither_shown_it_nor_can_erase_it",
            SHOWN + "test_who_was_told_that_it_stands_already_is_not_shown_it",
        ),
    ),
    Mutant(
        "told that it stands is not asking",
        VALUES,
        " AND a.disposition = 'created' AND",
        " AND",
        (SHOWN + "test_who_was_told_that_it_stands_already_is_not_shown_it",),
    ),
    Mutant(
        "15 minutes",
        VALUES,
        " OR until <= clock_timestamp()\n",
        "\n",
        (SHOWN + "test_15_minutes_after_it_settled_or_failed_it_is_gone_and_then_erased",),
    ),
    Mutant(
        "what is acknowledged is not shown",
        VALUES,
        "m.sealed IS NULL OR m.acknowledged_at IS NOT NULL OR until",
        "m.sealed IS NULL OR until",
        (SHOWN + "test_what_is_not_settled_is_kept_for_its_steps_though_it_is_acknowledged",),
    ),
    Mutant(
        "each showing is logged",
        VALUES,
        "  PERFORM log_numbered(v_operation, 'value.shown', value_event(p_caller, p_via));\n",
        "",
        (SHOWN + "test_ana_is_shown_it_twice_says_that_she_has_it_and_it_is_gone",),
    ),
    Mutant(
        "what is acknowledged is erased",
        VALUES,
        "    PERFORM erase_value(v_operation);\n",
        "",
        (SHOWN + "test_ana_is_shown_it_twice_says_that_she_has_it_and_it_is_gone",),
    ),
    # On the page.
    Mutant(
        "a value that is shown stays while the page follows the run",
        "templates/operation.html",
        " data-hx-preserve",
        "",
        (BROWSER + "test_a_new_value_is_shown_copied_and_gone_once_she_has_it",),
        raises="playwright._impl._errors.TimeoutError",
    ),
    Mutant(
        "a wait that was planned is told apart from a run",
        "console/steps.py",
        "return min(moments) if moments and waiting else None",
        "return None",
        (BROWSER + "test_a_new_value_is_shown_copied_and_gone_once_she_has_it",),
    ),
)
