"""The bell, Celery's doors, and what a worker does when it is told to end."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

BELL = "actions/bell.py"
RUNG = "tests/contracts/test_bell.py::"

MUTANTS = (
    Mutant(
        "bell: once for each thing",
        BELL,
        "            if at <= now and not one.full:\n",
        "            if not one.full:\n",
        (RUNG + "test_what_is_due_is_rung_for_once_and_later_again",),
    ),
    Mutant(
        "bell: what hangs is not heard",
        BELL,
        "return self._answers and not stuck",
        "return self._answers",
        (RUNG + "test_a_broker_that_hangs_holds_up_nobody",),
    ),
    Mutant(
        "bell: an outage is told once",
        BELL,
        "        if not self._told:\n            # Its",
        "        if True:\n            # Its",
        (RUNG + "test_an_outage_is_told_once_and_its_end_too",),
    ),
    Mutant(
        "bell: what was lost is rung for anew",
        BELL,
        "if not self.heard or self._lost_some:",
        "if not self.heard:",
        (RUNG + "test_an_outage_is_told_once_and_its_end_too",),
    ),
    Mutant(
        "sweep: a statement that was given up is no lost line",
        "actions/sweeping.py",
        "if isinstance(error, AWAY) and not _stands(error):",
        "if isinstance(error, AWAY):",
        (RUNG + "test_a_statement_that_was_given_up_ends_no_sweep",),
    ),
    Mutant(
        "pool: a lock that its holder's death releases",
        "console/celery.py",
        "pool.use()\n",
        "",
        (
            "tests/faults/test_worker_killed.py::"
            "test_a_worker_whose_child_was_killed_while_it_waited_goes_on_with_another",
        ),
    ),
)
