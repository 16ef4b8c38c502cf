"""What somebody is told of: each kind with its words, and who is told unless they choose otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    AWAITING = "awaiting"
    IN_DOUBT = "in_doubt"
    PARKED = "parked"
    OVERDUE = "overdue"
    BREAK_GLASS = "break_glass"
    SETTLED = "settled"
    ADDRESS = "address"  # the code of an address to be confirmed
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Words:
    """How a kind is told and chosen. `at_first`: told unless one chooses not to be; `always`: anyway."""

    heading: str
    text: str
    chosen: str = ""
    who: str = ""
    at_first: bool = True
    always: bool = False


WORDS: dict[Kind, Words] = {
    Kind.AWAITING: Words(
        "Waits for your approval",
        "Somebody asks for something that you may approve or decline. Nothing runs until then.",
        "Something waits for approval",
        "Whoever may approve it",
    ),
    Kind.IN_DOUBT: Words(
        "In doubt for 2 minutes",
        "A call was sent, and for 2 minutes nobody has known whether it arrived. It is read back, or"
        " sent again where that is safe, by itself.",
        "A call has been in doubt for 2 minutes",
        "Whoever asked for it, and all who may ask for the same",
    ),
    Kind.PARKED: Words(
        "A person must look",
        "Whether a call arrived is not known and cannot be read. Somebody must look there, and say on"
        " its page what they saw.",
        "Something is parked: a person must look",
        "Whoever asked for it, and all who may ask for the same",
    ),
    Kind.OVERDUE: Words(
        "An end is overdue",
        "Its time was over 5 minutes ago, and nothing has ended it yet.",
        "An end is 5 minutes overdue",
        "Whoever asked for what is to end, and admins",
    ),
    Kind.BREAK_GLASS: Words(
        "Break-glass was opened",
        "Somebody acts alone, without a second person, for an hour at most.",
        "Break-glass is opened",
        "Every admin, always",
        always=True,
    ),
    Kind.SETTLED: Words(
        "What you asked for has settled",
        "How it went is on its page.",
        "Something that you asked for has settled",
        "Whoever asked for it",
        at_first=False,
    ),
    Kind.ADDRESS: Words(
        "Confirm this address",
        "Somebody who is signed in at Steadyhand gave this address for their notices. If it was you,"
        " type the code there within the hour. If not, do nothing: no more is sent here.",
    ),
    Kind.TEST: Words(
        "A test", "You asked for a test. Nothing happened, and nothing is to be done."
    ),
}

CHOSEN = tuple(kind for kind in Kind if WORDS[kind].chosen)
"""The kinds that a person or an endpoint may choose, in the order in which they are shown."""
