"""Revoke sessions: end what an account opened before a moment."""

from __future__ import annotations

from datetime import datetime, timedelta

from actions.catalogue import _ends
from actions.catalogue._accounts import RECORDED, instant, only, whole_milliseconds
from actions.catalogue._base import Action, Answers, Intent, Param, Preview, Relation, Step, Values
from actions.errors import ParamsRefused
from actions.subjects import Subject

ENOUGH = timedelta(seconds=60)
"""A standing cut-off this much older than the one asked is enough, if nothing was opened since."""

NEWEST = "newest"
"""In what was read of a realm: when the newest session was opened that there is, or null."""


class RevokeSessions(Action):
    name = "revoke-sessions"
    version = 1
    title = "Revoke sessions"
    summary = "Ends every session that an account opened before a moment. There is no way back."
    kind = "account"
    lane = "sessions"
    group = "Accounts"
    inverse = None
    d3fend = ("D3-ST",)
    capabilities = frozenset({"session.revoke"})
    params = (
        Param(
            "before",
            "Opened before",
            "moment",
            "A moment that has passed, such as 2026-11-24T02:14:00Z; without it, now.",
            {"type": "string", "format": "date-time", "examples": ["2026-11-24T02:14:00Z"]},
        ),
    )
    answers = Answers(
        identifies=(
            "The account, by the id that its realm never gives again, and the cut-off. One at most "
            "60 seconds older is the same intent, unless a session newer than it has been read."
        ),
        recorded=RECORDED,
        retry=(
            "The same operation, with the same cut-off: what was opened after it stays open, "
            "however often it is sent. Under a new key only what is unfinished runs."
        ),
        duplicates=(
            "None that matters. Ending a session twice ends it once, and a repeat names the same "
            "moment, so that it cannot reach a session opened since."
        ),
    )

    def resolve(self, params: Values, now: datetime) -> Intent:
        only(params, "before")
        before = _ends.instant(params["before"], "before") if "before" in params else now
        if before > now:
            raise ParamsRefused("bad_moment", "That moment has not come yet.", {"field": "before"})
        return Intent({"before": _ends.moment(whole_milliseconds(before))})

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        return (Step("cut", "session.revoke", {"before": intent.desired["before"]}),)

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        stands, wanted = instant(standing.desired["before"]), instant(asked.desired["before"])
        if stands >= wanted:
            return Relation.COVERED
        newest = standing.read.get(NEWEST)
        opened_since = newest is not None and stands <= instant(newest) < wanted
        near = wanted - stands <= ENOUGH
        return Relation.COVERED if near and not opened_since else Relation.MORE

    def holds(self, known: Values, wanted: Values) -> bool:
        return instant(known["before"]) >= instant(wanted["before"])

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        before = _at(intent)
        return Preview(
            changes=f"Every session that {subject.label} opened before {before} is ended.",
            stays="Sessions opened later stay open, and the account can sign in anew at once: "
            "suspend it if it must not.",
            undo="There is no way back: whoever was in signs in again.",
            twice="Nothing: a repeat names the same moment, and reaches nothing opened since.",
            button=f"End the sessions of {subject.label}",
        )

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"the sessions of {subject} opened before {_at(intent)} are ended"


def _at(intent: Intent) -> str:
    return f"{instant(intent.desired['before']):%-d %b %Y %H:%M:%S} UTC"
