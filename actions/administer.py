"""What an admin does: people, groups, rights and tokens, each written with its event or not at all.

Every deed sets something to how it is to be, so that pressing twice does it once; the functions of
`sql/administer.sql` ask whether whoever does it may, and the database keeps an admin who can sign in.
`by` is None at a shell of the database's owner, and nowhere else.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import psycopg
from django.contrib.auth.hashers import make_password
from django.db import transaction

from actions import database
from actions.errors import NotFound, ParamsRefused, Refusal
from actions.policy import CONSOLE_WIDE, RIGHTS

LONGEST_DAYS = 90
"""How long a token may last at most."""

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}", re.ASCII)
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{1,59}", re.ASCII)


class Done(StrEnum):
    """What a deed came to: done now, so already, or not done since it was otherwise than seen."""

    DONE = "done"
    EXISTING = "existing"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a deed came to, and the secret that it made: told this once, kept nowhere; or None."""

    done: Done
    secret: str | None


_WORDS = {
    "only_an_admin_administers": ("may_not_administer", "You may not administer this.", 403),
    "last_admin_stays_open": (
        "last_admin",
        "Nobody could administer the console any more: this is the last admin who can sign in.",
        409,
    ),
    "service_has_no_password": (
        "not_so",
        "The console itself stays as it is, and a service account has no password.",
        422,
    ),
    "right_is_one_that_there_is": ("no_right", "There is no such right.", 422),
    "token_is_for_a_service_or_oneself": (
        "no_token_for_them",
        "A token is for an open service account or for yourself, and lasts 90 days at most.",
        422,
    ),
    "caller_username_key": ("name_taken", "There is an account of that name already.", 409),
}
for _rule in ("last_admin_stays_in_the_group", "last_admin_keeps_the_right"):
    _WORDS[_rule] = _WORDS["last_admin_stays_open"]


def _do(call: str, params: dict[str, object]) -> Done:
    """Call one of the functions; a rule that it breaks is a refusal by the rule's name."""
    try:
        with transaction.atomic():
            return Done(database.value(f"SELECT {call}", params))
    except psycopg.errors.NoDataFound as error:
        raise NotFound("no_such", "There is no such account, group or token.") from error
    except psycopg.Error as error:
        known = _WORDS.get(error.diag.constraint_name or "")
        if known is None:
            raise
        code, message, status = known
        raise Refusal(code, f"{message} Nothing changed.", {"status": status}) from error


def add_person(by: UUID | None, made: UUID, username: str, first: str, last: str) -> Shown:
    """Add a person with a password that is told this once. `made` is the form's, so that it adds once.

    Raises ParamsRefused, and Refusal `name_taken` or `may_not_administer`.
    """
    password = secrets.token_urlsafe(15)
    added = _add(by, made, username, "person", first, last, make_password(password))
    return Shown(added, password if added is Done.DONE else None)


def add_service(by: UUID | None, made: UUID, username: str, title: str) -> Done:
    """Add a service account, which signs in nowhere and asks with tokens."""
    return _add(by, made, username, "service", title, "", make_password(None))


def _add(
    by: UUID | None, made: UUID, username: str, kind: str, first: str, last: str, password: str
) -> Done:
    if not _USERNAME.fullmatch(username):
        raise ParamsRefused(
            "bad_username",
            "A name to sign in with has 2 to 40 of a-z, 0-9, dot, dash and underscore, and begins "
            "with a letter or digit. Nothing changed.",
            {"field": "username"},
        )
    return _do(
        "add_caller(%(by)s::uuid, %(made)s::uuid, %(username)s::text, %(kind)s::text,"
        " %(first)s::text, %(last)s::text, %(password)s::text)",
        {
            "by": by, "made": made, "username": username, "kind": kind,
            "first": first, "last": last, "password": password,
        },
    )  # fmt: skip


def close(by: UUID | None, account: UUID) -> Done:
    """Close an account: whoever is signed in as it is signed out at once, and its tokens are over.

    Raises Refusal `last_admin`.
    """
    return _open(by, account, False, make_password(None))


