"""Ban a network: put an address or a range on every block list, until a moment or for good."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

from actions.catalogue import _ends
from actions.catalogue._base import Action, Answers, Intent, Param, Preview, Relation, Step, Values
from actions.errors import ParamsRefused
from actions.subjects import Subject

ENOUGH = Fraction(9, 10)
"""A standing ban that lasts this share of a length that is asked for is enough (contract §3)."""


class BanNetwork(Action):
    name = "ban-network"
    version = 1
    title = "Ban a network"
    summary = "Puts an address or a range on the block lists that firewalls pull."
    kind = "network"
    lane = "ban"
    group = "Network"
    inverse = "lift-ban"
    d3fend = ("D3-ITF",)
    capabilities = frozenset({"network.deny"})
    params = (
        Param("for", "For how long", "end", "A length such as 24h.", _ends.SCHEMAS["for"]),
        Param("until", "Until", "end", "A moment, or null: no end.", _ends.SCHEMAS["until"]),
    )
    answers = Answers(
        identifies=(
            "The network, in its one canonical form, on its ban lane, and the generation of that "
            "lane. While a ban stands that lasts long enough, every further request is the same intent."
        ),
        recorded=(
            "In PostgreSQL, in one transaction before anything is sent: the request key, the "
            "operation, its effects and the log event, each under a unique constraint."
        ),
        retry=(
            "The same operation. Lists that have the address are not written again; under a new "
            "key only the lists that refused are tried again, and the answer says which."
        ),
        duplicates=(
            "None. A list entry is set to a state under its network, so writing it twice leaves "
            "one line; an entry made by a later generation is never overwritten by an older one."
        ),
    )

    def resolve(self, params: Values, now: datetime) -> Intent:
        unknown = sorted(set(params) - {"for", "until"})
        if unknown:
            raise ParamsRefused(
                "unknown_param",
                f"A ban takes for or until, not {unknown[0][:40]!r}.",
                {"field": unknown[0]},
            )
        until, span = _ends.resolve(params, now)
        return Intent({"blocked": True}, until, span)

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        return (Step("deny", "network.deny", {"blocked": True}),)

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        if not standing.desired["blocked"]:
            return Relation.OPPOSED
        if standing.until is None:
            return Relation.COVERED
        if asked.until is None:
            return Relation.MORE
        if standing.until >= asked.until:
            return Relation.COVERED
        left = (standing.until - now) // timedelta(milliseconds=1)
        if asked.span is not None and left >= ENOUGH * asked.span * 1000:
            return Relation.COVERED
        return Relation.MORE

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        until = _until(intent)
        return Preview(
            changes=f"{subject.label} goes on the block list {until}.",
            stays="Connections that are already open stay open until the firewall drops them; "
            "a firewall blocks the address once it has pulled the list.",
            undo="Lift the ban: two clicks, at any time.",
            twice="Nothing: a list holds an address once.",
            button=f"Ban {subject.label} {until}",
        )

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"{subject} is banned {_until(intent)}"

    def ended_by(self, params: Values) -> tuple[str, Values] | None:
        return "lift-ban", {}


def _until(intent: Intent) -> str:
    if intent.until is None:
        return "without an end"
    return f"until {intent.until:%-d %b %Y %H:%M:%S} UTC"
