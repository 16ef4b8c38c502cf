"""Rotate a secret: make a new value, prove that it works, and retire the old one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from actions.catalogue import _ends
from actions.catalogue._accounts import RECORDED, in_words, only, whole_milliseconds
from actions.catalogue._base import Action, Answers, Intent, Param, Preview, Relation, Step, Values
from actions.errors import ParamsRefused
from actions.subjects import Subject

ENOUGH = timedelta(hours=4)
"""A rotation this old, in the same incident, is enough (contract §3)."""

OVERLAP = "15m"
LONGEST_OVERLAP = 12 * 3600  # seconds; what was made is kept a day at most
_VERSION = re.compile(r"\bversion ([0-9]{1,12})\b", re.ASCII)


class RotateSecret(Action):
    name = "rotate-secret"
    version = 1
    title = "Rotate a secret"
    summary = "Makes a new value, proves that it works, and retires the old one. No way back."
    kind = "secret"
    lane = "credential"
    group = "Secrets"
    inverse = None
    mends = False  # another value for nobody's asking would be one too many
    d3fend = ("D3-CRO",)
    capabilities = frozenset({"credential.rotate"})
    params = (
        Param(
            "overlap",
            "How long the old value stays valid beside the new one",
            "length",
            "A length up to 12h, or 0m for none; without it, 15m.",
            {
                "type": "string",
                "pattern": "^(0|[1-9][0-9]{0,8})(s|m|h|d)$",
                "default": OVERLAP,
                "examples": ["15m", "0m", "2h"],
            },
        ),
    )
    answers = Answers(
        identifies=(
            "The secret's slot in its realm, and the generation of its credential lane. A rotation "
            "in the same incident, at most four hours old, is the same intent."
        ),
        recorded=RECORDED,
        retry=(
            "The same operation and the version that it made: the value is made once, kept sealed "
            "before the first call, and the steps that are done are not run again."
        ),
        duplicates=(
            "None that matters. Setting the same value twice leaves one version in force, for "
            "every attempt of an operation sends the value that was made for it."
        ),
    )

    def resolve(self, params: Values, now: datetime) -> Intent:
        only(params, "overlap")
        overlap = _ends.length(params.get("overlap", OVERLAP), "overlap", none="0")
        if overlap > LONGEST_OVERLAP:
            raise ParamsRefused(
                "bad_length", "An overlap is at most 12 hours long.", {"field": "overlap"}
            )
        # Its own moment marks a rotation: a later one is not taken for drift of an earlier.
        return Intent({"rotation": _ends.moment(whole_milliseconds(now)), "overlap": overlap})

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        desired = {"rotation": intent.desired["rotation"]}
        after = intent.desired["overlap"]
        assert isinstance(after, int)
        return (
            Step("make", "credential.rotate", desired, ord=0),
            Step("prove", "credential.rotate", desired, ord=1),
            Step("retire", "credential.rotate", desired, ord=2, after=after),
        )

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        if standing.at is None:
            return Relation.COVERED
        if now - standing.at > ENOUGH:
            return Relation.LAPSED
        same = asked.incidents <= standing.incidents if asked.incidents else not standing.incidents
        return Relation.COVERED if same else Relation.MORE

    def result(self, effects: Iterable[Values]) -> dict[str, object]:
        """`version`, as the outside system gave it, and the realms in which it is `in_place`."""
        done = [e for e in effects if e["state"] == "succeeded"]
        versions = [int(m[1]) for e in done if (m := _VERSION.search(str(e["message"])))]
        if not versions:
            return {}
        places = sorted({str(e["realm"]) for e in done if e["step"] == "prove"})
        return {"version": versions[-1], "in_place": places}

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        return Preview(
            changes=f"{subject.label} gets a new value, which is proven by signing in with it; "
            f"{_retired(intent)}. You can show the new value for 15 minutes, then it is erased.",
            stays="Whatever uses the old value goes on with it until it is retired; sessions that "
            "are open stay open: revoke them if they must not.",
            undo="There is no way back to the old value: rotate again.",
            twice="Nothing: the value is made once, and every attempt sends that one.",
            button=f"Rotate {subject.label}",
        )

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"{subject} is rotated"


def _retired(intent: Intent) -> str:
    overlap = intent.desired["overlap"]
    assert isinstance(overlap, int)
    if not overlap:
        return "then the old one is retired"
    return (
        f"where the secret has two roles, the old value stays valid {in_words(overlap)} beside it, "
        "then it is retired; where it has one, the old value is over as soon as the new one is set"
    )
