"""Lift a ban: take an address or a range off every block list."""

from __future__ import annotations

from datetime import datetime

from actions.catalogue._base import Action, Answers, Intent, Preview, Relation, Step, Values
from actions.errors import ParamsRefused
from actions.subjects import Subject


class LiftBan(Action):
    name = "lift-ban"
    version = 1
    title = "Lift a ban"
    summary = "Takes an address or a range off the block lists."
    kind = "network"
    lane = "ban"
    group = "Network"
    inverse = "ban-network"
    takes_back = True
    d3fend = ("D3-RNA",)
    capabilities = frozenset({"network.deny"})
    params = ()
    answers = Answers(
        identifies=(
            "The network, in its one canonical form, on its ban lane, and the generation of that "
            "lane. While the lane's last word is a lift, every further request is the same intent."
        ),
        recorded=(
            "In PostgreSQL, in one transaction before anything is sent: the request key, the "
            "operation, its effects and the log event, each under a unique constraint."
        ),
        retry=(
            "The same operation. Lists that dropped the address are not written again; under a "
            "new key only the lists that refused are tried again, and the answer says which."
        ),
        duplicates=(
            "None. A list entry is set to a state under its network, so clearing it twice leaves "
            "it cleared; an entry made by a later generation is never overwritten by an older one."
        ),
    )

    def resolve(self, params: Values, now: datetime) -> Intent:
        if params:
            raise ParamsRefused(
                "unknown_param", "A lift takes no parameters.", {"field": min(params)}
            )
        return Intent({"blocked": False})

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        return (Step("deny", "network.deny", {"blocked": False}),)

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        return Relation.OPPOSED if standing.desired["blocked"] else Relation.COVERED

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        return Preview(
            changes=f"{subject.label} leaves the block list.",
            stays="Bans of wider or narrower networks stay as they are; "
            "a firewall lets the address through once it has pulled the list.",
            undo="Ban it again: two clicks, at any time.",
            twice="Nothing: a list drops an address once.",
            button=f"Lift the ban of {subject.label}",
        )

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"the ban of {subject} is lifted"
