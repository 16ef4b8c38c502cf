"""The checks that a request meets in Python, each taken out once."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

COMPARE = "actions/compare.py"
CASE = "actions/case.py"
KEYED = "actions/keyed.py"
ISSUE = "actions/issue.py"
STANDING = "actions/standing.py"
LOOK = "actions/sql/look.sql"
TOLD = "tests/actions/test_compare.py::"
GUARDS = "tests/contracts/test_guards.py::"
ACTIONS = "tests/contracts/test_actions.py::"

MUTANTS = (
    Mutant(
        "the fingerprint",
        KEYED,
        " or key.fingerprint != fingerprint:",
        ":",
        (
            TOLD + "test_the_same_key_for_anything_else_is_refused",
            GUARDS + "test_one_key_sent_for_two_subjects_at_once_stands_for_one",
        ),
    ),
    Mutant(
        "the rules of the fingerprint",
        KEYED,
        "if key.rules != keys.RULES or key",
        "if key",
        (TOLD + "test_a_key_of_other_rules_is_not_compared",),
    ),
    Mutant(
        "the reason is part of what a key stands for",
        "actions/ask.py",
        '                "reason": self.reason,\n',
        "",
        (TOLD + "test_the_same_key_for_anything_else_is_refused",),
    ),
    Mutant(
        "the key is judged first",
        COMPARE,
        "by_key(ask, seen, fingerprint) or may_not(ask, seen)",
        "may_not(ask, seen) or by_key(ask, seen, fingerprint)",
        (TOLD + "test_the_key_is_judged_before_rights_and_lane",),
    ),
    Mutant(
        "a key closes",
        KEYED,
        "KEY_CLOSES_AFTER = timedelta(hours=24)",
        "KEY_CLOSES_AFTER = timedelta(days=24000)",
        (TOLD + "test_a_key_that_led_to_nothing_is_judged_again_for_24_hours_then_closed",),
    ),
    Mutant(
        "rights",
        COMPARE,
        "    if not seen.may_ask:\n",
        "    if False:\n",
        (
            TOLD + "test_who_may_not_is_refused",
            GUARDS + "test_rights_are_asked_for_before_anything_is_made",
        ),
    ),
    Mutant(
        "rights in each realm",
        COMPARE,
        "if not r.may_ask]",
        "if False]",
        (TOLD + "test_who_may_not_is_refused",),
    ),
    Mutant(
        "a token's scopes",
        COMPARE,
        'if seen.token is not None and f"ask:',
        'if False and f"ask:',
        (TOLD + "test_who_may_not_is_refused",),
    ),
    Mutant(
        "too soon",
        COMPARE,
        "TOO_SOON = timedelta(seconds=0.8)",
        "TOO_SOON = timedelta(seconds=0)",
        (TOLD + "test_a_confirm_within_0_8_seconds_of_the_first_showing_is_too_soon",),
    ),
    Mutant(
        "a draft goes stale",
        COMPARE,
        "case.seen.now - draft.created_at > DRAFT_GOES_STALE_AFTER",
        "False",
        (TOLD + "test_a_draft_older_than_30_minutes_is_stale",),
    ),
    Mutant(
        "a draft's end passes",
        COMPARE,
        "if case.intent.until is not None and case.intent.until <= case.seen.now:",
        "if False:",
        (TOLD + "test_a_draft_whose_end_has_passed_is_stale",),
    ),
    Mutant(
        "a draft's plan",
        COMPARE,
        "if draft.plan_digest != case.plan.digest:",
        "if False:",
        (TOLD + "test_a_draft_whose_plan_has_changed_is_stale",),
    ),
    Mutant(
        "seen is a guard",
        COMPARE,
        "case.relation is Relation.OPPOSED and ask.seen is not None and ask.seen < seen.moved_to",
        "False",
        (TOLD + "test_a_lift_that_saw_an_older_generation_is_stale",),
    ),
    Mutant(
        "seen is not of the future",
        COMPARE,
        "if ask.seen is not None and ask.seen > seen.generation:",
        "if False:",
        (TOLD + "test_a_generation_that_is_not_there_yet_was_not_seen",),
    ),
    Mutant(
        "against a person",
        COMPARE,
        "ask.seen is None and _against_a_person(case):",
        "False:",
        (TOLD + "test_a_token_does_not_ask_against_a_person_in_the_same_incident",),
    ),
    Mutant(
        "covered",
        COMPARE,
        "    _covered,\n    _conflict,",
        "    _conflict,",
        (
            TOLD + "test_a_ban_that_stands_long_enough_covers",
            GUARDS + "test_a_subject_is_made_once",
        ),
    ),
    Mutant(
        "covered in every realm",
        CASE,
        "lacks = any((e.realm, e.step) not in has for e in planned.effects)",
        "lacks = False",
        (TOLD + "test_a_ban_that_lacks_a_realm_is_not_enough",),
    ),
    Mutant(
        "again meets again",
        COMPARE,
        "return case.ask.again and case.ask.seen in {case.seen.generation, case.seen.moved_to}",
        "return case.ask.again",
        (
            TOLD + "test_again_orders_the_next_generation_once_and_with_a_reason_of_its_own",
            GUARDS + "test_two_who_order_it_again_from_one_generation_meet",
        ),
    ),
    Mutant(
        "again has a reason of its own",
        COMPARE,
        'if case.ask.again and standing and _same_words(case.ask.reason, standing["reason"]):',
        "if False:",
        (TOLD + "test_again_orders_the_next_generation_once_and_with_a_reason_of_its_own",),
    ),
    Mutant(
        "conflict",
        COMPARE,
        "    _conflict,\n",
        "",
        (TOLD + "test_a_lift_of_what_is_not_settled_conflicts_unless_it_was_seen",),
    ),
    Mutant(
        "width",
        COMPARE,
        "if too_wide := width_refusal(case.ask.subject):",
        "if too_wide := None:",
        (TOLD + "test_what_is_too_wide_is_refused",),
    ),
    Mutant(
        "an end that is not swallowed",
        "actions/catalogue/ban_network.py",
        "ENOUGH = Fraction(9, 10)",
        "ENOUGH = Fraction(8, 10)",
        (ACTIONS + "test_every_action[ban-network-has_exact_nine_tenths]",),
    ),
    Mutant(
        "no end is more than an end",
        "actions/catalogue/ban_network.py",
        "        if asked.until is None:\n            return Relation.MORE\n",
        "        if asked.until is None:\n            return Relation.COVERED\n",
        (ACTIONS + "test_every_action[ban-network-never_swallows]",),
    ),
    # Who asks.
    Mutant(
        "a token's digest",
        ISSUE,
        "known = token is not None and hmac.compare_digest(bytes(token.digest), who.token_digest)",
        "known = token is not None",
        (
            GUARDS + "test_a_token_is_known_by_its_digest_while_it_lives[another secret]",
            GUARDS + "test_a_token_is_known_by_its_digest_while_it_lives[no secret]",
        ),
    ),
    Mutant(
        "a token that is over",
        LOOK,
        "t.revoked_at IS NULL AND t.expires_at > now",
        "t.revoked_at IS NULL",
        (GUARDS + "test_a_token_is_known_by_its_digest_while_it_lives[over]",),
    ),
    Mutant(
        "a token that is withdrawn",
        LOOK,
        "t.revoked_at IS NULL AND t.expires_at > now",
        "t.expires_at > now",
        (GUARDS + "test_a_token_is_known_by_its_digest_while_it_lives[withdrawn]",),
    ),
    Mutant(
        "a token that does not live",
        ISSUE,
        "if token is None or not known or not token.live:",
        "if token is None or not known:",
        (
            GUARDS + "test_a_token_is_known_by_its_digest_while_it_lives[over]",
            GUARDS + "test_a_token_is_known_by_its_digest_while_it_lives[withdrawn]",
        ),
    ),
    Mutant(
        "a closed account",
        STANDING,
        'active = bool(row["is_active"])',
        "active = True",
        (GUARDS + "test_a_closed_account_asks_for_nothing",),
    ),
    # The answer that was lost.
    Mutant(
        "one arrival for all tries",
        ISSUE,
        "    while True:\n        try:\n            if may_be_written",
        "    while True:\n        arrival = uuid.uuid4()\n        try:\n            if may_be_written",
        (GUARDS + "test_a_write_whose_answer_was_lost_is_found_and_not_written_again",),
    ),
    Mutant(
        "moved is decided again",
        ISSUE,
        "        if error.sqlstate in database.TRY_AGAIN:\n            return None\n",
        "",
        (GUARDS + "test_a_generation_is_given_once_even_when_the_first_to_take_it_is_over",),
        raises="psycopg.DatabaseError: moved",
    ),
    Mutant(
        "a draft's first showing stays",
        "actions/prepare.py",
        " WHERE id = %s AND first_shown_at IS NULL RETURNING",
        " WHERE id = %s RETURNING",
        (GUARDS + "test_a_draft_remembers_its_first_showing",),
    ),
)
