"""The timeline of an incident in words: what each item says, and the note that came with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actions.errors import NotFound
from actions.registry import registry
from actions.timeline import Item


@dataclass(frozen=True, slots=True)
class Line:
    """One item: when, who and how it came, in words, with a note and the operation it is about."""

    at: datetime
    who: str
    via: str
    what: str
    note: str
    operation: str
    state: str


def lines(items: Iterable[Item]) -> list[Line]:
    """Items as a person reads them."""
    return [_line(item) for item in items]


def _line(item: Item) -> Line:
    token = f", token {item.token}" if item.token else ""
    return Line(
        at=item.at,
        who="the console" if item.by == "console" else item.by.removeprefix("steadyhand_"),
        via=f"{item.via}{token}",
        what=_what(item),
        note=str(item.body.get("note", "")),
        operation=item.operation,
        state=item.told if item.kind in {"asked", "moved"} else "",
    )


def _what(item: Item) -> str:
    match item.kind:
        case "opened":
            also = ", restricted to its members" if item.body.get("restricted") else ""
            return f"Opened: {item.body.get('title', '')}{also}"
        case "noted":
            return "Note"
        case "asked" if not item.operation:
            return f"Asked for something that was not done: {_code(item)}"
        case "asked":
            return f"Asked for: {_title(item.action).lower()}"
        case "moved":
            return f"{_title(item.action)}:"
        case "decided":
            return f"{_title(item.action)}: a person said what became of a step"
        case "ended":
            return f"Its time was over: {_title(item.action).lower()}"
        case _:
            return ". ".join(_changes(item.body)) or item.kind.replace("_", " ").capitalize()


def _code(item: Item) -> str:
    return (str(item.body.get("code") or "") or item.told).replace("_", " ")


def of_record(body: Mapping[str, Any]) -> str:
    """What a record of the log tells of an incident."""
    change = body.get("change", {})
    said = _changes(change)
    if not said:
        said = [f"A note: {change['note']}" if "note" in change else "Changed"]
    elif "note" in change:
        said.append(f"“{change['note']}”")
    return f"{body.get('ref')}: {'. '.join(said)}"


def _changes(body: Mapping[str, Any]) -> list[str]:
    said = []
    if "lead_name" in body:
        said.append(f"Handed over from {body.get('lead_before', '')} to {body['lead_name']}")
    if "state" in body:
        said.append("Closed" if body["state"] == "closed" else "Opened again")
    if "title" in body:
        said.append(f"Called from now on: {body['title']}")
    if "restricted" in body:
        now = "Restricted to its members" if body["restricted"] else "No longer restricted"
        said.append(now)
    if names := body.get("add_names"):
        said.append(f"New members: {', '.join(names)}")
    if names := body.get("remove_names"):
        said.append(f"No longer members: {', '.join(names)}")
    return said


def _title(action: str) -> str:
    try:
        return registry.action(action).title
    except NotFound:
        return action
