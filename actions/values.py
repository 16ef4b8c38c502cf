"""What an operation made, shown again to who asked for it: sealed until here, logged, then erased."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.conf import settings

from actions import database, keyring
from actions.errors import NotFound, Refusal

_STATE = "SELECT state, until FROM value_state(%(ref)s::text, %(caller)s::uuid)"
_SHOW = """
SELECT state, until, key_id, sealed FROM show_value(%(ref)s::text, %(caller)s::uuid, %(via)s::text)
"""
_ACKNOWLEDGE = "SELECT acknowledge_value(%(ref)s::text, %(caller)s::uuid, %(via)s::text)"


@dataclass(frozen=True, slots=True)
class Offered:
    """Whether there is something to show: `none`, `there` or `gone`; `until` None: not settled yet."""

    state: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Made:
    """A made value, open. Never logged, never kept in a session, never in an address."""

    username: str
    password: str = field(repr=False)
    until: datetime | None


def offered(ref: str, caller: UUID) -> Offered:
    """What there is to show to `caller`; asking is not showing, and is not logged."""
    row = database.one(_STATE, {"ref": ref, "caller": caller})
    return Offered(row["state"], row["until"])


def show(ref: str, caller: UUID, via: str) -> Made:
    """What was made, for who asked for it; logged. Raises NotFound `no_value`, Refusal `value_gone`.

    Raises keyring.CannotOpen when the ring that it was sealed under is not here.
    """
    row = database.one(_SHOW, {"ref": ref, "caller": caller, "via": via})
    _must_be_there(row["state"])
    ring = keyring.load(settings.HOME, keyring.VALUES)
    opened = ring.open(row["key_id"], bytes(row["sealed"]), f"operation/{ref}")
    return Made(opened.get("username", ""), opened["password"], row["until"])


def acknowledge(ref: str, caller: UUID, via: str) -> None:
    """They have it; repeatable. Raises NotFound `no_value` where there never was one for them."""
    state = database.value(_ACKNOWLEDGE, {"ref": ref, "caller": caller, "via": via})
    if state == "none":
        _must_be_there(state)


def erase_due() -> int:
    """Erase every value whose time is over, also of what failed; how many. For the keeper."""
    return int(database.value("SELECT erase_values()", {}))


def _must_be_there(state: str) -> None:
    if state == "none":
        raise NotFound("no_value", "There is nothing made here that is yours to see.")
    if state == "gone":
        raise Refusal(
            "value_gone",
            "It is erased, and cannot be shown again. Rotate again if nobody has it.",
            {"status": 410},
        )
