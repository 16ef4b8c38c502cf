"""What a connector is: how one kind of outside system is asked, changed and read back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import psycopg

from actions.outcomes import Outcome, Seen

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

    `settle` is the longest a late call may still take effect; `timeout` bounds one call.
    """

    redo: Redo
    settle: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Call:
    """One effect to bring about: what, on whom, under which key. The same for every attempt."""

    key: str
    generation: int
    capability: str
    kind: str
    subject: str
    desired: Mapping[str, object]


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

    def __init__(self, settings: Mapping[str, object], database: Database) -> None:
        self.settings = settings
        self.database = database

    @abstractmethod
    def apply(self, call: Call) -> Outcome:
        """Bring about what is asked."""

    @abstractmethod
    def observe(self, call: Call) -> Seen:
        """Read whether it is as asked now. Never changes anything."""

    def verify(self, call: Call) -> bool:
        """True once reading back shows it as asked; a system that lags overrides this to poll."""
        return self.observe(call) is Seen.YES
