"""What whoever looks at an operation may do next: buttons for verbs, links to forms for the rest."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from django.urls import reverse

from actions import states, undoable
from actions.act import SAID
from actions.history import Present
from actions.policy import Rights
from actions.registry import registry
from actions.standing import Facts
from actions.states import EffectState, OperationState
from console import steps, wording
from console.waiting import SETTLED

type Deed = dict[str, str]

_UNBEGUN = frozenset({OperationState.AWAITING_APPROVAL, OperationState.APPROVED})


def deeds(told: Facts, now: Present, has: Rights, username: str) -> list[Deed]:
    """What may be done, in order. A button carries a key, so that pressed twice it does it once."""
    asks = has.may_ask(told)
    found = []
    if told["state"] == OperationState.AWAITING_APPROVAL:
        href = reverse("approval", args=[told["ref"]])
        found.append({"href": href, "text": "Look at it, and decide", "class": "btn-primary"})
    if told["state"] in _UNBEGUN and (asks or told["requested_by"] == username):
        found.append(_button(told, "cancel", "Cancel before it starts", "btn-outline-secondary"))
    found += _keep(told, asks and told["requested_by"] == username)
    back = _back(told, now, has)
    stands = asks and now.superseded_by is None
    # Only the lane's newest generation can be finished; one after it may have come to nothing.
    agreed = {d["by"] for d in told["decisions"] if d["by_id"] in told["not_by"]}
    goes_on = told["may_go_on"] and username not in agreed
    goes_on = goes_on and now.generation == told["generation"]
    if stands and goes_on and _unfinished(told):
        found.append(_button(told, "finish", "Finish what is left", "btn-primary"))
    # What is unfinished or undecided asks for that first, not for the way back.
    first = bool(found) or told["state"] == OperationState.PARKED
    found += [{**deed, "class": "btn-outline-secondary"} if first else deed for deed in back]
    if stands and told["state"] != OperationState.AWAITING_APPROVAL:
        again = {"subject": wording.label(told), "again": str(now.generation)}
        text = "Do it again on purpose"
        found.append(_form(told["action"], text, "btn-outline-secondary", again))
    # Whoever only looks on finds nothing to press, though it would change nothing.
    if asks and told["state"] in SETTLED:
        check = reverse("operation-check", args=[told["ref"]])
        style = "btn-outline-secondary"
        found.append({"post": check, "text": "Check now", "class": style, "id": "check"})
    return found


def _keep(told: Facts, may: bool) -> list[Deed]:
    """A ban that might have cut off who asked for it stays only if they say that it did not."""
    open_ = told["keep_by"] and not told["kept_at"] and not told["ended_at"]
    if not (may and open_ and told["state"] == OperationState.SUCCEEDED):
        return []
    href = reverse("operation-keep", args=[told["ref"]])
    return [{"href": href, "text": "I can still come in: keep it", "class": "btn-primary"}]


def _unfinished(told: Facts) -> bool:
    failed = any(effect["state"] == EffectState.FAILED for effect in told["effects"])
    return told["state"] in states.UNFINISHED or (told["state"] == OperationState.PARKED and failed)


def _back(told: Facts, now: Present, has: Rights) -> list[Deed]:
    """The undo of what we changed, or else the opposite of what stands."""
    newest = now.superseded_by or told
    action = registry.find(newest["action"])
    if action is None:
        return [{"say": "Its action has left the catalogue: nothing here takes it back."}]
    if action.inverse is None:
        return [{"say": "There is no way back from this."}]
    if action.inverse not in has.asks or not has.may_ask({**newest, "action": action.inverse}):
        return []
    inverse = registry.action(action.inverse)
    if newest is told and may_be_undone(told):
        href = reverse("operation-undo", args=[told["ref"]])
        text = f"Undo: {inverse.title[0].lower()}{inverse.title[1:]}"
        return [{"href": href, "text": text, "class": "btn-primary"}]
    return [_form(inverse.name, inverse.title, "btn-primary", {"subject": wording.label(told)})]


def may_be_undone(told: Facts) -> bool:
    """Whether it is settled, and we changed something, or may have."""
    settled = {OperationState.SUCCEEDED, OperationState.PARTIAL, OperationState.PARKED}
    touched = undoable.changed(told) or undoable.not_known(told)
    return told["state"] in settled and bool(touched)


def new_key() -> str:
    """The request key of a button on a page, made when the page is."""
    return f"page-{uuid.uuid4().hex}"


def _button(told: Facts, verb: str, text: str, style: str) -> Deed:
    post = reverse(f"operation-{verb}", args=[told["ref"]])
    return {"post": post, "text": text, "class": style, "id": verb, "key": new_key()}


def _form(action: str, text: str, style: str, query: dict[str, str]) -> Deed:
    href = f"{reverse('draft-new', args=[action])}?{urlencode(query)}"
    return {"href": href, "text": text, "class": style}


def to_decide(told: Facts, now: Present, has: Rights) -> list[dict[str, object]]:
    """The parked effects, each with what to look at and what each answer does."""
    if not has.may_ask(told):
        return []
    newest = now.generation == told["generation"]
    return [
        {
            "n": effect["n"],
            "title": steps.name(effect),
            "realm": effect["realm"],
            "check": f"Look in {effect['title']} itself: {_question(told, effect['step'])} "
            f"What we know: {effect['message']}",
            "post": reverse("effect-decide", args=[told["ref"], effect["n"]]),
            "key": new_key(),
            "ends": [end for end in _ENDS if newest or end["to"] != EffectState.READY],
        }
        for effect in told["effects"]
        if effect["state"] == EffectState.PARKED
    ]


def _question(told: Facts, step: str) -> str:
    if title := steps.TITLES.get(step):
        return f"is the step “{title}” done there for {wording.label(told)}?"
    return f"is it so that {wording.phrase(told)}?"


_ENDS = (
    {
        "to": "succeeded",
        "text": "It is in place",
        "does": "Noted as done. Nothing is sent; what waits behind it goes on.",
    },
    {
        "to": "failed",
        "text": "It is not in place: give up",
        "does": "Noted as failed. Nothing is sent, and what waits behind it is not either.",
    },
    {
        "to": "ready",
        "text": "It is not in place: try again",
        "does": "It is sent once more. Where it is in place after all, it may happen twice.",
    },
)
assert {end["to"] for end in _ENDS} == set(SAID)
