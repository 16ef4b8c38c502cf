"""Every mutant there is."""

from __future__ import annotations

from tests.mutants import asking, carrying_out, database, reaching_out

MUTANTS = (*database.MUTANTS, *asking.MUTANTS, *carrying_out.MUTANTS, *reaching_out.MUTANTS)
