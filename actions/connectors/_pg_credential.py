"""A password of an outside PostgreSQL, made anew: one role's, or in turn those of a pair.

The server is sent a verifier that we make: the password never goes there, and the same verifier set
twice leaves the same bytes. A pair overlaps: the one role's value stays good until `retire`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from actions.connectors import _pg_roles as roles
from actions.connectors._base import Call, Facts
from actions.connectors._postgres import Connection, Server, Told, local_part
from actions.outcomes import Applied, Found, Outcome, Refused, RetryLater, Seen

_IN_USE = "SELECT usename FROM pg_stat_activity WHERE usename = ANY(%s)"
_STORED = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
_READABLE = "SELECT has_column_privilege('pg_authid', 'rolpassword', 'SELECT')"


@dataclass(frozen=True, slots=True)
class Credential:
    """`credential.rotate` at one server, in the steps make, prove and retire."""

    server: Server
    settings: Mapping[str, object]

    def make(self, call: Call) -> dict[str, str]:
        """A new value, for whom, and the version that it will be. Raises Told."""
        with self.server.managing() as at:
            slot = self._slot(at, call.subject)
            role = _next(at, slot)
            password = secrets.token_urlsafe(32)
            verifier = at.pgconn.encrypt_password(
                password.encode(), role.name.encode(), b"scram-sha-256"
            )
        previous = [other.name for other in slot if other is not role]
        return {
            "username": role.name,
            "password": password,
            "verifier": verifier.decode(),
            "version": str(max(r.version for r in slot) + 1),
            "previous": previous[0] if previous else "",
        }

    def apply(self, call: Call) -> Outcome:
        steps = {"make": self._set, "prove": self._prove, "retire": self._retire}
        if call.step not in steps:
            return Refused(f"A rotation here has no step {call.step!r}.")
        if not call.made:
            return Refused("The new value is not there any more; begin another rotation.")
        return steps[call.step](call)

    def _set(self, call: Call) -> Outcome:
        made = call.made
        with self.server.managing() as at, at.transaction():
            roles.lock(at)
            role = self._member(at, call, made["username"])
            repeated = roles.ours_before(role, roles.CREDENTIAL, call)
            form = sql.SQL("LOGIN PASSWORD {}" if made["previous"] else "PASSWORD {}")
            roles.alter(at, role, form.format(sql.Literal(made["verifier"])))
            roles.note(at, role, roles.VERSION, made["version"])
            roles.note(at, role, roles.CREDENTIAL, roles.mark(call))
        found = Found.NOT_KNOWN if repeated else Found.CHANGED
        return Applied(found, f"version {made['version']} on {role.name}")

    def _prove(self, call: Call) -> Outcome:
        taken = self.server.lets_in(call.made["username"], call.made["password"])
        if taken is None:
            return RetryLater("Whether the new value is taken cannot be told now.")
        if not taken:
            return Refused("The system does not take the new value.")
        return Applied(Found.SO_ALREADY, f"version {call.made['version']} is taken")

    def _retire(self, call: Call) -> Outcome:
        """Never before the new value was taken once more: the old one may be the only good one."""
        proved = self._prove(call)
        if not isinstance(proved, Applied) or not call.made["previous"]:
            return proved
        with self.server.managing() as at, at.transaction():
            roles.lock(at)
            new = self._member(at, call, call.made["username"])
            old = self._member(at, call, call.made["previous"])
            if str(new.version) != call.made["version"] or old.version > new.version:
                return Refused("The system holds a later version; it was left alone.")
            roles.alter(at, old, sql.SQL("NOLOGIN PASSWORD NULL"))
            row = at.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [old.name])
            left = (row.fetchone() or (0,))[0]
        said = f"{old.name} is let in no more; {left} of its sessions are open still"
        return Applied(Found.CHANGED if old.can_login else Found.NOT_KNOWN, said)

    def read(self, subject: str) -> Facts:
        with self.server.managing() as at:
            slot = self._slot(at, subject)
        told = {r.name: {"version": r.version, "login": r.can_login} for r in slot}
        return {"version": max(r.version for r in slot), "roles": told}

    def observe(self, call: Call) -> Seen:
        """Whether the step is done: by the verifier where it can be read, else by signing in."""
        made = call.made
        if not made:
            return Seen.UNREADABLE
        with self.server.managing() as at:
            here = {role.name: role for role in self._slot(at, call.subject)}
            new, old = here.get(made["username"]), here.get(made["previous"])
            if new is None or str(new.version) != made["version"]:
                return Seen.NO
            taken = _as_stored(at, made)
        if taken is None:
            taken = self.server.lets_in(made["username"], made["password"])
        if taken is None:
            return Seen.UNREADABLE
        retired = call.step != "retire" or old is None or not old.can_login
        return Seen.YES if taken and retired else Seen.NO

    def names(self, slot: str) -> list[str]:
        """The roles that a slot stands for: itself, or the pair that the settings give."""
        pairs = self.settings.get("secrets") or {}
        assert isinstance(pairs, dict)
        return [str(name) for name in pairs.get(slot, [slot])]

    def _slot(self, at: Connection, subject: str) -> list[roles.Role]:
        found = []
        for name in self.names(local_part(subject)):
            role = roles.by_name(at, name)
            if role is None:
                raise Told(Refused(f"There is no role {name} there."))
            roles.refuse_protected(role, self.server, self.settings)
            found.append(role)
        return found

    def _member(self, at: Connection, call: Call, name: str) -> roles.Role:
        for role in self._slot(at, call.subject):
            if role.name == name:
                return role
        raise Told(Refused(f"{name} is no role of this secret any more."))


def _next(at: Connection, slot: list[roles.Role]) -> roles.Role:
    """Whose value is made anew: the one that nobody uses.

    That is one that may not log in, else has no session, else the older version: of an overlap that
    was never ended the newer value may not have been handed out yet, and then the older is in use.
    """
    used = {name for (name,) in at.execute(_IN_USE, [[r.name for r in slot]]).fetchall()}
    return min(reversed(slot), key=lambda role: (role.can_login, role.name in used, role.version))


def _as_stored(at: Connection, made: Mapping[str, str]) -> bool | None:
    """Whether the verifier there is ours; None to whoever may not read it."""
    may = at.execute(_READABLE).fetchone()
    if not may or not may[0]:
        return None
    row = at.execute(_STORED, [made["username"]]).fetchone()
    return bool(row and row[0] == made["verifier"])
