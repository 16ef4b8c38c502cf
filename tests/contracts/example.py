"""An action, its inverse and a connector such as somebody might add: one wall, painted or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from actions.catalogue import _ends
from actions.catalogue._base import Action, Answers, Intent, Param, Preview, Relation, Step, Values
from actions.connectors._base import Call, Connector, Facts, Offer, Redo
from actions.errors import ParamsRefused
from actions.outcomes import Applied, Found, Outcome, Refused
from actions.subjects import Subject

ANSWERS = Answers(
    identifies="The wall on its paint lane, and the generation.",
    recorded="In PostgreSQL, in one transaction before anything is sent.",
    retry="The same operation; a wall that is painted is left alone.",
    duplicates="None: a wall has one colour, however often it is painted.",
)


class _Painting(Action):
    version = 1
    summary = "Gives a wall its colour, or takes it off."
    kind = "wall"
    lane = "paint"
    group = "Walls"
    d3fend = ()
    capabilities = frozenset({"wall.paint"})
    answers = ANSWERS
    painted: ClassVar[bool]

    def _known(self, params: Values) -> None:
        unknown = sorted(set(params) - {p.name for p in self.params})
        if unknown:
            raise ParamsRefused("unknown_param", "No such parameter.", {"field": unknown[0]})

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        return (Step("paint", "wall.paint", {"painted": self.painted}),)

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        button = f"{self.title} {subject.label}"
        return Preview("It changes.", "The rest stays.", "The other way.", "Nothing.", button)

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"{subject} is {'painted' if self.painted else 'washed'}"


class Paint(_Painting):
    name = "paint"
    title = "Paint a wall"
    inverse = "wash"
    painted = True
    params = (
        Param("colour", "Colour", "choice", "Which.", {"enum": ["red", "blue"]}),
        Param("for", "For how long", "end", "A length.", _ends.SCHEMAS["for"]),
        Param("until", "Until", "end", "A moment, or null.", _ends.SCHEMAS["until"]),
    )

    def resolve(self, params: Values, now: datetime) -> Intent:
        self._known(params)
        until, span = _ends.resolve({k: v for k, v in params.items() if k != "colour"}, now)
        return Intent({"painted": True}, until, span)

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        if not standing.desired["painted"]:
            return Relation.OPPOSED
        if standing.until is None or (asked.until and standing.until >= asked.until):
            return Relation.COVERED
        if asked.until is None or asked.span is None:
            return Relation.MORE
        left, span = standing.until - now, timedelta(seconds=asked.span)
        return Relation.COVERED if left * 10 >= span * 9 else Relation.MORE

    def ended_by(self, params: Values) -> tuple[str, Values] | None:
        return "wash", {}


class Wash(_Painting):
    name = "wash"
    title = "Wash a wall"
    inverse = "paint"
    painted = False
    params = ()

    def resolve(self, params: Values, now: datetime) -> Intent:
        self._known(params)
        return Intent({"painted": False})

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        return Relation.OPPOSED if standing.desired["painted"] else Relation.COVERED


class Wall(Connector):
    """Walls in this process's memory."""

    name = "wall"
    title = "A wall"
    offers: ClassVar[Mapping[str, Offer]] = {"wall.paint": Offer(Redo.NATURAL, settle=0, timeout=1)}
    already: ClassVar[Mapping[str, str]] = {"same": "the wall is as it is asked for"}
    walls: ClassVar[dict[str, tuple[int, str, object]]] = {}

    def apply(self, call: Call) -> Outcome:
        generation, key, painted = self.walls.get(call.subject, (0, "", False))
        if generation > call.generation or (generation == call.generation and key != call.key):
            return Refused("There is later paint.")
        self.walls[call.subject] = (call.generation, call.key, call.desired["painted"])
        if key == call.key:
            return Applied(Found.NOT_KNOWN)
        same = painted == call.desired["painted"]
        return Applied(Found.SO_ALREADY if same else Found.CHANGED)

    def read(self, capability: str, kind: str, subject: str) -> Facts:
        return {"painted": self.walls.get(subject, (0, "", False))[2]}


EXAMPLES = (Paint(), Wash(), Wall)
