"""Readings and drift: what is looked at, what counts of it, and what follows."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

FORCE = "actions/force.py"
COMPARE = "actions/compare.py"
CASE = "actions/case.py"
READ = "actions/read.py"
READER = "actions/reader.py"
TESTS = "tests/contracts/test_readings.py::"

MUTANTS = (
    Mutant(
        "drift: a generation of its own",
        CASE,
        "    if drift and standing is not None:\n        relation = Relation.MORE\n",
        "    if drift and standing is not None:\n",
        (TESTS + "test_drift_makes_the_next_generation_in_the_name_of_who_repeats",),
    ),
    Mutant(
        "drift: only what an action puts right",
        CASE,
        "Relation.COVERED and ask.action.mends",
        "Relation.COVERED",
        (TESTS + "test_what_no_action_puts_right_is_told_and_made_no_second_time",),
    ),
    Mutant(
        "drift: not put back under the old key",
        COMPARE,
        "if decision := by_key(ask, seen, fingerprint) or may_not(ask, seen):",
        "from actions import mended\n\n    told = seen.keyed"
        "\n    drift = told and mended.has_drifted(told, seen)"
        "\n    keyed = None if drift else by_key(ask, seen, fingerprint)"
        "\n    if decision := keyed or may_not(ask, seen):",
        (TESTS + "test_the_same_key_again_starts_nothing_and_says_that_it_is_not_in_force",),
        raises="actions.errors.NotRecorded",  # the database refuses a second operation under one key
    ),
    Mutant(
        "drift: only by a fresh look",
        FORCE,
        "found is None or not fresh(found) or agrees",
        "found is None or agrees",
        (TESTS + "test_an_old_look_is_told_but_nothing_is_put_right_by_it",),
    ),
    Mutant(
        "drift: not under a wider ban",
        FORCE,
        'if _by_address(effect, "no", wider) == "no":',
        "if True:",
        (TESTS + "test_a_lift_under_a_wider_ban_is_no_drift",),
    ),
    Mutant(
        "reading: later than the effect",
        "actions/sql/facts.sql",
        "'later', coalesce(r.taken_at > k.settled_at, false)",
        "'later', r.taken_at IS NOT NULL",
        (TESTS + "test_a_look_that_began_before_the_effect_settled_says_nothing_of_it",),
    ),
    Mutant(
        "reading: outdoes the effect",
        FORCE,
        'if read is not None:\n        return "yes"',
        'if False:\n        return "yes"',
        (TESTS + "test_the_same_key_again_starts_nothing_and_says_that_it_is_not_in_force",),
    ),
    Mutant(
        "reading: shared for five seconds",
        "actions/sql/readings.sql",
        "WHERE r.asked_at <= r.taken_at AND r.taken_at < excluded.asked_at - interval '5 s'",
        "WHERE true",
        (TESTS + "test_all_who_ask_share_one_look_for_five_seconds",),
    ),
    Mutant(
        "reading: one that nobody takes is not waited for",
        READ,
        "if left <= 0:",
        "if False:",
        (TESTS + "test_a_look_that_nobody_takes_is_not_waited_for_again",),
    ),
    Mutant(
        "reading: no error's own words",
        READER,
        'return None, f"The system could not be read ({type(error).__name__})."',
        "return None, str(error)",
        (TESTS + "test_what_cannot_be_read_is_told_without_secrets_and_takes_nothing_away",),
    ),
    Mutant(
        "reading: one keeper at a realm",
        READER,
        'SELECT pg_try_advisory_lock(hashtextextended(%(key)s, 0))", lock):',
        'SELECT true", lock):',
        (TESTS + "test_a_reading_that_another_keeper_takes_is_left_to_it",),
    ),
    Mutant(
        "reading: of realms that there are",
        "actions/sql/readings.sql",
        "JOIN realm m ON m.id = w.realm AND m.enabled",
        "JOIN realm m ON m.id = w.realm",
        (TESTS + "test_web_asks_only_for_enabled_realms",),
    ),
    Mutant(
        "reading: a slow realm holds up no other",
        READER,
        "AT_ONCE = 8",
        "AT_ONCE = 1",
        (TESTS + "test_a_slow_system_holds_up_no_other",),
    ),
    Mutant(
        "waiting: half the threads",
        "console/waiting.py",
        "if not _places.acquire(blocking=False):\n        return False",
        "if not _places.acquire(blocking=False):\n        _places.release()",
        (TESTS + "test_nobody_waits_when_half_the_threads_do",),
    ),
)
