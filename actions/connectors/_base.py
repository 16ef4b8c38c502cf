"""What a connector is: how one kind of outside system is asked, changed and read back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import psycopg

from actions.outcomes import Outcome, Refused, RetryLater, Seen

type Database = Callable[[], psycopg.Connection[Any]]
"""Gives a connection of its own to the console's database, in autocommit, as this process's role."""


class Redo(StrEnum):
    """What a connector may do when it does not know whether a call arrived (contract §6)."""

    NATURAL = "natural"  # sets a state: redo freely
    KEYED = "keyed"  # the system drops repeats by our key, for a stated time
    OBSERVED = "observed"  # it can be asked; redo only on a read "no" after the settle time
    NEVER = "never"  # neither: a person must look


@dataclass(frozen=True, slots=True)
class Offer:
    """One capability of a connector: its redo class, and its times in seconds.

    `settle` is the longest a late call may still take effect; `timeout` bounds one call; `verify`
    is how long reading back is tried before what was answered is doubted; `keeps` is how long a
    `keyed` system remembers our key, None: for ever. `makes` says that `make` must come first.
    """

    redo: Redo
    settle: float
    timeout: float
    verify: float = 0
    keeps: float | None = None
    makes: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One effect to bring about: what, on whom, under which key. The same for every attempt.

    `made` is what `make` gave, once for the operation, and is never shown in a log or an error.
    """

    key: str
    generation: int
    capability: str
    kind: str
    subject: str
    desired: Mapping[str, object]
    step: str = ""
    made: Mapping[str, str] = field(default_factory=dict, repr=False)


type Facts = Mapping[str, object]
"""What one look at a system found, as JSON values; never a secret."""


class Unreadable(Exception):
    """The system cannot say how it is now; the message says why, without any secret."""


class NotMade(Exception):
    """`make` could make nothing, and changed nothing: refused for good, or not now."""

    def __init__(self, outcome: Refused | RetryLater) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody or something in a realm: the id that the realm never gives again, and its name."""

    id: str
    label: str


class Connector(ABC):
    """One kind of outside system. A subclass in a file of its own is found by itself.

    `apply` may be repeated as its redo class says, and must never raise for an answer that the
    system gave: it returns one of four outcomes. What it does raise is taken as Unknown.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    offers: ClassVar[Mapping[str, Offer]]
    already: ClassVar[Mapping[str, str]]
    """The answers that mean "it is so already", each with what it looks like."""
    names: ClassVar[frozenset[str]] = frozenset()
    """The kinds of subject that `find` knows by name."""
    at_once: ClassVar[int] = 8
    """How many effects are under way in one realm at the same time, in all our processes together."""
    sick_after: ClassVar[int] = 5
    """After so many calls in a row that came to nothing, a realm is left alone for a while."""
    rest: ClassVar[float] = 2.0
    """Seconds that it is left alone at first; twice as long each time that it still does not answer."""

    def __init__(
        self,
        settings: Mapping[str, object],
        database: Database,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.credentials = credentials or {}

    @abstractmethod
    def apply(self, call: Call) -> Outcome:
        """Bring about what is asked."""

    @abstractmethod
    def read(self, capability: str, kind: str, subject: str) -> Facts:
        """How the system stands now. Never changes anything. Raises Unreadable."""

    @classmethod
    def agrees(cls, capability: str, facts: Facts, desired: Mapping[str, object]) -> bool:
        """Whether what was read is as wanted. Pure: web judges readings by it."""
        return all(facts.get(name) == value for name, value in desired.items())

    @classmethod
    def words(cls, capability: str, facts: Facts) -> str:
        """What was read, in a few words, such as `blocked`. Pure: pages show it."""
        return ", ".join(f"{name}: {value}" for name, value in sorted(facts.items()))

    def observe(self, call: Call) -> Seen:
        """Whether it is as asked now. A system that can be asked by our key overrides this."""
        try:
            facts = self.read(call.capability, call.kind, call.subject)
        except Unreadable:
            return Seen.UNREADABLE
        return Seen.YES if self.agrees(call.capability, facts, call.desired) else Seen.NO

    def verify(self, call: Call) -> bool:
        """True once reading back shows it as asked; tried until the offer's `verify` is over."""
        deadline = time.monotonic() + self.offers[call.capability].verify
        wait = 0.05
        while self.observe(call) is not Seen.YES:
            if time.monotonic() + wait > deadline:
                return False
            time.sleep(wait)
            wait = min(1.0, wait * 2)
        return True

    def make(self, call: Call) -> Mapping[str, str]:
        """What must be made once before the first call, such as a new secret and its verifier.

        Raises NotMade.
        """
        raise NotImplementedError

    def find(self, kind: str, label: str) -> Named | None:
        """Who is called `label` now, for the kinds in `names`. Raises Unreadable."""
        raise NotImplementedError
