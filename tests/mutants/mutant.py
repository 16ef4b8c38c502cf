"""What a mutant is: one guard of the product, taken out, and the tests that must then fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`old` stands in `file` exactly once, and is replaced by `new`; each of `tests` must fail.

    A test must fail in an assertion of its own. `raises` names another exception that counts, for
    guards whose loss shows as an error of the database.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    raises: str = ""

    @property
    def in_database(self) -> bool:
        """Whether it changes what migrations make, so that the database must be made anew."""
        return self.file.endswith((".sql", "actions/states.py")) or "/migrations/" in self.file

    def applied(self, text: str) -> str:
        """The file's text with the guard taken out."""
        found = text.count(self.old)
        assert found == 1, f"{self.name}: its text occurs {found} times in {self.file}"
        return text.replace(self.old, self.new)
