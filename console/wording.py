"""What the pages say of an operation: whose act it was, what is so now, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from actions.history import Present
from actions.registry import registry
from actions.standing import Facts, intent_of
from actions.subjects import Subject

WORDS = {
    "succeeded": "Done",
    "executing": "Running",
    "in_doubt": "In doubt",
    "failed": "Failed",
    "parked": "Needs a person",
    "ready": "Waiting",
    "blocked": "Waits for an earlier step",
    "held": "Held for approval",
    "cancelled": "Never sent",
}
TONES = {
    "succeeded": "done",
    "executing": "running",
    "in_doubt": "doubt",
    "failed": "failed",
    "parked": "parked",
    "ready": "waiting",
    "blocked": "waiting",
    "held": "approval",
    "cancelled": "ended",
}
FOUND = {
    "so_already": "It was so already; we changed nothing there",
    "changed": "We changed it",
    "not_known": "It is so; whether by us is not known",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The box on top of a page: a tone, one heading, and its lines."""

    tone: str
    heading: str
    lines: list[str] = field(default_factory=list)


def moment(text: str | None) -> datetime | None:
    """A time out of an operation's facts."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def clock(text: str) -> str:
    """`02:14:07 UTC`, with the day when it is not today's."""
    at = datetime.fromisoformat(text).astimezone(UTC)
    day = "" if at.date() == datetime.now(UTC).date() else f"{at:%-d %b %Y} "
    return f"{day}{at:%H:%M:%S} UTC"


def label(told: Facts) -> str:
    """The subject as people read it."""
    return Subject(told["kind"], told["name"], 0).label


def phrase(told: Facts) -> str:
    """The finished state in a few words."""
    return registry.action(told["action"]).phrase(label(told), intent_of(told))


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, and which of the requests that arrived were theirs."""

    username: str
    mine: Sequence[dict[str, Any]] = ()

    @property
    def did_it(self) -> bool:
        """Whether one of their requests made it happen."""
        return any(a["disposition"] in {"created", "resumed"} for a in self.mine)

    @property
    def repeats(self) -> int:
        """How many of their requests changed nothing."""
        return sum(a["disposition"] == "existing" for a in self.mine)


def outcome(told: Facts, now: Present, viewer: Viewer) -> Outcome:
    """What the page of an operation says on top."""
    tone, heading = _heading(told, now, viewer)
    lines = [_whose(told, viewer), *_detail(told), *_present(told, now)]
    return Outcome(tone, heading, [line for line in lines if line])


def _states(told: Facts) -> list[str]:
    return [effect["state"] for effect in told["effects"]]


def _heading(told: Facts, now: Present, viewer: Viewer) -> tuple[str, str]:
    done, total = _states(told).count("succeeded"), len(told["effects"])
    match told["state"]:
        case "succeeded" if now.superseded_by is not None and now.in_force == "no":
            return "ended", f"Done, and no longer so: {phrase(told)}"
        case "succeeded" if viewer.mine and not viewer.did_it:
            return "done", f"Already done: {phrase(told)}"
        case "succeeded":
            return "done", f"Done: {phrase(told)}"
        case "approved" | "running" if "in_doubt" in _states(told):
            return "doubt", f"In doubt: we do not know whether {phrase(told)}"
        case "approved" | "running" if viewer.mine and not viewer.did_it:
            return "running", "Already running"
        case "approved" | "running":
            return "running", f"Running: {done} of {total} effects are in place"
        case "partial":
            return "partly", f"Partly done: {done} of {total} effects are in place"
        case "failed":
            return "failed", "Failed: nothing is in place"
        case "parked":
            return "parked", "A person must look: this cannot be known from here"
        case "superseded":
            return "ended", "Overtaken: a later operation took its place"
        case "expired":
            return "refused", "Not run: it was not begun within 15 minutes"
        case state:
            return "ended", state.replace("_", " ").capitalize()


def _whose(told: Facts, viewer: Viewer) -> str:
    at = clock(told["requested_at"])
    again = viewer.repeats
    if told["requested_by_kind"] == "console":
        return f"The console did this by itself at {at}: {told['because']}."
    if told["requested_by"] != viewer.username and not viewer.did_it:
        changed = " Your click changed nothing." if viewer.mine else ""
        return f"{told['requested_by']} did this at {at}.{changed}"
    if not again:
        return f"You did this at {at}."
    came = "twice" if again == 1 else f"{again + 1} times"
    rest = "The second one" if again == 1 else f"The {again} others"
    return f"You did this at {at}. Your request reached us {came}. {rest} changed nothing."


def _detail(told: Facts) -> list[str]:
    lines = []
    for effect in told["effects"]:
        if effect["state"] in {"failed", "in_doubt", "parked"}:
            word = WORDS[effect["state"]].lower()
            lines.append(f"{effect['title']}: {word}. {effect['message']}")
    if "in_doubt" in _states(told):
        lines.append("We look before we send it again. You do not need to click again.")
    if told["state"] in {"failed", "partial"}:
        lines.append("Asking again runs only what is unfinished.")
    if told["state"] == "expired":
        lines.append("Nothing changed. Ask again if it is still wanted.")
    return lines


def _present(told: Facts, now: Present) -> list[str]:
    lines = []
    later = now.superseded_by
    if later is not None:
        who = later["requested_by"] if later["requested_by_kind"] != "console" else "the console"
        lines.append(
            f"Since then: {later['action']} by {who} at {clock(later['requested_at'])}"
            f" ({later['ref']}, generation {later['generation']})."
        )
    wider = [overlap.name for overlap in now.overlaps if overlap.wider]
    if wider and "blocked" in told["desired"]:
        still = "also blocked by" if told["desired"]["blocked"] else "still blocked by"
        lines.append(f"The address is {still} the ban of {', '.join(wider)}.")
    lines.append(_IN_FORCE[now.in_force])
    return lines


_IN_FORCE = {
    "yes": "In force now: yes.",
    "no": "In force now: no.",
    "unknown": "In force now: not known until it settles.",
}

_REFUSED = {
    "key_reused": "Not done: this form was already used",
    "stale": "Not done: it has changed since you opened this page",
    "conflict": "Not done: the opposite is under way",
    "too_soon": "Not done: you confirmed before you could read it",
    "refused": "Not done: you may not ask for this",
    "not_recorded": "Not done: we could not write this down, so we did not run it",
    "unknown_outcome": "We do not know whether this was written down",
}


def refused(disposition: str, message: str) -> Outcome:
    """What a confirm that made nothing is told, in place."""
    return Outcome("refused", _REFUSED.get(disposition, "Not done"), [message])
