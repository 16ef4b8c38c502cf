"""Every mutant there is."""

from __future__ import annotations

from tests.mutants import asking, carrying_out, database, ringing, verbs

MUTANTS = (
    *database.MUTANTS,
    *asking.MUTANTS,
    *carrying_out.MUTANTS,
    *ringing.MUTANTS,
    *verbs.MUTANTS,
)
