"""What keeps workers at work while brokers come and go."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

BROKERS = "tests/faults/test_brokers.py::"
EMPTIED = "test_a_broker_that_dies_and_comes_back_empty_delays_nothing_by_more_than_6_seconds"

MUTANTS = (
    Mutant(
        "redis: what is in hand while it dies is let go",
        "console/celery.py",
        "redis_bell.use()\n",
        "",
        (BROKERS + EMPTIED + "[redis]",),
    ),
)
