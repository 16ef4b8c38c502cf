"""Every mutant there is."""

from __future__ import annotations

from tests.mutants import accounts, asking, carrying_out, database

MUTANTS = (*database.MUTANTS, *asking.MUTANTS, *carrying_out.MUTANTS, *accounts.MUTANTS)
