"""Operations as rows of a table: on the board, on an incident, on a subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from actions.errors import NotFound
from actions.now import Force
from actions.registry import registry
from actions.standing import Facts
from actions.states import VOID
from console import steps
from console.wording import label, moment, reason


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. `state` is the operation's, or `in_doubt`; `force` is words, or ""."""

    ref: str
    title: str
    subject: str
    subject_url: str
    generation: int
    state: str
    who: str
    at: datetime | None
    until: datetime | None
    end_note: str
    requests: int
    reason: str
    because: str
    force: str = ""
    waits: str = ""
    word: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """One thing that the viewer may begin, and where."""

    title: str
    text: str
    url: str
    primary: bool = False


def row(told: Facts, *, force: str = "", waits: str = "", word: str = "") -> Row:
    """An operation's facts as a row."""
    return Row(
        ref=told["ref"],
        title=title_of(told["action"]),
        subject=label(told),
        subject_url=subject_url(told["kind"], told["name"]),
        generation=told["generation"],
        state=state_of(told),
        who="the console" if told["requested_by_kind"] == "console" else told["requested_by"],
        at=moment(told["requested_at"]),
        until=moment(told["ends_at"]),
        end_note=told["end_note"],
        requests=told["arrivals"],
        reason=reason(told),
        because=told["because"],
        force=force,
        waits=waits,
        word=word,
    )


def rows(told: Iterable[Facts], forces: Mapping[int, Force] | None = None) -> list[Row]:
    """Many, each with whether it is in force where `forces` says so."""
    return [row(facts, force=force_of(facts, (forces or {}).get(facts["id"]))) for facts in told]


def state_of(told: Facts) -> str:
    """The operation's state; neither a doubt nor a wait that was planned hides behind "running"."""
    if steps.waits_until(told):
        return "ready"
    doubted = any(effect["state"] == "in_doubt" for effect in told["effects"])
    return "in_doubt" if doubted and told["state"] in {"approved", "running"} else told["state"]


_IN_FORCE = {"yes": "Yes", "no": "No", "unknown": "Not known"}
_BY_WIDER = {"yes": ", by a wider ban", "no": ", a wider ban stands"}


def force_of(told: Facts, force: Force | None) -> str:
    """Whether it is in force, in words; "" for what stands for nothing any more."""
    if force is None or told["state"] in VOID:
        return ""
    wider = _BY_WIDER.get(force.in_force, "") if force.by_wider else ""
    later = f"; generation {force.newest} came after" if force.newest > told["generation"] else ""
    return _IN_FORCE[force.in_force] + wider + later


def title_of(action: str) -> str:
    """The action's title; its name, once it is no longer in the catalogue."""
    try:
        return registry.action(action).title
    except NotFound:
        return action


def subject_url(kind: str, name: str) -> str:
    """The page of a subject."""
    return reverse("subject", args=[kind, name])


_COUNTED = (
    ("succeeded", "done"),
    ("approved", "about to start"),
    ("running", "running"),
    ("in_doubt", "in doubt"),
    ("partial", "partly done"),
    ("failed", "failed"),
    ("parked", "for a person"),
    ("awaiting_approval", "waiting for approval"),
    ("superseded", "superseded"),
    ("declined", "declined"),
    ("expired", "expired"),
    ("cancelled", "cancelled"),
)


def counts(states: Mapping[str, int]) -> str:
    """Operations by state, such as `12 operations: 9 done, 2 running, 1 in doubt`."""
    total = sum(states.values())
    if not total:
        return "no operations yet"
    parts = ", ".join(f"{states[s]} {word}" for s, word in _COUNTED if states.get(s))
    return f"{total} operation{'s' * (total != 1)}: {parts}"


def starts(names: Iterable[str], query: str = "") -> list[Start]:
    """Cards of the actions that are among `names`, in the catalogue's order."""
    asked = set(names)
    return [
        Start(action.title, action.summary, reverse("draft-new", args=[action.name]) + query)
        # What takes something back comes after what does it: it is wanted less in a hurry.
        for action in sorted(registry.actions(), key=lambda action: action.takes_back)
        if action.name in asked
    ]
