"""What a call to an outside system can come to: one of four, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Found(StrEnum):
    """What a call found when it came."""

    SO_ALREADY = "so_already"  # it was so before us: an undo must leave it alone
    CHANGED = "changed"  # we changed it
    NOT_KNOWN = "not_known"  # it is so now; by whom cannot be said


@dataclass(frozen=True, slots=True)
class Applied:
    """The system said that it is now as asked."""

    found: Found
    message: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The system said no, for good; nothing was changed there."""

    message: str


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The system said not now; nothing was changed there. `after` is in seconds, if it said."""

    message: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """No clear answer: it may be as asked, or not, or become so later."""

    message: str


type Outcome = Applied | Refused | RetryLater | Unknown


class Seen(StrEnum):
    """What reading an outside system back says of what was asked."""

    YES = "yes"
    NO = "no"
    UNREADABLE = "unreadable"
