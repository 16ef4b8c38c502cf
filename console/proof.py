"""Proof that somebody came by a new connection, since a ban was in force.

The web server does not tell connections apart. So each answer on the way closes the one it came by,
and hands on a signed link of a chain; a browser holds at most 6 connections to a host, so who has the
last of 7 links came by at least one that was opened meanwhile. A proxy keeps connections of its own:
behind one nothing can be proven.
"""

from __future__ import annotations

from django.core import signing
from django.http import HttpRequest, HttpResponse

from actions.limits import KEEP_WITHIN
from console import hop

LINKS = 7
_SALT = "steadyhand.keep"


def tells(request: HttpRequest) -> bool:
    """Whether connections can be told apart at all: no proxy stands between."""
    return not request.META.get(hop.PROXIED, True)


def link(ref: str, caller: object, after: int = 0) -> str:
    """The link of the chain that follows the first `after`; only for an answer that is `closing`."""
    return signing.dumps([ref, str(caller), after + 1], salt=_SALT)


def read(text: str, ref: str, caller: object) -> int:
    """Which link of this operation's chain, for this caller, a text is; 0 when it is none."""
    try:
        given = signing.loads(text, salt=_SALT, max_age=KEEP_WITHIN)
    except signing.BadSignature:
        return 0
    whole = isinstance(given, list) and len(given) == 3
    return int(given[2]) if whole and given[:2] == [ref, str(caller)] else 0


def whole(text: str, ref: str, caller: object) -> bool:
    """Whether it is the last link."""
    return read(text, ref, caller) >= LINKS


def closing[R: HttpResponse](response: R) -> R:
    """The answer, after which the server closes the connection that it went by."""
    response["Connection"] = "close"
    response["Cache-Control"] = "no-store"
    return response
