"""Whether a role may log in, and its sessions: two capabilities of an outside PostgreSQL.

NOLOGIN leaves sessions alive, hence the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from actions.connectors import _pg_roles as roles
from actions.connectors._base import Call, Database, Facts, Unreadable
from actions.connectors._postgres import (
    MAY_NOT,
    Connection,
    Server,
    Told,
    local_part,
    moment,
    offset,
    sessions,
)
from actions.outcomes import Applied, Found, Outcome, Refused, RetryLater

# A backend is named by its pid AND its start: one statement looks and signals, so that the pid that
# is signalled is the one that was looked at, and one given anew has a start after the cut-off. It
# does not wait in between, which would leave time for a pid to be given anew; `verify` waits.
_END = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE usesysid = %(oid)s::bigint::oid AND backend_start < %(before)s
"""
# `backend_start` is null to whoever may not read it: such a session must not pass for none.
_LOOK = """
SELECT count(*), min(backend_start), max(backend_start), count(*) FILTER (WHERE backend_start IS NULL)
  FROM pg_stat_activity WHERE usesysid = %(oid)s::bigint::oid
"""
_MOVED = "The role was renamed at that very moment; nothing was changed."


@dataclass(frozen=True, slots=True)
class Access:
    """`account.disable` and `session.revoke` at one server."""

    server: Server
    settings: Mapping[str, object]
    database: Database

    def disable(self, call: Call) -> Outcome:
        """Set whether the role may log in, fenced by the generation that stands on it."""
        disabled, oid = bool(call.desired["disabled"]), local_part(call.subject)
        with self.server.managing() as at, at.transaction():
            roles.lock(at)
            role = self._touchable(at, oid)
            if role is None:
                return Refused(roles.NO_SUCH)
            repeated = roles.ours_before(role, roles.ACCESS, call)
            roles.alter(at, role, sql.SQL("NOLOGIN" if disabled else "LOGIN"))
            roles.note(at, role, roles.ACCESS, roles.mark(call))
            self._still_meant(at, role, disabled, call)
        if repeated:
            return Applied(Found.NOT_KNOWN, "This had been written before, under this key.")
        if role.can_login is not disabled:
            return Applied(Found.SO_ALREADY, f"{role.name} was so already.")
        return Applied(Found.CHANGED, role.name)

    def _touchable(self, at: Connection, oid: str) -> roles.Role | None:
        role = roles.by_oid(at, oid)
        if role is not None:
            roles.refuse_protected(role, self.server, self.settings)
        return role

    def _still_meant(self, at: Connection, role: roles.Role, disabled: bool, call: Call) -> None:
        """ALTER ROLE goes by name: a role renamed since it was looked up must not be mistaken."""
        now = roles.by_oid(at, f"#{role.oid}")
        wanted = (role.name, not disabled, roles.mark(call))
        if now is None or (now.name, now.can_login, now.notes.get(roles.ACCESS)) != wanted:
            raise Told(RetryLater(_MOVED))  # and so rolls back

    def revoke(self, call: Call) -> Outcome:
        """End the role's sessions from before the cut-off, also those of a role that was dropped."""
        oid, before = local_part(call.subject), moment(call.desired["before"])
        with self.server.managing() as at:
            self._touchable(at, oid)
            asked = {"oid": oid.removeprefix("#"), "before": before + offset(at, self.database)}
            self._look(at, oid)
            row = at.execute(_END, asked).fetchone()
        ended = row[0] if row else 0
        if not ended:
            return Applied(Found.SO_ALREADY, "There was no session from before the cut-off.")
        return Applied(Found.CHANGED, f"{ended} session{'s' if ended > 1 else ''} ended")

    def disabled(self, subject: str) -> Facts:
        with self.server.managing() as at:
            role = roles.by_oid(at, local_part(subject))
        if role is None:
            raise Unreadable(roles.NO_SUCH)
        return {"disabled": not role.can_login, "label": role.name}

    def sessions(self, subject: str) -> Facts:
        with self.server.managing() as at:
            oid = local_part(subject)
            roles.by_oid(at, oid)
            return self._look(at, oid, offset(at, self.database))

    def _look(self, at: Connection, oid: str, ahead: timedelta = timedelta()) -> Facts:
        row = at.execute(_LOOK, {"oid": oid.removeprefix("#")}).fetchone()
        count, oldest, newest, hidden = row or (0, None, None, 0)
        if hidden:
            raise Told(Refused(f"{MAY_NOT} It needs pg_read_all_stats."))
        return sessions(count, oldest, newest, ahead)
