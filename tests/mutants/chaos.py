"""What the chaos checker itself must catch, by the outside system's ledger, in a directed schedule."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CHAOS = "tests/faults/test_chaos.py::"

MUTANTS = (
    Mutant(
        "chaos: no fence in recording",
        "actions/settle.py",
        "state=EffectState.EXECUTING, fence=attempt.fence",
        "state=EffectState.EXECUTING",
        (CHAOS + "test_a_word_that_comes_late_does_not_let_a_third_send_beside_the_second",),
    ),
    Mutant(
        "chaos: a lease that ran out means ready",
        "actions/outbox.py",
        "        if never_called.exists():\n",
        "        if held.exists():\n",
        (CHAOS + "test_what_a_dead_process_may_have_sent_is_read_before_it_is_sent_again",),
    ),
    Mutant(
        "chaos: a time-out is tried again",
        "actions/deliver.py",
        'Unknown(f"The call ended in',
        'RetryLater(f"The call ended in',
        (CHAOS + "test_what_was_not_answered_is_read_before_it_is_sent_again",),
    ),
)
