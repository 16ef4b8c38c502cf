"""Every mutant there is."""

from __future__ import annotations

from tests.mutants import asking, carrying_out, database, readings

MUTANTS = (*database.MUTANTS, *asking.MUTANTS, *carrying_out.MUTANTS, *readings.MUTANTS)
