"""Roles of a PostgreSQL server: whether they may log in, their sessions, and their passwords.

An account is `REALM:#OID`, the number that the server never gives to another role; a secret is
`REALM:SLOT`, a role's name or one of settings["secrets"], which names two roles that take turns.

Settings: host, port, dbname, sslmode?, sslrootcert?, protected: [role…]?, secrets: {slot: [a, b]}?.
Credentials: user, password of a management role; see `GRANTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import psycopg

from actions.connectors import _pg_roles as roles
from actions.connectors._base import (
    Call,
    Connector,
    Facts,
    Named,
    NotMade,
    Offer,
    Redo,
    Unreadable,
)
from actions.connectors._pg_access import Access
from actions.connectors._pg_credential import Credential
from actions.connectors._postgres import (
    CALL_SECONDS,
    Server,
    Told,
    answer_to,
    none_older,
    sessions_in_words,
)
from actions.outcomes import Outcome, Refused, RetryLater, Seen

GRANTS: Final = """
CREATE ROLE {manager} LOGIN CREATEROLE PASSWORD …;
GRANT pg_signal_backend, pg_read_all_stats TO {manager};
GRANT SET ON PARAMETER "steadyhand.access", "steadyhand.credential", "steadyhand.credential_version"
  TO {manager};
GRANT {each managed role} TO {manager} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
"""
"""What the management role needs, given by a superuser of that server."""

# Once the server is through with a call it cannot take effect later; it may take this long, twice:
# a statement that waited for its lock, and the transaction around it.
_SETTLE: Final = 2 * CALL_SECONDS
# To connect, and to wait for the answer: twice where a value is proved first.
_TIMEOUT: Final = 2 * (CALL_SECONDS + CALL_SECONDS + 1)


class PostgresRole(Connector):
    name = "postgres_role"
    title = "PostgreSQL roles"
    names: ClassVar[frozenset[str]] = frozenset({"account"})
    offers: ClassVar[Mapping[str, Offer]] = {
        "account.disable": Offer(Redo.NATURAL, settle=_SETTLE, timeout=_TIMEOUT, verify=2),
        "session.revoke": Offer(Redo.NATURAL, settle=_SETTLE, timeout=_TIMEOUT, verify=5),
        "credential.rotate": Offer(
            Redo.NATURAL, settle=_SETTLE, timeout=_TIMEOUT, verify=5, makes=True
        ),
    }
    already: ClassVar[Mapping[str, str]] = {
        "rolcanlogin": "pg_roles says already that the role may, or may not, log in",
        "no older session": "pg_stat_activity holds no session of the role from before the cut-off",
        "same mark": "the role carries the generation and key of this very call",
        "new value taken": "the server lets the role in with the value that this rotation made",
    }

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self._server = Server(self.settings, self.credentials)
        self._access = Access(self._server, self.settings, self.database)
        self._credential = Credential(self._server, self.settings)

    def apply(self, call: Call) -> Outcome:
        steps = {
            "account.disable": self._access.disable,
            "session.revoke": self._access.revoke,
            "credential.rotate": self._credential.apply,
        }
        try:
            return steps[call.capability](call)
        except Told as told:
            return told.outcome
        except psycopg.Error as error:
            return answer_to(error)

    def read(self, capability: str, kind: str, subject: str) -> Facts:
        looks = {
            "account.disable": self._access.disabled,
            "session.revoke": self._access.sessions,
            "credential.rotate": self._credential.read,
        }
        try:
            return looks[capability](subject)
        except Told as told:
            raise Unreadable(told.outcome.message) from None
        except psycopg.Error as error:
            raise Unreadable(answer_to(error).message) from None

    @classmethod
    def agrees(cls, capability: str, facts: Facts, desired: Mapping[str, object]) -> bool:
        """Of a credential only that there is one of ours, of the version if one is wanted."""
        if capability == "session.revoke":
            return none_older(facts, desired)
        if capability == "credential.rotate":
            version = facts.get("version")
            return bool(version) and desired.get("version", version) == version
        return facts.get("disabled") is desired.get("disabled")

    @classmethod
    def words(cls, capability: str, facts: Facts) -> str:
        if capability == "session.revoke":
            return sessions_in_words(facts)
        if capability == "account.disable":
            return "may not sign in" if facts.get("disabled") else "may sign in"
        of_ours = facts.get("version")
        version = f"version {of_ours}" if of_ours else "no version of ours yet"
        found = facts.get("roles")
        logins = found.items() if isinstance(found, Mapping) else ()
        doors = [
            f"{name} may{'' if role.get('login') else ' not'} sign in" for name, role in logins
        ]
        return "; ".join([version, *doors])

    def observe(self, call: Call) -> Seen:
        if call.capability != "credential.rotate":
            return super().observe(call)
        try:
            return self._credential.observe(call)
        except (Told, psycopg.Error):
            return Seen.UNREADABLE

    def make(self, call: Call) -> Mapping[str, str]:
        """{username, password, verifier, version, previous}. Raises NotMade; changes nothing."""
        try:
            return self._credential.make(call)
        except Told as told:
            raise NotMade(_no(told.outcome)) from None
        except psycopg.Error as error:
            raise NotMade(_no(answer_to(error))) from None

    def find(self, kind: str, label: str) -> Named | None:
        try:
            with self._server.managing() as at:
                if kind == "secret":
                    there = [roles.by_name(at, name) for name in self._credential.names(label)]
                    return Named(label, label) if all(there) else None
                role = roles.by_name(at, label)
        except Told as told:
            raise Unreadable(told.outcome.message) from None
        except psycopg.Error as error:
            raise Unreadable(answer_to(error).message) from None
        return Named(str(role.oid), role.name) if role else None


def _no(outcome: Outcome) -> Refused | RetryLater:
    """The outcome of a look that came to nothing: nothing was sent, so it is never unknown."""
    return outcome if isinstance(outcome, Refused) else RetryLater(outcome.message)
