"""Every mutant there is."""

from __future__ import annotations

from tests.mutants import asking, carrying_out, database, doubts, reaching_out, ringing, verbs

MUTANTS = (
    *database.MUTANTS,
    *asking.MUTANTS,
    *carrying_out.MUTANTS,
    *doubts.MUTANTS,
    *ringing.MUTANTS,
    *verbs.MUTANTS,
    *reaching_out.MUTANTS,
)
