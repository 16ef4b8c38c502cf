"""The table of an operation's effects: what each came to, what was read of it, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions import paused, read
from actions.known import Known
from actions.paused import Paused
from actions.standing import Facts
from console import steps, wording


def rows(told: Facts, known: Mapping[tuple[str, str], Known]) -> list[dict[str, object]]:
    """Rows of the table of effects: a look at a system stands once, at the last step that it judges."""
    last = {(effect["realm_id"], effect["capability"]): effect["n"] for effect in told["effects"]}
    judged = {n: known.get(pair) for pair, n in last.items()}
    waiting = {effect["realm_id"] for effect in told["effects"] if effect["state"] == "ready"}
    silent = paused.among(waiting) if waiting else {}
    return [
        _row(effect, judged.get(effect["n"]), silent.get(effect["realm_id"]))
        for effect in told["effects"]
    ]


def _row(effect: dict[str, Any], known: Known | None, silent: Paused | None) -> dict[str, object]:
    title, later = steps.TITLES.get(effect["step"]), steps.later(effect)
    said = [steps.found(effect, wording.FOUND.get(effect["found"], ""))]
    if silent is not None and effect["state"] == "ready":
        said = [f"{_SILENT} {wording.clock(max(silent.try_at, later or silent.try_at))}"]
    elif later is not None:
        said.append(steps.pause(effect, wording.clock(later)))
    elif effect["state"] == "ready" and not effect["attempts"]:
        said = ["Recorded; about to be sent"]
    if known is not None and known.reading is not None:
        said.append(f"Read at {wording.clock(known.reading.taken_at)}: {read.words(known)}")
    return {
        "title": title or effect["title"],
        "realm": f"{effect['title']} ({effect['realm']})" if title else effect["realm"],
        "state": effect["state"],
        "word": f"Waits until {later:%H:%M}" if later else _WORDS.get(effect["state"], ""),
        "found": ". ".join(part.rstrip(".") for part in said if part),
        "tries": effect["attempts"],
        "at": wording.moment(effect["settled_at"]),
        "verified": wording.moment(effect["verified_at"]),
    }


_SILENT = "Its system does not answer: tried again at"
_WORDS = {"cancelled": wording.WORDS["cancelled"]}
