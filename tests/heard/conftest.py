"""People with addresses, a mail server, and the rights that being heard goes by."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings

from actions import doors, keys, tell, telling
from tests.console_process import ROOT
from tests.contracts import conftest as theirs
from tests.contracts.approving import rule
from tests.contracts.inside import Still, ban
from tests.heard import smtp
from tests.heard.smtp import Ledger

still, name, networks = theirs.still, theirs.name, theirs.networks
second_realm = theirs.second_realm

PEOPLE = ("ana", "raj", "li", "sam")

MOST = "CREATE OR REPLACE FUNCTION notice_most() RETURNS int LANGUAGE sql IMMUTABLE RETURN "
"""With a number: how many notices a person is sent in ten minutes."""
ROOMY = "100000"

_ADDRESSES = """
INSERT INTO notice_address (caller_id, email, asked_at, confirmed_at, wrong)
SELECT id, username || '@example.test', now() - interval '2 hours', now() - interval '2 hours', 0
  FROM caller WHERE username = ANY(%s)
ON CONFLICT (caller_id) DO UPDATE SET email = excluded.email, asked_at = excluded.asked_at,
  confirmed_at = excluded.confirmed_at, wrong = 0
"""


class Heard:
    """Being heard on the still database: what happens is looked for, and told, when a test says so."""

    def __init__(self, still: Still) -> None:
        self.still = still
        with still.database() as at:
            at.execute((MOST + ROOMY).encode())
            # In a group of its own, for those whom no other is told of.
            at.execute("INSERT INTO auth_group (name) VALUES ('nobody''s') ON CONFLICT DO NOTHING")
        self.look()

    def look(self) -> None:
        """Look what happened, as a keeper does every second."""
        with self.still.acting("worker"):
            while telling.make(mail=True):
                pass

    def of(self, operation: int, kind: str) -> list[tuple[str, str]]:
        """Who is told of something that happened to an operation, and how that stands."""
        return self.still.rows(
            "SELECT coalesce(c.username, p.name), n.state FROM notice n"
            " JOIN happening h ON h.id = n.happening_id LEFT JOIN caller c ON c.id = n.person_id"
            " LEFT JOIN endpoint p ON p.id = n.endpoint_id"
            " WHERE h.operation_id = %s AND h.kind = %s ORDER BY 1, n.made_at",
            operation,
            kind,
        )

    def told(self, operation: int, kind: str) -> list[str]:
        return [who for who, _ in self.of(operation, kind)]

    def notice(self, operation: int, who: str, kind: str = "parked") -> uuid.UUID:
        """The id of somebody's notice."""
        return uuid.UUID(
            str(
                self.still.value(
                    "SELECT n.id FROM notice n JOIN happening h ON h.id = n.happening_id"
                    " LEFT JOIN caller c ON c.id = n.person_id LEFT JOIN endpoint p ON p.id = n.endpoint_id"
                    " WHERE h.operation_id = %s AND h.kind = %s AND coalesce(c.username, p.name) = %s",
                    operation,
                    kind,
                    who,
                )
            )
        )

    def row(self, notice: uuid.UUID) -> dict[str, Any]:
        with self.still.database() as at:
            cursor = at.execute("SELECT * FROM notice WHERE id = %s", [notice])
            names = [column.name for column in cursor.description or ()]
            return dict(zip(names, cursor.fetchone() or (), strict=True))

    def state(self, notice: uuid.UUID) -> str:
        return str(self.row(notice)["state"])

    def tell(self, notice: uuid.UUID) -> str:
        """Have its time come, and tell it; how it stands then."""
        self.hurry(notice)
        with self.still.acting("worker"):
            tell.tell(notice)
        return self.state(notice)

    def hurry(self, notice: uuid.UUID) -> None:
        sql = "UPDATE notice SET run_at = now() - interval '1 s' WHERE id = %s"
        with self.still.database() as at:
            at.execute(sql, [notice])

    def tell_in_a_process(self, notice: uuid.UUID, **env: str) -> int:
        """Have a process of its own tell it; how that ended."""
        self.hurry(notice)
        code = (
            "import sys, uuid, django; django.setup()\n"
            "from actions.tell import tell; tell(uuid.UUID(sys.argv[1]))"
        )
        whole = {
            **os.environ,
            "STEADYHAND_HOME": str(self.still.home),
            "STEADYHAND_ROLE": "worker",
            "DJANGO_SETTINGS_MODULE": "console.settings",
            **env,
        }
        return subprocess.run(
            [sys.executable, "-c", code, str(notice)], cwd=ROOT, env=whole
        ).returncode

    def end_lease(self, notice: uuid.UUID) -> str:
        """The time of whoever holds it is over, and a keeper sees that."""
        over = "UPDATE notice SET lease_until = now() - interval '1 s' WHERE id = %s AND state = 'executing'"
        with self.still.database() as at:
            at.execute(over, [notice])
        with self.still.acting("worker"):
            telling.expire(tell.CHANNELS.values())
        return self.state(notice)


