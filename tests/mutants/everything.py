"""Every mutant: those of each file of this package that has a list of them."""

from __future__ import annotations

import importlib
import pkgutil

from tests import mutants
from tests.mutants.mutant import Mutant

_NONE_THERE = {"__main__", "everything", "mutant", "running"}


def _found() -> tuple[Mutant, ...]:
    names = sorted({m.name for m in pkgutil.iter_modules(mutants.__path__)} - _NONE_THERE)
    files = [importlib.import_module(f"{mutants.__name__}.{name}") for name in names]
    return tuple(mutant for file in files for mutant in file.MUTANTS)


MUTANTS = _found()
