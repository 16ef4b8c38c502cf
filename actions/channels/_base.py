"""What a channel is: one way to tell, with what a repeat of it means and its four answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from actions.outcomes import Outcome

CALL_SECONDS = 15.0
"""How long one telling may take in all; a keeper holds it for longer."""

type Begin = Callable[[], None]
"""Writes down that it begins now, right before what cannot be taken back. Raises NotHeld."""


class NotHeld(Exception):
    """Somebody else has taken it up meanwhile, or too little time is left: nothing is to be sent."""


class Repeat(StrEnum):
    """What comes of a telling that is sent again because nobody knows whether it arrived."""

    DROPPED = "dropped"  # it carries an id by which a receiver that keeps ids drops it
    SEEN = "seen"  # whoever reads it may see it twice; nothing else comes of it


@dataclass(frozen=True, slots=True)
class Answers:
    """The four questions (contract §12) about telling, each answered in a sentence or two."""

    identifies: str
    recorded: str
    retry: str
    duplicates: str


@dataclass(frozen=True, slots=True)
class Told:
    """What is told: of what kind, and where to look. Neither names, nor reasons, nor a secret.

    `id` is the notice's, the same each time that it is sent; `url` leads to the page where it can be
    acted on, and acts on nothing itself; `code` is that of an address to be confirmed, else "".
    """

    id: str
    kind: str
    at: datetime
    heading: str
    text: str
    url: str
    ref: str = ""
    action: str = ""
    subject: str = ""
    code: str = ""
    settings_url: str = ""


class Channel(ABC):
    """One way to tell. `send` never raises for an answer that it got; what it raises is a doubt.

    What goes wrong before it called `begin` was surely not sent.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    repeat: ClassVar[Repeat]
    answers: ClassVar[Answers]
    most_doubts: ClassVar[int]
    """How often it may be left open whether it arrived, before it is given up."""

    @abstractmethod
    def send(self, told: Told, begin: Begin) -> Outcome:
        """Tell it once."""