def reopen(by: UUID | None, account: UUID, kind: str) -> Shown:
    """Open it again; a person gets a new password, told this once. The old one is gone for good."""
    password = secrets.token_urlsafe(15) if kind == "person" else None
    opened = _open(by, account, True, make_password(password))
    return Shown(opened, password if opened is Done.DONE else None)


def _open(by: UUID | None, account: UUID, opened: bool, password: str) -> Done:
    return _do(
        "open_caller(%(by)s::uuid, %(account)s::uuid, %(opened)s::boolean, %(password)s::text)",
        {"by": by, "account": account, "opened": opened, "password": password},
    )


def make_group(by: UUID | None, name: str) -> Done:
    """Make a group without members or rights. It keeps its name for ever: rules name it."""
    if not _GROUP.fullmatch(name):
        raise ParamsRefused(
            "bad_group",
            "A group's name has 2 to 60 letters, digits, spaces, dots, dashes and underscores. "
            "Nothing changed.",
            {"field": "name"},
        )
    return _do("make_group(%(by)s::uuid, %(name)s::text)", {"by": by, "name": name})


def set_member(by: UUID | None, account: UUID, group: str, member: bool) -> Done:
    """Have an account in a group, or not. Raises NotFound, and Refusal `last_admin`."""
    return _do(
        "set_member(%(by)s::uuid, %(account)s::uuid, %(group)s::text, %(member)s::boolean)",
        {"by": by, "account": account, "group": group, "member": member},
    )


def set_rights(
    by: UUID | None,
    group: str,
    kind: str,
    target: UUID | None,
    seen: Iterable[str],
    wanted: Iterable[str],
) -> Done:
    """The rights of a group on one thing, from what was `seen` to what is `wanted`.

    `kind` is `entry`, `realm`, or `all` without a target. STALE when they are neither by now. Raises
    NotFound, and Refusal `no_right`, `last_admin` or `may_not_administer`.
    """
    known = CONSOLE_WIDE if kind == "all" else RIGHTS
    wanted = sorted(set(wanted))
    if kind not in {"entry", "realm", "all"} or not set(wanted) <= set(known):
        raise Refusal("no_right", "There is no such right. Nothing changed.", {"status": 422})
    return _do(
        "set_rights(%(by)s::uuid, %(group)s::text, %(kind)s::text, %(target)s::uuid,"
        " %(seen)s::text[], %(wanted)s::text[])",
        {
            "by": by, "group": group, "kind": kind, "target": target,
            "seen": sorted(set(seen)), "wanted": wanted,
        },
    )  # fmt: skip


def make_secret() -> tuple[str, str, bytes]:
    """A token `sh_PREFIX_SECRET` of 256 random bits, its prefix, and the digest that is kept of it."""
    prefix = secrets.token_hex(6)
    token = f"sh_{prefix}_{secrets.token_urlsafe(32)}"
    return token, prefix, hashlib.sha256(token.encode()).digest()


def issue_token(
    by: UUID | None, made: UUID, account: UUID, name: str, scopes: Sequence[str], days: int
) -> Shown:
    """A token for a service account or for oneself, told this once; whoever issues it answers for it.

    Raises Refusal `no_token_for_them`.
    """
    token, prefix, digest = make_secret()
    issued = _do(
        "issue_token(%(by)s::uuid, %(made)s::uuid, %(account)s::uuid, %(name)s::text, %(prefix)s::text,"
        " %(digest)s::bytea, %(scopes)s::text[], %(days)s::int)",
        {
            "by": by, "made": made, "account": account, "name": name, "prefix": prefix,
            "digest": digest, "scopes": list(scopes), "days": days,
        },
    )  # fmt: skip
    return Shown(issued, token if issued is Done.DONE else None)


def withdraw_token(by: UUID | None, token: UUID) -> Done:
    """Withdraw a token: it is over at once, and what it asked for and was not sent yet is not sent."""
    return _do("withdraw_token(%(by)s::uuid, %(token)s::uuid)", {"by": by, "token": token})
