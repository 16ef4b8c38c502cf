"""Limits of contract §13: what is protected, how wide, how much, and who may be cut off by it.

Everything here is pure but for reading what the database said; the database refuses the rest itself
(`sql/limits.sql`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg

from actions import translated
from actions.approvals import Needs
from actions.ask import Ask, Decision
from actions.catalogue._base import Intent
from actions.protection import Protection
from actions.standing import Facts
from actions.subjects import Subject

WIDE = {4: 24, 6: 48}
"""By IP version: what is wider than this prefix is typed by whoever confirms it."""

KEEP_WITHIN = 300
"""Seconds in which who may be cut off by a ban says, on a new connection, that they are not."""

type Seats = Sequence[translated.Address]
"""Where who asks works from, as far as the pages know."""

PROPOSED = "15m"
"""The end that is proposed for a ban of one's own address."""


def gives_back(desired: Mapping[str, object]) -> bool:
    """Whether what is wanted gives something back, and does nothing else: nothing protects from that."""
    return any(
        desired.get(key) is False and not set(desired) - {key, "also_not_ours"}
        for key in ("blocked", "disabled")
    )


def protected(ask: Ask, found: Protection | None) -> Decision | None:
    """Why the subject is never acted on; judged before what stands is told."""
    return None if ask.action.takes_back else _spared(ask.subject, found)


def protected_from(
    desired: Mapping[str, object], subject: Subject, found: Protection | None
) -> Decision | None:
    """The same for what was issued already and is to be set going again."""
    return None if gives_back(desired) else _spared(subject, found)


def _spared(subject: Subject, found: Protection | None) -> Decision | None:
    if found is None or found.level != "never":
        return None
    return _refused("protected", f"{_why(subject, found)} It is never acted on.")


def asks_twice(desired: Mapping[str, object], found: Protection | None) -> bool:
    """Whether what is wanted needs a second person, because of what it is wanted of."""
    return found is not None and found.level == "ask_twice" and not gives_back(desired)


def nobody_to_agree(
    subject: Subject, desired: Mapping[str, object], found: Protection | None, needs: Needs
) -> Decision | None:
    """Why what asks twice cannot be asked: no rule names a second person, and nobody goes alone."""
    if found is None or not asks_twice(desired, found) or needs.each:
        return None
    return _refused(
        "protected_ask_twice",
        f"{_why(subject, found)} It needs a second person, and no rule says who that is. An admin "
        "must add one (manage.py approval_rule add --protected --group approvers); or somebody "
        "goes alone, by break-glass.",
    )


def _why(subject: Subject, found: Protection) -> str:
    by = "" if not found.name or found.name == subject.name else f" by {found.name}"
    return f"{subject.label} is protected{by}: {found.reason.rstrip('.')}."


def why_not_now(subject: Subject, found: Protection | None, asked_twice: bool) -> str | None:
    """Why an effect is not sent after all: it is protected since it was asked for."""
    if found is None or (found.level != "never" and asked_twice):
        return None
    return f"{_why(subject, found)} So it was not sent."


def to_type(ask: Ask, intent: Intent, found: Protection | None) -> str:
    """What whoever confirms it must type, for it is wide or asks twice; "" where nothing need be."""
    if ask.action.takes_back:
        return ""
    twice = asks_twice(intent.desired, found)
    return wide_name(ask.subject) or (ask.subject.label if twice else "")


def wide_name(subject: Subject) -> str:
    """The name of a network that is wide; "" of any other subject."""
    if subject.kind != "network":
        return ""
    network = subject.network
    meant = translated.stands_for(network)
    wide = network.prefixlen < WIDE[network.version] or (meant and meant.prefixlen < WIDE[4])
    return subject.name if wide else ""


def addresses(subject: Subject) -> int:
    """How many addresses it takes in."""
    return int(subject.network.num_addresses)


def own(ask: Ask, seats: Seats) -> bool:
    """Whether what is asked might cut off who asks: it takes in where they ask or work from."""
    return _cut_off(ask, seats) is not None


def _cut_off(ask: Ask, seats: Seats) -> translated.Address | None:
    if ask.subject.kind != "network" or ask.action.takes_back:
        return None
    where = seats if ask.address is None else (ask.address, *seats)
    within = (at for at in where if translated.takes_in(ask.subject.network, at))
    return next(within, None)


def keep_for(ask: Ask, seats: Seats) -> int | None:
    """Seconds in which it must be kept, or ends by itself; None where nobody may be cut off by it."""
    return KEEP_WITHIN if own(ask, seats) else None


def of_width(ask: Ask, intent: Intent, found: Protection | None, seats: Seats) -> Decision | None:
    """What is asked of somebody who asks for what is wide, asks twice, or hits themselves."""
    if ask.action.takes_back:
        return None
    here = _cut_off(ask, seats)
    if here is not None and intent.until is None:
        return _refused(
            "own_address",
            f"{ask.subject.label} takes in {here}, from where you "
            f"{'ask' if here == ask.address else 'work'}: this may cut you off. "
            f"Give it an end, such as {PROPOSED}. It stays only if you confirm it from a new "
            "connection once it is in force.",
        )
    wanted = to_type(ask, intent, found)
    # Compared as text: what is typed is to be read off the page, not to be clever about.
    if not wanted or ask.confirm.strip() in {wanted, ask.subject.name}:
        return None
    if found is not None and not wide_name(ask.subject):
        return _refused(
            "type_to_confirm",
            f"{_why(ask.subject, found)} To confirm that you mean it, type {wanted} (in the API: "
            "the member confirm).",
        )
    return _refused(
        "type_to_confirm",
        f"{wanted} takes in {addresses(ask.subject):,} addresses. To confirm that you mean it, type "
        f"{wanted} (in the API: the member confirm).",
    )


def sure(stands: Intent, facts: Facts, ask: Ask, seats: Seats) -> Intent:
    """What stands, as far as it surely will: what is not kept yet may end at any moment.

    To who may be cut off by it themselves it is what it is: they are asked to keep that.
    """
    if not facts.get("keep_for") or facts.get("kept_at") or own(ask, seats):
        return stands
    if keep_by := facts["keep_by"]:
        return replace(stands, until=datetime.fromisoformat(keep_by), span=None)
    # It waits: its time begins when it is approved, which may be at once.
    at = datetime.fromisoformat(facts["requested_at"])
    return replace(stands, until=at + timedelta(seconds=facts["keep_for"]), span=None)


@dataclass(eq=False)
class Reached(Exception):
    """A ceiling of `scope` (person, token, console) is reached for `seconds`. Nothing was written."""

    scope: str
    seconds: int


def raise_reached(error: psycopg.Error) -> None:
    """Raises Reached if that is what the database says."""
    match = re.fullmatch(r"limit_per_(\w+)", error.diag.constraint_name or "")
    if error.sqlstate == "SH006" and match:
        raise Reached(match[1], int(error.diag.message_detail or 1)) from None


_WHOSE = {
    "person": "You have asked for as much as one person may",
    "token": "This token has asked for as much as one token may",
    "console": "Everybody together has asked for as much as this console does",
}


def told(reached: Reached) -> Decision:
    """What is told to who goes beyond a ceiling; the same key sent later is judged anew."""
    what = f"{_WHOSE[reached.scope]} in this time. Nothing changed. "
    after = (
        f"Send it again after {reached.seconds} seconds; what stands already can be asked always."
    )
    return Decision(
        "refused", f"limit_per_{reached.scope}", what + after, 429, retry_after=reached.seconds
    )


def _refused(code: str, what: str) -> Decision:
    return Decision("refused", code, f"{what} Nothing changed.", 403)
