"""The example's payments systems, made and reached as a user of the console would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from actions.connectors.postgres_role import PostgresRole
from actions.connectors.sql_sessions import SqlSessions
from actions.outcomes import Applied, Found, Refused
from console import example
from tests.connectors.server import alive, call, disable, outside, revoke
from tests.console_process import ROOT


@dataclass(frozen=True)
class Payments:
    home: Path
    database: PostgresRole
    application: SqlSessions

    def sign_in(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        told = json.loads((self.home / "example" / "credentials.json").read_text())
        where = {key: told[key] for key in ("host", "port", "dbname")}
        return psycopg.connect(**where, user=name, password=told["accounts"][name], autocommit=True)


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Payments]:
    home = tmp_path_factory.mktemp("example") / "home"
    home.mkdir(mode=0o710)
    home.parent.chmod(0o711)
    example.start(home)
    places = {place.name: place for place in example.places(home)}
    one, two = places["payments-db"], places["payments-app"]
    here = outside().here
    yield Payments(
        home,
        PostgresRole(one.settings, here, one.credentials),
        SqlSessions(two.settings, here, two.credentials),
    )
    example.stop(home)


def test_alice_is_suspended_in_the_database_with_just_the_rights_it_was_given(
    payments: Payments,
) -> None:
    named = payments.database.find("account", "alice_admin")
    assert named is not None
    subject = f"payments-db:#{named.id}"
    with payments.sign_in("alice_admin") as session:
        assert session.execute("SELECT count(*) FROM sessions").fetchone() is not None
        assert payments.database.apply(disable(subject)) == Applied(Found.CHANGED, "alice_admin")
        cut = revoke(subject, outside().now())
        assert payments.database.apply(cut) == Applied(Found.CHANGED, "1 session ended")
        assert payments.database.verify(cut) and not alive(session)
    with pytest.raises(psycopg.OperationalError, match="not permitted"):
        payments.sign_in("alice_admin")


def test_the_password_of_the_pair_is_made_anew(payments: Payments) -> None:
    asked = call("credential.rotate", "payments-db:app_pay", {"rotated": True}, step="make")
    made = payments.database.make(asked)
    assert (made["username"], made["previous"]) == ("app_pay_b", "app_pay_a")
    for step in ("make", "prove", "retire"):
        done = call("credential.rotate", "payments-db:app_pay", {}, step=step, made=made)
        assert isinstance(payments.database.apply(done), Applied) and payments.database.verify(done)
    with pytest.raises(psycopg.OperationalError):
        payments.sign_in("app_pay_a")


def test_mallory_is_signed_out_of_the_application(payments: Payments) -> None:
    named = payments.application.find("account", "mallory")
    assert named is not None
    cut = revoke(f"payments-app:#{named.id}", outside().now())
    assert payments.application.apply(cut) == Applied(Found.CHANGED, "3 sessions ended")


def test_the_batch_job_is_protected_and_managers_manage_nothing_else(payments: Payments) -> None:
    for name in ("batch", *example.MANAGERS):
        named = payments.database.find("account", name)
        assert named is not None
        assert isinstance(payments.database.apply(disable(f"payments-db:#{named.id}")), Refused)


def test_only_its_owner_reads_its_files(payments: Payments) -> None:
    for name in ("credentials.json", "realms.json", "postgres.json"):
        assert (payments.home / "example" / name).stat().st_mode & 0o777 == 0o600


def test_killed_while_it_is_made_it_is_made_all_the_same(
    payments: Payments, tmp_path: Path
) -> None:
    """Everything goes, but the files that hold the passwords, and a database without tables."""
    known = json.loads((payments.home / "example" / "realms.json").read_text())
    code = (
        "import os, signal, sys; from pathlib import Path; from console import example\n"
        "example._ensure = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "example.start(Path(sys.argv[1]))"
    )
    home = payments.home.parent / "killed"
    home.mkdir(mode=0o710)
    killed = subprocess.run([sys.executable, "-c", code, str(home)], cwd=ROOT, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    passwords = json.loads((home / "example" / "realms.json").read_text())["passwords"]
    assert passwords != known["passwords"]
    said: list[str] = []
    example.start(home, said.append)
    try:
        assert not [line for line in said if "not there" in line]
        told = json.loads((home / "example" / "realms.json").read_text())
        assert told["passwords"] == passwords
        place = example.places(home)[0]
        connector = PostgresRole(place.settings, outside().here, place.credentials)
        assert connector.find("account", "app_rw") is not None
    finally:
        example.stop(home)
