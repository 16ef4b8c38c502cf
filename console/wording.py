"""What the pages say of an operation: whose act it was, what is so now, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from actions.history import Present
from actions.registry import registry
from actions.standing import Facts, intent_of
from actions.subjects import Subject
from console import approval_words, steps
from console import clock as times

moment, on_day, clock = times.moment, times.on_day, times.clock

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


REDO = {
    "natural": "It sets a state, so it is sent again freely",
    "keyed": "The system drops repeats by our key",
    "observed": "It is read first, and sent again only if surely not there",
    "never": "It is not sent again: a person looks",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The box on top of a page: a tone, one heading, and its lines."""

    tone: str
    heading: str
    lines: list[str] = field(default_factory=list)


def label(told: Facts) -> str:
    """The subject as people read it."""
    return Subject(told["kind"], told["name"], 0, told.get("label") or "").label


NOT_SHOWN = "Not shown to you."


def reason(told: Facts) -> str:
    """Why it was asked for, to whom may know that."""
    return NOT_SHOWN if told["reason"] is None else str(told["reason"])


def phrase(told: Facts) -> str:
    """The finished state in a few words."""
    action = registry.find(told["action"])
    if action is None:
        return f"{label(told)} is as {told['action']} leaves it"
    return action.phrase(label(told), intent_of(told))


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, how many of the requests that arrived were theirs, by what each was told, and

    who had unfinished work run later, when, in order.
    """

    username: str
    mine: Mapping[str, int] = field(default_factory=dict)
    resumed: Sequence[tuple[str, datetime]] = ()

    @property
    def did(self) -> int:
        """How many of their requests made something happen."""
        return self.mine.get("created", 0) + self.mine.get("resumed", 0)

    @property
    def repeats(self) -> int:
        """How many of their requests changed nothing, for it stood already."""
        return self.mine.get("existing", 0)

    @property
    def came_late(self) -> bool:
        """Whether they asked for this, and somebody else had done so. What was refused is no asking."""
        return self.repeats > 0 and not self.did


def outcome(told: Facts, now: Present, viewer: Viewer, stood: Facts | None = None) -> Outcome:
    """What the page of an operation says on top. `stood` is what stands though it failed."""
    tone, heading = _heading(told, now, viewer, stood)
    lines = [_whose(told, viewer), *_detail(told), *_stands(told, now, stood), *_present(told, now)]
    return Outcome(tone, heading, [line for line in lines if line])


def _states(told: Facts) -> list[str]:
    return [effect["state"] for effect in told["effects"]]


def _heading(told: Facts, now: Present, viewer: Viewer, stood: Facts | None) -> tuple[str, str]:
    if said := approval_words.heading(told, late=viewer.came_late):
        return said
    done, total = _states(told).count("succeeded"), len(told["effects"])
    match told["state"]:
        case "succeeded" if now.superseded_by is not None and now.in_force == "no":
            return "ended", f"Done, and no longer so: {phrase(told)}"
        case "succeeded" if viewer.came_late:
            return "done", f"Already done: {phrase(told)}"
        case "succeeded":
            return "done", f"Done: {phrase(told)}"
        case "approved" | "running" if "in_doubt" in _states(told):
            return "doubt", f"In doubt: we do not know whether {phrase(told)}"
        case "approved" | "running" if viewer.came_late:
            return "running", "Already running"
        case "approved" | "running":
            return _under_way(told, f"{done} of {total} {_counted(told)}")
        case "partial":
            return "partly", f"Partly done: {done} of {total} {_counted(told)}"
        case "failed":
            return "failed", f"Failed: {'this changed nothing' if stood else 'nothing is in place'}"
        case "parked":
            return "parked", "A person must look: this cannot be known from here"
        case "superseded":
            return "ended", "Overtaken: a later operation took its place"
        case state:
            return "ended", state.replace("_", " ").capitalize()


def _under_way(told: Facts, so_far: str) -> tuple[str, str]:
    if until := steps.waits_until(told):
        return "waiting", f"As planned: {so_far}, and the rest waits until {clock(until)}"
    return "running", f"Running: {so_far}"


def _counted(told: Facts) -> str:
    return "steps are done" if steps.order(told) else "effects are in place"


def _whose(told: Facts, viewer: Viewer) -> str:
    """Who asked and when, who had the rest run and when, and what the viewer's own requests did."""
    at = clock(told["requested_at"])
    verb = "asked for" if viewer.resumed or told["state"] in _NOT_DONE else "did"
    if told["requested_by_kind"] == "console":
        said = [f"The console did this by itself at {at}: {told['because']}."]
    else:
        said = [f"{_you(told['requested_by'], viewer)} {verb} this at {at}."]
    if viewer.resumed:
        by, when = viewer.resumed[-1]
        said.append(f"{_you(by, viewer)} had the rest run at {clock(when)}.")
    return " ".join([*said, *_repeats(viewer)])


_NOT_DONE = {"partial", "failed", "parked", "declined", "expired", "cancelled", "awaiting_approval"}


