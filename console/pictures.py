"""Coordinates of the two pictures on an operation's page: what goes where, and who asked when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actions.registry import registry
from actions.standing import Facts
from console import steps
from console.wording import TONES, WORDS, clock, label, on_day

WIDTH, BOX, PITCH = 860, 50, 64
AT_ROOT, AT_EFFECT, AT_SEEN = 10, 270, 610


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the graph, with its two lines of text. Units are the picture's own."""

    x: float
    y: float
    w: float
    tone: str
    title: str
    sub: str
    root: bool = False
    h: float = BOX

    @property
    def tx(self) -> float:
        return self.x + 14

    @property
    def ty(self) -> float:
        return self.y + 21

    @property
    def sy(self) -> float:
        return self.y + 39


@dataclass(frozen=True, slots=True)
class Edge:
    """One line of the graph, as an SVG path."""

    tone: str
    d: str


@dataclass(frozen=True, slots=True)
class Graph:
    """The operation, its effects, and what was last seen of each."""

    height: float
    nodes: list[Box]
    edges: list[Edge]
    desc: str
    width: float = WIDTH


@dataclass(frozen=True, slots=True)
class Drawn:
    """One effect as the graph needs it: those of a rank wait for all of the rank before."""

    title: str
    realm: str
    state: str
    seen: str
    seen_at: str
    rank: int = 0
    words: str = ""


def cut(text: str, most: int) -> str:
    """The text, or as much of it as fits a box."""
    return text if len(text) <= most else text[: most - 1] + "…"


def of_operation(told: Facts) -> Graph:
    """The graph of an operation as its facts tell it."""
    order = steps.order(told)
    drawn = [_drawn(effect, order) for effect in told["effects"]]
    action = registry.find(told["action"])
    title = f"{action.title.split()[0] if action else told['action']} {label(told)}"
    return graph(title, f"{told['ref']}, gen. {told['generation']}", drawn)


def _drawn(effect: Mapping[str, Any], order: Mapping[str, int]) -> Drawn:
    verified, later = effect["verified_at"], steps.later(effect)
    name = steps.TITLES.get(effect["step"]) or effect["title"]
    rank = order.get(effect["step"], 0)
    return Drawn(
        title=f"{rank + 1}. {name}" if order else name,
        realm=effect["realm"],
        state=effect["state"],
        seen="Read back: it is so" if verified else "",
        seen_at=clock(verified) if verified else "",
        rank=rank,
        words=f"Waits until {clock(later)}" if later else "",
    )


def graph(title: str, sub: str, effects: Sequence[Drawn]) -> Graph:
    """Operation at the left, an effect a row, what was last seen of it at the right."""
    height = len(effects) * PITCH + 8
    middle = height / 2
    root = Box(AT_ROOT, middle - BOX / 2, 190, "", cut(title, 22), cut(sub, 27), root=True)
    nodes, edges = [root], []
    for row, effect in enumerate(effects):
        y = 4 + row * PITCH + (PITCH - BOX) / 2
        centre, tone = y + BOX / 2, TONES.get(effect.state, "ended")
        words = f"{_state(effect)}, {effect.realm}"
        nodes.append(Box(AT_EFFECT, y, 260, tone, cut(effect.title, 34), cut(words, 38)))
        if not effect.rank:
            edges.append(Edge(tone, _curve(middle, centre)))
        elif effects[row - 1].rank < effect.rank:
            edges.append(Edge(tone, _down(y)))
        if effect.seen:
            nodes.append(Box(AT_SEEN, y, 240, tone, cut(effect.seen, 30), cut(effect.seen_at, 34)))
            edges.append(Edge(tone, f"M{AT_EFFECT + 260} {centre}H{AT_SEEN}"))
    said = "; ".join(f"{e.title}: {_state(e).lower()}" for e in effects)
    return Graph(height, nodes, edges, f"Effects: {said}.")


def _state(effect: Drawn) -> str:
    return effect.words or WORDS.get(effect.state, effect.state)


def _down(y: float) -> str:
    """An arrow from the step above to the one whose box begins at `y`."""
    return f"M{AT_EFFECT + 40} {y - PITCH + BOX}V{y - 1}m-4 -5l4 5l4 -5"


def _curve(start: float, end: float) -> str:
    left = AT_ROOT + 190
    return f"M{left} {start}C{left + 35} {start} {AT_EFFECT - 35} {end} {AT_EFFECT} {end}"


@dataclass(frozen=True, slots=True)
class Tick:
    """Requests on the strip: tall started it or its rest, short changed nothing; `count` of them."""

    x: float
    top: int
    kind: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Strip:
    """Requests over time."""

    ticks: list[Tick]
    start: str
    end: str
    desc: str


_TOPS = {"did": 10, "same": 26, "not": 20}


def _kind(told: str) -> str:
    if told in {"created", "resumed"}:
        return "did"
    return "same" if told == "existing" else "not"


def strip(moments: Sequence[tuple[datetime, str, int]]) -> Strip:
    """A mark per moment, in order, for so many requests that were told so.

    Marks that would lie on each other move a little right.
    """
    first, last = moments[0][0], moments[-1][0]
    length = (last - first).total_seconds() or 1
    ticks: list[Tick] = []
    floor = 0.0
    for at, told, count in moments:
        x = max(16 + 828 * (at - first).total_seconds() / length, floor)
        floor = x + min(6, 828 / len(moments))
        kind = _kind(told)
        ticks.append(Tick(round(min(x, 846), 1), _TOPS[kind], kind, count))
    total = sum(tick.count for tick in ticks)
    did = sum(tick.count for tick in ticks if tick.kind == "did")
    end = f"{on_day(last)} UTC" if last != first else ""
    desc = f"{total} requests: {did} started it or its rest (tall), {total - did} did not (short)."
    return Strip(ticks, f"{on_day(first)} UTC", end, desc)
