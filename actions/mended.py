"""What a repeat puts right or finishes: pure, like `compare`, which asks it."""

from __future__ import annotations

from dataclasses import replace

from actions import states
from actions.catalogue._base import Intent
from actions.force import drifted
from actions.standing import Facts, Standing


def at_least(asked: Intent, stood: Intent) -> Intent:
    """What is put right lasts no shorter than what had stood: its own end is void from now on."""
    if asked.until is None or (stood.until is not None and stood.until <= asked.until):
        return asked
    return replace(asked, until=stood.until, span=stood.span)


def has_drifted(standing: Facts, seen: Standing) -> bool:
    """Whether what succeeded was found otherwise by a fresh look."""
    succeeded = standing["state"] == states.OperationState.SUCCEEDED
    return succeeded and drifted(standing, seen.known, seen.around)


def failed(seen: Standing) -> Facts | None:
    """The lane's newest operation, if it failed."""
    newest = seen.newest
    return newest if newest and newest["state"] == states.OperationState.FAILED else None
