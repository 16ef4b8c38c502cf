"""Refusals: what was not done, why, and what to do, each under a code that never changes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class Refusal(Exception):
    """Something asked for is not done, and nothing changed.

    `code` is stable and machine-readable; `message` says what happened and what to do, in the
    words of the pages; `facts` are named values (never secrets) that a page or an API may show.
    """

    code: str
    message: str
    facts: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


class SubjectRefused(Refusal):
    """What was named is no subject that can be acted on; `message` says what is accepted."""


class ParamsRefused(Refusal):
    """A parameter is missing, unknown or out of range; `facts["field"]` names it."""


class NotFound(Refusal):
    """There is no such thing, or the caller may not know of it: the two read the same."""


class Unauthenticated(Refusal):
    """Nobody that we know asks this."""


class NotRecorded(Refusal):
    """It could not be written down, so it was not run; or, `unknown_outcome`, we cannot tell."""
