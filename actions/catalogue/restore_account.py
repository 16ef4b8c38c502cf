"""Restore an account: let it sign in again, where it was we who suspended it."""

from __future__ import annotations

from datetime import datetime

from actions.catalogue._accounts import RECORDED, only
from actions.catalogue._base import (
    Action,
    Answers,
    Intent,
    Last,
    Param,
    Preview,
    Relation,
    Step,
    Values,
)
from actions.errors import ParamsRefused
from actions.subjects import Subject

NOT_OURS = "also_not_ours"


class RestoreAccount(Action):
    name = "restore-account"
    version = 1
    title = "Restore an account"
    summary = "Lets an account sign in again, unless somebody else had disabled it before us."
    kind = "account"
    lane = "access"
    group = "Accounts"
    inverse = "suspend-account"
    takes_back = True
    d3fend = ("D3-RUAA",)
    capabilities = frozenset({"account.disable"})
    params = (
        Param(
            NOT_OURS,
            "Restore it also where it was not we who suspended it",
            "yes",
            "An account that was disabled before us stays disabled unless this is chosen.",
            {"type": "boolean", "default": False, "examples": [False, True]},
        ),
    )
    answers = Answers(
        identifies=(
            "The account, by the id that its realm never gives again, on its access lane, and the "
            "generation of that lane. While a restoration stands, every further request is the same."
        ),
        recorded=RECORDED,
        retry=(
            "The same operation. Where the account may sign in again nothing is sent; under a new "
            "key only the realms that refused are tried again."
        ),
        duplicates=(
            "None. Whether an account may sign in is a state: set twice, it is set once; one set "
            "by a later suspension is never overwritten by an older restoration."
        ),
    )

    def resolve(self, params: Values, now: datetime) -> Intent:
        only(params, NOT_OURS)
        also = params.get(NOT_OURS, False)
        if not isinstance(also, bool):
            raise ParamsRefused("bad_param", "Say true or false.", {"field": NOT_OURS})
        return Intent({"disabled": False} | ({NOT_OURS: True} if also else {}))

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        return (Step("unblock", "account.disable", {"disabled": False}),)

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        return Relation.OPPOSED if standing.desired["disabled"] else Relation.COVERED

    def spares(self, intent: Intent, last: Last | None) -> str:
        if intent.desired.get(NOT_OURS):
            return ""
        if last is None:
            return "No suspension of ours is on record there, so there is nothing of ours to undo."
        if last.state == "succeeded" and last.desired["disabled"] and last.found == "so_already":
            return "The account was disabled there before we suspended it, so it is left disabled."
        if last.otherwise and not last.desired["disabled"]:
            return "Since we restored it, it was disabled by somebody else, so it is left disabled."
        return ""

    def warns(self, intent: Intent, last: Last | None) -> str:
        if intent.desired.get(NOT_OURS):
            return "It is let in also if somebody else disabled it, for reasons of their own."
        if last is not None and last.desired["disabled"] and last.found == "not_known":
            return "Whether we disabled it or somebody else had is not known. Ask them first."
        return ""

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        return Preview(
            changes=f"{subject.label} can sign in again.",
            stays="Sessions that were cut stay cut. What was disabled before us stays disabled, "
            "unless you chose otherwise.",
            undo="Suspend it again: two clicks, at any time.",
            twice="Nothing: whether it may sign in is a state.",
            button=f"Restore {subject.label}",
        )

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"{subject} is restored"
