"""Names of what lives in one realm: accounts by an id that is never given again, secrets by slot.

A name is `REALM:REST`. An account is canonically `REALM:#ID`; typed as `REALM:NAME`, it takes a
look at the realm to know whose name that is now, which is `actions.naming`.
"""

from __future__ import annotations

import re
from typing import Final

from actions.errors import SubjectRefused

_REALM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
# An id of digits has no zero in front: 016385 and 16385 would be one account under two names.
_ID: Final = re.compile(r"(?!0[0-9]+\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SLOT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", re.ASCII)
_LONGEST_LABEL: Final = 128

ACCEPTED: Final = {
    "account": (
        "Accepted: the realm, a colon and the account's name there, such as payments-db:alice, "
        "or its id after a number sign, such as payments-db:#16385."
    ),
    "secret": "Accepted: the realm, a colon and the slot there, such as payments-db:app_rw.",
}


def account(name: object) -> str:
    """The canonical name of an account. SubjectRefused `bad_account`; `needs_look` for a label."""
    realm, rest = _parts("account", name)
    if not rest.startswith("#"):
        label(name)
        raise SubjectRefused(
            "needs_look",
            f"{_shown(name)} is a name, which may be somebody else's tomorrow. {ACCEPTED['account']}",
            {"given": _shown(name)},
        )
    if not _ID.fullmatch(rest[1:]):
        raise _bad("account", name)
    return f"{realm}:{rest}"


def label(name: object) -> tuple[str, str]:
    """(realm, label) of an account typed by its name. SubjectRefused `bad_account`."""
    realm, rest = _parts("account", name)
    fits = 0 < len(rest) <= _LONGEST_LABEL and rest.isprintable() and rest == rest.strip()
    if not fits or rest.startswith("#"):
        raise _bad("account", name)
    return realm, rest


def secret(name: object) -> str:
    """The canonical name of a secret. SubjectRefused `bad_secret`."""
    realm, slot = _parts("secret", name)
    if not _SLOT.fullmatch(slot):
        raise _bad("secret", name)
    return f"{realm}:{slot}"


def _parts(kind: str, name: object) -> tuple[str, str]:
    if type(name) is not str:
        raise _bad(kind, name)
    realm, colon, rest = name.partition(":")
    if not colon or not _REALM.fullmatch(realm):
        raise _bad(kind, name)
    return realm, rest


def _bad(kind: str, name: object) -> SubjectRefused:
    given = _shown(name)
    return SubjectRefused(
        f"bad_{kind}", f"{given} is no name of one {kind}. {ACCEPTED[kind]}", {"given": given}
    )


def _shown(given: object) -> str:
    """What was given, short and in plain ASCII: safe in a page, a log and a header."""
    if type(given) is not str:
        return "what is no text"
    return ascii(given) if len(given) <= 80 else f"{given[:80]!a}..."