def park(still: Still, operation: int) -> None:
    """Nobody knows whether its one effect arrived, and it cannot be read."""
    with still.database() as at:
        at.execute(
            "UPDATE effect SET state = 'executing', lease_until = now(), attempts = attempts + 1"
            " WHERE operation_id = %s",
            [operation],
        )
        at.execute(
            "UPDATE effect SET state = 'in_doubt', lease_until = NULL, doubt_until = now() + interval '1 h'"
            " WHERE operation_id = %s",
            [operation],
        )
        at.execute(
            "UPDATE effect SET state = 'parked', doubt_until = NULL WHERE operation_id = %s",
            [operation],
        )


@pytest.fixture(scope="session")
def _heard(still: Still) -> Heard:
    return Heard(still)


@pytest.fixture
def heard(_heard: Heard, still: Still) -> Heard:
    """Ana, Raj, Li and Sam have addresses that are confirmed, and chose nothing."""
    with still.database() as at:
        at.execute("DELETE FROM notice_choice")
        at.execute("DELETE FROM notice_address")
        at.execute(_ADDRESSES, [list(PEOPLE)])
        at.execute("UPDATE endpoint SET enabled = false")
    _heard.look()
    return _heard


@pytest.fixture
def parked(heard: Heard, still: Still, name: str) -> int:
    """A ban by Ana that is parked, and of which people are to be told."""
    operation, _ = still.issued(ban(name))
    park(still, operation)
    heard.look()
    return operation


@pytest.fixture
def awaiting(heard: Heard, still: Still, networks: Callable[[], str]) -> Callable[..., int]:
    """Makes operations that wait for approval by a group."""

    def make(by: str = "ana", group: str = "approvers", drafted_by: str = "") -> int:
        name, more = networks(), {}
        with rule(still, group=group):
            if drafted_by:
                key = keys.new_draft_id()
                draft = still.draft(ban(name, key=key), drafted_by)
                more = {"key": key, "seen": 0, "draft": draft}
            operation, _ = still.issued(ban(name, **more), by)
        assert still.state(operation) == "awaiting_approval"
        return operation

    return make


@pytest.fixture(scope="session")
def _mail_server() -> Iterator[Ledger]:
    with smtp.serving() as ledger:
        yield ledger


@pytest.fixture
def mail(_mail_server: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The mail server that notices go to, which takes everything until it is told otherwise."""
    _mail_server.tell()
    given = {"url": _mail_server.url, "sender": "steadyhand@example.test"}
    monkeypatch.setattr(settings, "MAIL", {**given, "password_file": "", "ca_file": ""})
    monkeypatch.setattr(settings, "PUBLIC_URL", "https://console.example.test")
    return _mail_server


@pytest.fixture
def outbound(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Says what may be called over HTTP."""

    def let(**given: Any) -> None:
        monkeypatch.setattr(settings, "OUTBOUND", {**settings.OUTBOUND, **given})
        doors.reach.cache_clear()

    yield let
    doors.reach.cache_clear()
