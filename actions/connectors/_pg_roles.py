"""Roles of an outside PostgreSQL: which one is meant, which may be touched, what was written on it.

What the console last did to a role stands on the role itself, as settings of it that only a
superuser and the management role may set (`GRANT SET ON PARAMETER`). They are how a late call of an
older generation is known, and they tell the version of a credential. To let an earlier generation
through again, as after the console's database was set back: `ALTER ROLE … RESET steadyhand.access`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql

from actions.connectors._base import Call
from actions.connectors._postgres import Connection, Server, Told
from actions.outcomes import Refused

ACCESS: Final = "steadyhand.access"
CREDENTIAL: Final = "steadyhand.credential"
VERSION: Final = "steadyhand.credential_version"
PARAMETERS: Final = (ACCESS, CREDENTIAL, VERSION)

_FIND: Final = """
SELECT oid, rolname, rolcanlogin, rolsuper, coalesce(rolconfig, '{}') FROM pg_roles WHERE """
_LOCK: Final = 0x57EAD2
NO_SUCH: Final = "There is no such account any more."


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is now; `notes` are the settings that it carries."""

    oid: int
    name: str
    can_login: bool
    superuser: bool
    notes: Mapping[str, str]

    @property
    def version(self) -> int:
        """The version of its password, 0 when it is none of ours."""
        return int(self.notes.get(VERSION) or 0)


def by_oid(at: Connection, oid: str) -> Role | None:
    """The role of that `#OID`, whatever it is called now."""
    digits = oid.removeprefix("#")
    if not (oid.startswith("#") and digits.isdecimal() and len(digits) <= 10):
        raise Told(Refused("An account is named by the number of its role, such as #16385."))
    return _role(at, "oid = %s::bigint::oid", digits)


def by_name(at: Connection, name: str) -> Role | None:
    return _role(at, "rolname = %s", name)


def _role(at: Connection, which: LiteralString, value: str) -> Role | None:
    row = at.execute(_FIND + which, [value]).fetchone()
    if row is None:
        return None
    oid, name, can_login, superuser, notes = row
    written = dict(note.partition("=")[::2] for note in notes)
    return Role(oid, name, can_login, superuser, written)


def lock(at: Connection) -> None:
    """Let nobody of ours alter roles in this database until this transaction is over."""
    at.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def refuse_protected(role: Role, server: Server, settings: Mapping[str, object]) -> None:
    """Raises Told of a role that the console never touches."""
    protected = settings.get("protected") or []
    assert isinstance(protected, list)
    if role.superuser or role.name.startswith("pg_"):
        raise Told(Refused("A superuser or a role of the system itself is left alone."))
    if role.name == server.user or role.name in protected:
        raise Told(Refused("This role is protected in this system."))


def alter(at: Connection, role: Role, what: sql.Composable) -> None:
    at.execute(sql.SQL("ALTER ROLE {} ").format(sql.Identifier(role.name)) + what)


def note(at: Connection, role: Role, parameter: str, value: str) -> None:
    """Write on the role, in the transaction of what it tells."""
    # Each part of a custom parameter's name is an identifier of its own.
    named = sql.SQL(".").join(map(sql.Identifier, parameter.split(".")))
    alter(at, role, sql.SQL("SET {} = {}").format(named, sql.Literal(value)))


def mark(call: Call) -> str:
    """The generation, and the call's key as a digest: anybody there can read it."""
    return f"{call.generation}:{hashlib.sha256(call.key.encode()).hexdigest()[:16]}"


def ours_before(role: Role, parameter: str, call: Call) -> bool:
    """Whether this very call was here before. Raises Told when what is there came after it."""
    there = role.notes.get(parameter) or "0:"
    if there == mark(call):
        return True
    if int(there.partition(":")[0]) >= call.generation:
        raise Told(Refused("The system holds a later word on this; it was left alone."))
    return False
