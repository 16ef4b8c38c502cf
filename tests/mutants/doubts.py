"""Written ahead, doubts by redo class, bounds, the late truth, steps in order, and what is made."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

OUTBOX = "actions/outbox.py"
DELIVER = "actions/deliver.py"
SETTLE = "actions/settle.py"
RECONCILE = "actions/reconcile.py"
ORDER = "actions/steps.py"
MADE = "actions/made.py"
ADAPTERS = "actions/adapters.py"
AHEAD = "tests/contracts/test_written_ahead.py::"
REDO = "tests/contracts/test_redo.py::"
STEPS = "tests/contracts/test_steps.py::"
LOST = AHEAD + "test_nothing_is_called_by_who_lost_the_effect"

MUTANTS = (
    # Written ahead.
    Mutant(
        "ahead: written before the call",
        OUTBOX,
        "        Attempt.objects.filter(id=attempt.id).update(call_started_at=Now())\n",
        "",
        (AHEAD + "test_a_call_is_written_down_before_it_is_made",),
    ),
    Mutant(
        "ahead: the fence",
        OUTBOX,
        "        id=effect.id, state=EffectState.EXECUTING, fence=attempt.fence\n    ).annotate",
        "        id=effect.id, state=EffectState.EXECUTING\n    ).annotate",
        (LOST,),
    ),
    Mutant(
        "ahead: the lease outlasts the call",
        OUTBOX,
        "held.filter(left__gt=timedelta(seconds=timeout))",
        "held.filter(left__gt=timedelta(seconds=0.0))",
        (AHEAD + "test_nothing_is_called_that_may_outlast_its_lease",),
    ),
    Mutant(
        "ahead: a natural call within its lease",
        OUTBOX,
        "held.filter(left__gt=timedelta(0))",
        "Effect.objects.filter(id=effect.id).annotate(left=F('lease_until') - Now())",
        (LOST + "[natural]",),
    ),
    Mutant(
        "ahead: the lock",
        OUTBOX,
        "        lock(effect.operation_id)\n        longer",
        "        longer",
        (AHEAD + "test_intending_takes_the_lock_that_expiring_takes",),
    ),
    Mutant(
        "ahead: who stood still",
        DELIVER,
        "if outbox.steady() > until:",
        "if False:",
        (AHEAD + "test_who_stood_still_between_writing_down_and_calling_does_not_call",),
    ),
    Mutant(
        "ahead: no call without it",
        DELIVER,
        "    if until is None:\n        return _NOT_CALLED, False\n",
        '    until = until or float("inf")\n',
        (LOST,),
    ),
    # After the call.
    Mutant(
        "a time-out is a doubt",
        DELIVER,
        'return Unknown(f"The call ended in',
        'return RetryLater(f"The call ended in',
        (REDO + "test_nothing_is_done_about_a_doubt_before_the_settle_time",),
    ),
    Mutant(
        "a yes is read back",
        DELIVER,
        'return Unknown("The system said yes, but reading it back does not show it."), False',
        "return outcome, False",
        (AHEAD + "test_a_yes_that_never_shows_is_doubted",),
    ),
    Mutant(
        "a yes that cannot be read stands",
        DELIVER,
        "    if connector.observe(call) is Seen.UNREADABLE:\n",
        "    if False:\n",
        (AHEAD + "test_a_yes_of_what_cannot_be_read_stands_and_is_not_called_verified",),
    ),
    # Doubts.
    Mutant(
        "doubt: the settle time",
        SETTLE,
        "    until = Now() + timedelta(seconds=settle)\n",
        "    until = Now()\n",
        (REDO + "test_nothing_is_done_about_a_doubt_before_the_settle_time",),
    ),
    Mutant(
        "doubt: never is parked",
        RECONCILE,
        "    if redo is Redo.NEVER:\n        return EffectState.PARKED\n",
        "",
        (
            REDO + "test_what_may_never_be_sent_again_is_parked_at_once",
            REDO + "test_the_verdict_on_every_doubt",
        ),
    ),
    Mutant(
        "doubt: what can be asked is read",
        RECONCILE,
        "    if doubt.blind:\n        return EffectState.READY\n",
        "    if doubt.redo:\n        return EffectState.READY\n",
        (
            REDO + "test_what_can_be_asked_is_sent_again_only_when_it_says_no",
            REDO + "test_what_cannot_be_read_is_looked_at_less_and_less_often_and_then_parked",
        ),
    ),
    Mutant(
        "doubt: how long our key is kept",
        RECONCILE,
        "or keeps is None or since_first < keeps",
        "or True",
        (REDO + "test_what_has_forgotten_our_key_is_read_before_it_is_sent_again",),
    ),
    Mutant(
        "doubt: what was overtaken is read",
        RECONCILE,
        "redo = not (overtaken or row",
        "redo = not (row",
        (REDO + "test_what_a_later_generation_overtook_is_not_given_up_unread",),
    ),
    Mutant(
        "doubt: parked in the end",
        RECONCILE,
        "EffectState.PARKED if doubt.lasts > PARK_AFTER and not doubt.endless else None",
        "None",
        (REDO + "test_what_cannot_be_read_is_looked_at_less_and_less_often_and_then_parked",),
    ),
    Mutant(
        "doubt: an end is never parked",
        RECONCILE,
        "doubt.lasts > PARK_AFTER and not doubt.endless",
        "doubt.lasts > PARK_AFTER",
        (REDO + "test_the_verdict_on_every_doubt",),
    ),
    Mutant(
        "doubt: reading is bounded",
        ADAPTERS,
        "return came.get(timeout=bound)",
        "return came.get()",
        (REDO + "test_a_connector_that_does_not_come_back_is_not_waited_for",),
    ),
    Mutant(
        "doubt: a silent realm is waited for once",
        RECONCILE,
        "            silent.add(effect.realm_id)\n",
        "            pass\n",
        (REDO + "test_a_realm_that_is_silent_is_waited_for_once_in_a_pass",),
    ),
    Mutant(
        "a no after an unread redo",
        SETTLE,
        "if effect.redo in BLIND and earlier.exists():",
        "if False:",
        (REDO + "test_a_no_to_what_was_sent_again_unread_is_no_word_on_the_first_call",),
    ),
    # Bounds.
    Mutant(
        "bounds: eight tries",
        SETTLE,
        "return self.tries >= MOST_ATTEMPTS or self.left <= 0",
        "return self.left <= 0",
        (REDO + "test_what_was_refused_for_now_is_tried_eight_times",),
    ),
    Mutant(
        "bounds: tries since it was last set going",
        SETTLE,
        "SELECT attempts - attempts_before AS tries",
        "SELECT attempts AS tries",
        (REDO + "test_what_was_refused_for_now_is_tried_eight_times",),
    ),
    Mutant(
        "bounds: 15 minutes",
        SETTLE,
        "return self.tries >= MOST_ATTEMPTS or self.left <= 0",
        "return self.tries >= MOST_ATTEMPTS",
        (REDO + "test_what_is_not_there_after_15_minutes_of_trying_is_given_up",),
    ),
    Mutant(
        "bounds: from the first try",
        OUTBOX,
        'When(attempts=F("attempts_before"), then=Now())',
        "When(attempts=-1, then=Now())",
        (REDO + "test_it_is_tried_for_15_minutes_from_the_first_try_not_from_the_request",),
    ),
    Mutant(
        "bounds: never sooner than asked",
        SETTLE,
        "return max(asked or 0.0, random",
        "return max(0.0, random",
        (REDO + "test_it_waits_as_long_as_the_system_asks_or_says_that_this_is_too_long",),
    ),
    Mutant(
        "bounds: none for an end",
        SETTLE,
        "    if operation.because.startswith(END):\n",
        "    if False:\n",
        (REDO + "test_an_end_is_tried_without_limit",),
    ),
    # The late truth.
    Mutant(
        "late: it decides its own doubt",
        SETTLE,
        "        if not moved:\n            _decide_doubt(attempt, outcome, change)\n",
        "",
        (REDO + "test_a_late_answer_decides_the_doubt_about_its_own_call",),
    ),
    Mutant(
        "late: not now, as the first word",
        SETTLE,
        "doubt.filter(tries__id=attempt.id, tries__ended_at__isnull=True)",
        "doubt",
        ("tests/contracts/test_guards_effects.py::test_an_attempt_settles_once",),
    ),
    # Steps.
    Mutant(
        "steps: all before are in place",
        ORDER,
        "    if all(state == EffectState.SUCCEEDED for ord, state in steps if ord < min(waiting)):",
        "    if True:",
        (STEPS + "test_a_step_waits_for_all_realms",),
    ),
    Mutant(
        "steps: nothing follows what failed",
        ORDER,
        "    if lost:\n",
        "    if False:\n",
        (STEPS + "test_what_waits_behind_a_step_that_failed_is_cancelled",),
    ),
    Mutant(
        "steps: the while between",
        ORDER,
        "run_at=at, going_since=at",
        "run_at=Now(), going_since=at",
        (STEPS + "test_a_step_waits_until_the_one_before_it_is_in_place_and_then_its_own_while",),
    ),
    Mutant(
        "steps: what was overtaken",
        ORDER,
        "    if _overtaken(operation):\n",
        "    if False:\n",
        (STEPS + "test_what_is_decided_after_a_later_generation_came_sets_nothing_going",),
    ),
    # What is made, and credentials.
    Mutant(
        "made: once",
        MADE,
        "if not MadeValue.objects.filter(operation=operation).exists():",
        "if True:",
        (AHEAD + "test_what_is_made_is_made_once_for_all_tries_and_all_steps",),
    ),
    Mutant(
        "made: the first is kept",
        MADE,
        "ignore_conflicts=True",
        'update_conflicts=True, update_fields=["sealed"], unique_fields=["operation"]',
        (AHEAD + "test_of_two_who_make_at_once_the_first_is_kept",),
    ),
    Mutant(
        "made: erased is not sent",
        MADE,
        "    if row.sealed is None:\n        raise Erased\n",
        "",
        (AHEAD + "test_what_is_erased_is_neither_made_again_nor_sent_as_nothing",),
    ),
    Mutant(
        "credentials: of this realm",
        ADAPTERS,
        'context = f"realm/{version.realm_id}@{version.number}"',
        'context = f"realm/{version.realm_id}"',
        (AHEAD + "test_a_connector_is_given_the_credentials_of_its_realm",),
    ),
    Mutant(
        "a lease outlasts a call",
        "actions/checks.py",
        "if offer.timeout + offer.verify + MARGIN >= settings",
        "if offer.timeout >= settings",
        (AHEAD + "test_a_lease_shorter_than_a_call_and_its_reading_back_is_refused",),
    ),
)
