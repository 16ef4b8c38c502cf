"""What the API reads and answers of incidents: request bodies, one incident, its timeline, what it leaves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from actions import dossier, remains, timeline
from actions.models import Incident
from console.api import bodies, shapes


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class IncidentIn(_Strict):
    """What is happening, in a line; restricted: seen by its members alone."""

    title: str = Field(max_length=400)
    restricted: bool = False


class IncidentChangeIn(_Strict):
    """What is to be changed; people by user name. `version`: as If-Match; `confirm`: from `left`."""

    state: Literal["open", "closed"] | None = None
    lead: str | None = Field(default=None, min_length=1, max_length=150)
    title: str | None = Field(default=None, max_length=400)
    restricted: bool | None = None
    add_members: list[str] = Field(default_factory=list, max_length=50)
    remove_members: list[str] = Field(default_factory=list, max_length=50)
    note: str = Field(default="", max_length=8000)
    version: bodies.Generation | None = None
    confirm: str = Field(default="", max_length=64)


class NoteIn(_Strict):
    """A note: kept for ever, by name."""

    text: str = Field(max_length=8000)


def left(found: remains.Left) -> dict[str, object]:
    """What closing leaves; `confirm` is what to send with `state: closed` to say that it may stay."""
    groups = {
        group: [
            {
                "ref": told["ref"],
                "action": told["action"],
                "subject": shapes.subject(told["kind"], told["name"], told.get("label")),
                "state": told["state"],
                "until": shapes.utc(told["ends_at"]),
            }
            for told in operations
        ]
        for group, operations in found.groups.items()
    }
    return {**groups, "unseen": found.unseen, "older": found.older, "confirm": found.digest or None}


def item(item: timeline.Item) -> dict[str, object]:
    body = item.body
    shown = {
        name: body[name]
        for name in ("title", "state", "restricted", "note", "code")
        if name in body
    }
    people = {
        name: body[key]
        for name, key in (
            ("lead", "lead_name"), ("lead_before", "lead_before"),
            ("added", "add_names"), ("removed", "remove_names"),
        )
        if key in body
    }  # fmt: skip
    return {
        "at": item.at,
        "kind": item.kind,
        "by": item.by,
        "via": item.via or None,
        "token": item.token or None,
        "operation": item.operation or None,
        "action": item.action or None,
        "told": item.told or None,
        **shown,
        **people,
    }


def shape(
    incident: Incident, members: list[str] | None = None, *, plain: bool = False
) -> dict[str, object]:
    if members is None:
        members = [member.username for member in dossier.members(incident.id)]
    at = incident.opened_at
    return {
        "ref": incident.ref,
        "title": incident.title,
        "state": incident.state,
        "restricted": incident.restricted,
        "version": incident.version,
        "lead": incident.lead.username,
        "members": members,
        "opened_by": incident.opened_by.username,
        "opened_at": shapes.utc(at.isoformat()) if plain else at,
    }