def _you(username: str, viewer: Viewer) -> str:
    return "You" if username == viewer.username else username


def _repeats(viewer: Viewer) -> list[str]:
    again = viewer.repeats
    if not again:
        return []
    if not viewer.did:
        return ["Your click changed nothing."]
    count = viewer.did + again
    came = "twice" if count == 2 else f"{count} times"
    if viewer.did > 1:
        rest = "One of them" if again == 1 else f"{again} of them"
    else:
        rest = "The second one" if again == 1 else f"The {again} others"
    return [f"Your request reached us {came}. {rest} changed nothing."]


def _stands(told: Facts, now: Present, stood: Facts | None) -> list[str]:
    """What stands though this failed; what came later is told in any case."""
    if stood is None or told["state"] != "failed" or now.superseded_by is not None:
        return []
    who = stood["requested_by"] if stood["requested_by_kind"] != "console" else "the console"
    at = clock(stood["requested_at"])
    return [
        f"What stands is what was there before: {phrase(stood)}, by {who} at {at}"
        f" ({stood['ref']}, generation {stood['generation']})."
    ]


def _detail(told: Facts) -> list[str]:
    lines = []
    for effect in told["effects"]:
        if effect["state"] in {"failed", "in_doubt", "parked"}:
            word = WORDS[effect["state"]].lower()
            lines.append(f"{steps.name(effect)}: {word}. {effect['message']}")
        elif later := steps.later(effect):
            lines.append(f"{steps.pause(effect, clock(later))}. You need not wait for it.")
    if "in_doubt" in _states(told):
        lines.append("We look before we send it again. You do not need to click again.")
    if told["state"] in {"failed", "partial"}:
        lines.append(
            "Once the cause is mended, ask again or press Finish: only what is unfinished runs."
        )
    lines += approval_words.lines(told)
    if told.get("keep_by") and not told.get("kept_at") and not told["ended_at"]:
        lines.append(
            f"It takes in the address it was asked from. It ends by itself at {clock(told['keep_by'])}"
            ", unless who asked says by a new connection that they can still come in."
        )
    if told["state"] == "cancelled":
        lines.append("It was withdrawn before anything was sent.")
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
    "refused": "Not done: this was refused",
    "not_recorded": "Not done: we could not write this down, so we did not run it",
    "unknown_outcome": "We do not know whether this was written down",
}
_BY_CODE = {
    "may_not_ask": "Not done: you may not ask for this",
    "may_not_ask_realm": "Not done: you may not ask for this",
    "again_needs_reason": "Not done: say why it must happen again",
    "no_realm": "Not done: no system is set up that could do this",
    "too_wide": "Not done: this network is too wide to act on",
    "no_incident": "Not done: there is no such incident",
    "incident_closed": "Not done: this incident is closed",
    "not_its_lead": "Not done: its lead or an admin may do this",
    "confirm_needed": "Not closed yet: look at what stays as it is",
    "version_needed": "Not done: this form had lost which version you saw",
    "no_such_person": "Not done: there is nobody of that name",
    "cannot_lead": "Not done: they cannot lead an incident",
    "lead_stays": "Not done: its lead stays a member",
    "bad_note": "Not done: this note cannot be kept",
    "bad_end": "Not done: this end cannot be used",
    "draft_old": "Not done: this draft is too old",
    "key_closed": "Not done: this draft is too old",
    "plan_changed": "Not done: what it would do has changed since you saw it",
    "unauthenticated": "Not done: you have been signed out",
    "not_ours": "Not done: it was not we who disabled it",
    "too_long_ago": "Not done: it was done before, too long ago to count",
    "begun": "Not cancelled: it has begun",
    "no_inverse": "Not undone: there is no way back",
    "not_parked": "Not done: nobody has to decide this",
    "no_reason": "Not done: say what you saw",
    "approval_once_per_person": "Not done: you have decided already",
    "approval_only_while_awaiting": "Not done: it waits for nobody any more",
    "approval_not_too_late": "Not done: it is too late",
    "approval_of_this_plan": "Not done: this is not what you were shown",
    "needs_approval": "Not done: this needs approval now",
    "protected": "Not done: this is never acted on",
    "protected_ask_twice": "Not done: this needs a second person",
    "type_to_confirm": "Not done: type what you mean to hit",
    "own_address": "Not done: this takes in your own address",
    "limit_per_person": "Not done: you have asked for as much as one person may",
    "limit_per_token": "Not done: too much was asked for in this time",
    "limit_per_console": "Not done: too much was asked for in this time",
    "new_connection": "Not kept: this did not come by a new connection",
    "not_in_force": "Not kept: it is not in force yet",
    "too_late": "Not kept: it is too late",
}


def refused(disposition: str, message: str, code: str = "") -> Outcome:
    """What a confirm that made nothing is told, in place: by its code, else by its disposition."""
    heading = _BY_CODE.get(code) or _REFUSED.get(disposition, "Not done")
    tone = "doubt" if disposition == "unknown_outcome" else "refused"
    return Outcome(tone, heading, [message])
