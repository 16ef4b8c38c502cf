"""The claim, the fence, the locks, the doubts, and what is asked once more before the call."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

OUTBOX = "actions/outbox.py"
OBJECTION = "actions/objection.py"
SETTLE = "actions/settle.py"
RECONCILE = "actions/reconcile.py"
BLOCKLIST = "actions/connectors/blocklist.py"
EFFECTS = "tests/contracts/test_guards_effects.py::"
ENDS = "tests/contracts/test_guards_ends.py::"
CONNECTORS = "tests/contracts/test_connectors.py::test_every_connector"
LOGGED = "tests/contracts/test_log.py::"

MUTANTS = (
    # The claim.
    Mutant(
        "claim: what is ready",
        OUTBOX,
        "e.id = %(effect)s AND e.state = 'ready' AND e.run_at <= statement_timestamp()",
        "e.id = %(effect)s",
        (
            EFFECTS + "test_an_effect_is_taken_up_once",
            EFFECTS + "test_two_who_take_up_one_effect_at_once_are_one",
        ),
    ),
    Mutant(
        "claim: what is due",
        OUTBOX,
        "e.state = 'ready' AND e.run_at <= statement_timestamp()\n   AND {health",
        "e.state = 'ready'\n   AND {health",
        (EFFECTS + "test_an_effect_is_not_taken_up_before_it_is_due",),
    ),
    Mutant(
        "claim: the lock",
        OUTBOX,
        "operation = lock(at)\n        if operation.state not in",
        "operation = Operation.objects.get(id=at)\n        if operation.state not in",
        (EFFECTS + "test_the_operation_is_locked_before_its_effects[_claim]",),
    ),
    Mutant(
        "claim: the fence rises",
        OUTBOX,
        "fence = e.fence + 1, attempts = e.attempts + 1",
        "attempts = e.attempts + 1",
        (EFFECTS + "test_an_effect_is_taken_up_once",),
    ),
    # Settling. The log's trigger locks the operation too, but only once an effect has moved.
    Mutant(
        "settle: the fence",
        SETTLE,
        "state=EffectState.EXECUTING, fence=attempt.fence",
        "state=EffectState.EXECUTING",
        (EFFECTS + "test_an_attempt_that_lost_its_lease_settles_nothing",),
    ),
    Mutant(
        "settle: the state",
        SETTLE,
        "state=EffectState.EXECUTING, fence=attempt.fence",
        "fence=attempt.fence",
        # A check constraint hides it from other outcomes than "applied", with an error.
        (EFFECTS + "test_a_late_yes_decides_its_own_doubt_and_no_other",),
    ),
    Mutant(
        "settle: the lock",
        SETTLE,
        "        operation = lock(effect.operation_id)\n        change =",
        "        operation = Operation.objects.get(id=effect.operation_id)\n        change =",
        (
            EFFECTS + "test_what_settles_while_a_later_generation_takes_the_lane_is_not_sent_again",
            EFFECTS + "test_the_operation_is_locked_before_its_effects[_settle]",
        ),
    ),
    Mutant(
        "settle: a doubt of its own",
        SETTLE,
        "        state=EffectState.IN_DOUBT,\n        attempts=attempt.number,\n",
        "        state=EffectState.IN_DOUBT,\n",
        (EFFECTS + "test_a_late_yes_decides_its_own_doubt_and_no_other",),
    ),
    Mutant(
        "settle: the superseded is not sent again",
        SETTLE,
        "if operation.state == OperationState.SUPERSEDED:",
        "if False:",
        (EFFECTS + "test_what_settles_while_a_later_generation_takes_the_lane_is_not_sent_again",),
    ),
    Mutant(
        "settle: rolling up",
        SETTLE,
        "        _record(attempt, outcome, late=not moved)\n        roll_up(operation)",
        "        _record(attempt, outcome, late=not moved)",
        (EFFECTS + "test_two_effects_that_settle_together_settle_their_operation",),
    ),
    # Leases.
    Mutant(
        "lease: only what ran out",
        OUTBOX,
        "state=EffectState.EXECUTING, fence=effect.fence, lease_until__lt=Now()",
        "state=EffectState.EXECUTING, fence=effect.fence",
        (EFFECTS + "test_a_lease_that_is_not_over_is_left_alone",),
    ),
    Mutant(
        "lease: what was called is in doubt",
        OUTBOX,
        "if never_called.exists():",
        "if True:",
        (EFFECTS + "test_what_was_never_called_may_be_tried_again_and_what_was_is_in_doubt",),
    ),
    Mutant(
        "lease: the lock",
        OUTBOX,
        "    with transaction.atomic():\n        operation = lock(effect.operation_id)\n        held =",
        "    with transaction.atomic():\n        operation = Operation.objects.get(id=effect.operation_id)"
        "\n        held =",
        (EFFECTS + "test_the_operation_is_locked_before_its_effects[_expire]",),
    ),
    Mutant(
        "what has begun does not expire",
        OUTBOX,
        "        if operation.state != old:\n            return 0\n",
        "",
        (EFFECTS + "test_what_has_begun_does_not_expire",),
    ),
    Mutant(
        "what is not begun expires in time",
        OUTBOX,
        "let_run__lt=Now() - BEGIN_WITHIN",
        "let_run__lt=Now()",
        (EFFECTS + "test_what_is_not_begun_in_15_minutes_expires",),
    ),
    # Doubts.
    Mutant(
        "doubt: after the settle time",
        RECONCILE,
        "state=EffectState.IN_DOUBT, fence=effect.fence, doubt_until__lte=Now()",
        "state=EffectState.IN_DOUBT, fence=effect.fence",
        (EFFECTS + "test_a_doubt_is_read_only_after_the_settle_time",),
    ),
    Mutant(
        "doubt: the fence",
        RECONCILE,
        "state=EffectState.IN_DOUBT, fence=effect.fence, doubt_until__lte=Now()",
        "state=EffectState.IN_DOUBT, doubt_until__lte=Now()",
        (EFFECTS + "test_a_reading_of_an_older_doubt_decides_nothing",),
    ),
    Mutant(
        "doubt: read before it is sent again",
        RECONCILE,
        "    if seen is Seen.YES:\n",
        "    if False:\n",
        (EFFECTS + "test_a_doubt_that_is_read_back_as_there_is_settled_without_sending",),
    ),
    Mutant(
        "doubt: the lock",
        RECONCILE,
        "        operation = lock(effect.operation_id)\n",
        "        operation = effect.operation\n",
        (EFFECTS + "test_the_operation_is_locked_before_its_effects[_reconcile]",),
    ),
    # Once more before the call.
    Mutant(
        "objection: rights",
        OBJECTION,
        "    if not database.value(_STILL_MAY,",
        "    if False and not database.value(_STILL_MAY,",
        (EFFECTS + "test_who_may_no_longer_ask_is_not_served",),
    ),
    Mutant(
        "objection: the plan",
        OBJECTION,
        "if _plan_digest(operation) != bytes(operation.plan_digest):",
        "if False:",
        (EFFECTS + "test_a_plan_that_was_altered_is_not_carried_out",),
    ),
    Mutant(
        "objection: asked before the call",
        "actions/deliver.py",
        "if found := objection(effect):",
        "if found := None:",
        (
            EFFECTS + "test_who_may_no_longer_ask_is_not_served",
            EFFECTS + "test_a_plan_that_was_altered_is_not_carried_out",
        ),
    ),
    # Ends.
    Mutant(
        "ends are held",
        "actions/ends.py",
        "    if held():\n        return 0\n",
        "",
        (ENDS + "test_ends_are_held_while_the_clock_is_in_doubt",),
    ),
    # The block list.
    Mutant(
        "blocklist: the generation",
        BLOCKLIST,
        " WHERE entry.generation < excluded.generation\n"
        "    OR (entry.generation = excluded.generation AND entry.set_by = excluded.set_by)\n",
        "",
        (CONNECTORS + "[blocklist network.deny-does_not_undo_what_came_later]",),
    ),
    Mutant(
        "blocklist: the key within a generation",
        BLOCKLIST,
        "entry.generation = excluded.generation AND entry.set_by = excluded.set_by",
        "entry.generation = excluded.generation",
        (
            CONNECTORS
            + "[blocklist network.deny-does_not_overwrite_another_of_the_same_generation]",
        ),
    ),
    # The log, from Python.
    Mutant(
        "an event in its transaction",
        "actions/log.py",
        "if not connection.in_atomic_block:",
        "if False:",
        (LOGGED + "test_an_event_is_refused_outside_a_transaction",),
    ),
)
