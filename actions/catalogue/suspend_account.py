"""Suspend an account: block its sign-in, then cut what it has open."""

from __future__ import annotations

from datetime import datetime

from actions.catalogue._accounts import RECORDED, only, whole_milliseconds
from actions.catalogue._base import Action, Answers, Intent, Preview, Relation, Step, Values
from actions.catalogue._ends import moment
from actions.subjects import Subject


class SuspendAccount(Action):
    name = "suspend-account"
    version = 1
    title = "Suspend an account"
    summary = "Blocks an account's sign-in, then ends the sessions that it has open."
    kind = "account"
    lane = "access"
    group = "Accounts"
    inverse = "restore-account"
    d3fend = ("D3-AL", "D3-ST")
    capabilities = frozenset({"account.disable", "session.revoke"})
    params = ()
    answers = Answers(
        identifies=(
            "The account, by the id that its realm never gives again, on its access lane, and the "
            "generation of that lane. While a suspension stands, every further request is the same."
        ),
        recorded=RECORDED,
        retry=(
            "The same operation. A block that is in place is not set again; under a new key only "
            "what is unfinished runs, so a failed cut is tried again behind the block."
        ),
        duplicates=(
            "None that matters. The block is a state, set twice it is set once. The cut names a "
            "moment, so repeating it ends no session that was opened after the suspension."
        ),
    )

    def resolve(self, params: Values, now: datetime) -> Intent:
        only(params)
        return Intent({"disabled": True, "before": moment(whole_milliseconds(now))})

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        # First the block: cut before it, a session would simply be opened again.
        cut = {"before": intent.desired["before"]}
        return (
            Step("block", "account.disable", {"disabled": True}, ord=0),
            Step("cut", "session.revoke", cut, ord=1, lane="sessions"),
        )

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        return Relation.COVERED if standing.desired["disabled"] else Relation.OPPOSED

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        return Preview(
            changes=f"{subject.label} can no longer sign in; then its open sessions are ended.",
            stays="What the account owns, its rights and its password stay as they are.",
            undo="Restore the account: two clicks, at any time. Sessions that were cut stay cut.",
            twice="Nothing: a block is a state, and the cut names a moment.",
            button=f"Suspend {subject.label}",
        )

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"{subject} is suspended"
