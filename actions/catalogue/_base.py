"""What an action is: a named thing one can ask for, with its repeat rule and its four answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from actions.subjects import Subject

type Values = Mapping[str, object]


class Relation(StrEnum):
    """How what stands on a lane relates to what is asked (contract §3)."""

    COVERED = "covered"  # what stands is enough
    MORE = "more"  # the same direction, further
    OPPOSED = "opposed"  # the other direction
    LAPSED = "lapsed"  # it was enough, but too long ago to say so: whoever asks must see it first


@dataclass(frozen=True, slots=True)
class Answers:
    """The four questions (contract §12), each answered in a sentence or two."""

    identifies: str
    recorded: str
    retry: str
    duplicates: str


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an action: how a form asks for it and how the API describes it."""

    name: str
    label: str
    kind: str  # "end": how long; a kind that console.forms knows
    help: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Step:
    """One change in each realm that offers `capability`; `ord` orders steps, lowest first.

    `lane` is another lane that it touches, None: the action's own. `after` is how many seconds it
    waits once the steps before it are in place.
    """

    name: str
    capability: str
    desired: Values
    ord: int = 0
    lane: str | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Intent:
    """What is asked of one lane: the state wanted, and until when, in absolute time (UTC).

    `desired` holds JSON values; `until` None means no end; `span` is the length in seconds when
    the end was given as a length, else None.

    The rest is what goes with it and is not part of it: when it was asked (None while it is being
    asked), because of which incidents, and what was read of the subject since.
    """

    desired: Values
    until: datetime | None = None
    span: int | None = None
    at: datetime | None = field(default=None, compare=False)
    incidents: frozenset[int] = field(default=frozenset(), compare=False)
    read: Values = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Last:
    """What was last done on the lane in one realm: `state` is an effect's, `found` an outcome's.

    `found` is the most that we can be said to have changed since it was otherwise: `changed`,
    `not_known`, `so_already`, or "" while nothing is settled. `otherwise`: it was read since, and is
    not so any more.
    """

    desired: Values
    state: str
    found: str
    otherwise: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action says of itself before it runs, in words for the draft's page."""

    changes: str
    stays: str
    undo: str
    twice: str
    button: str


class Action(ABC):
    """One catalogue entry. A subclass in a file of its own is found and registered by itself."""

    name: ClassVar[str]
    version: ClassVar[int]
    title: ClassVar[str]
    summary: ClassVar[str]
    kind: ClassVar[str]
    lane: ClassVar[str]
    group: ClassVar[str]
    inverse: ClassVar[str | None]
    takes_back: ClassVar[bool] = False
    """True of a lift: its whole point is to take back what its inverse did."""
    mends: ClassVar[bool] = True
    """Whether who repeats it puts right what has drifted; else it is told, and to be ordered again."""
    d3fend: ClassVar[tuple[str, ...]]
    capabilities: ClassVar[frozenset[str]]
    params: ClassVar[tuple[Param, ...]]
    answers: ClassVar[Answers]

    @abstractmethod
    def resolve(self, params: Values, now: datetime) -> Intent:
        """The intent that `params` ask for, ends made absolute from `now`.

        Raises ParamsRefused, whose `facts["field"]` names the parameter.
        """

    @abstractmethod
    def steps(self, intent: Intent) -> tuple[Step, ...]:
        """What must change, in each realm that offers the step's capability."""

    @abstractmethod
    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        """The whole repeat rule of this action: what `standing` is to `asked`, at `now`."""

    def holds(self, known: Values, wanted: Values) -> bool:
        """Whether an effect that left things as `known` is in force still where `wanted` was."""
        return known == wanted

    def spares(self, intent: Intent, last: Last | None) -> str:
        """Why a realm is left as it is, in a sentence; "" when it is not. `last` None: no record."""
        return ""

    def warns(self, intent: Intent, last: Last | None) -> str:
        """What a person should know of a realm before they confirm, in a sentence, or ""."""
        return ""

    def result(self, effects: Iterable[Values]) -> dict[str, object]:
        """What came of it that the outside systems named, such as a version; of facts' effects."""
        return {}

    @abstractmethod
    def preview(self, subject: Subject, intent: Intent) -> Preview:
        """What the draft's page says will happen."""

    @abstractmethod
    def phrase(self, subject: str, intent: Intent) -> str:
        """The finished state in a few words, such as `203.0.113.7 is banned until …`."""

    def ended_by(self, params: Values) -> tuple[str, Values] | None:
        """The action and parameters that end this one when its time is over, if it has an end."""
        return None

    def schema(self) -> dict[str, object]:
        """The parameters as a JSON Schema object."""
        properties = {p.name: {"description": p.help, **p.schema} for p in self.params}
        return {"type": "object", "additionalProperties": False, "properties": properties}
