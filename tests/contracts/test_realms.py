"""Realms and their credentials: sealed, by version, under keys that are replaced while in use."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings as django_settings

from actions import adapters, keyring, realms
from actions.errors import NotFound, Refusal
from tests.console_process import ROOT
from tests.contracts.inside import MAY_NOT, Still, refused

SETTINGS = {"list": "none"}
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _home(still: Still, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(django_settings, "HOME", still.home)
    with still.acting("owner"):
        yield


@pytest.fixture
def name(still: Still) -> Iterator[str]:
    """A realm with credentials, gone from use when the test ends."""
    name = f"vault-{next(_numbers)}"
    realms.add(name, "Vault", "blocklist", SETTINGS, {"password": f"hunter {name}"})
    yield name
    still.rows("UPDATE realm SET enabled = false WHERE name = %s RETURNING id", name)


def opened(still: Still, name: str, version: int) -> dict[str, str]:
    """The credentials, as a worker has them."""
    realm = still.value("SELECT id FROM realm WHERE name = %s", name)
    adapters._at_work.by_version.clear()
    with still.acting("worker"):
        return dict(adapters.connector(str(realm), version).credentials)


def command(
    still: Still, *args: str, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "STEADYHAND_HOME": str(still.home), "STEADYHAND_ROLE": "owner", **env}
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT, env=given, input=stdin, capture_output=True, text=True,
    )  # fmt: skip


def everything(still: Still) -> str:
    """All that the database holds of realms, and of the log."""
    tables = ("realm", "realm_version", "realm_secret", "log_event")
    return "".join(str(still.rows(f"SELECT * FROM {table}")) for table in tables)


def test_a_worker_opens_what_was_given_and_the_database_does_not_show_it(
    still: Still, name: str
) -> None:
    assert opened(still, name, 1) == {"password": f"hunter {name}"}
    assert "hunter" not in everything(still)


def test_a_change_is_a_new_version_and_the_old_one_still_opens(still: Still, name: str) -> None:
    assert realms.change(name, credentials={"password": "second"}) == 2
    assert realms.change(name, settings={"list": "other"}) == 3
    assert opened(still, name, 1) == {"password": f"hunter {name}"}
    assert opened(still, name, 2) == opened(still, name, 3) == {"password": "second"}
    assert realms.current(name).settings == {"list": "other"}


def sealed(still: Still, name: str) -> list[tuple[int, bytes]]:
    """The rows of a realm's credentials, the first version first."""
    return still.rows(
        "SELECT s.id, s.sealed FROM realm_secret s JOIN realm_version v ON v.id = s.version_id"
        " JOIN realm r ON r.id = v.realm_id WHERE r.name = %s ORDER BY v.number",
        name,
    )


def test_what_belongs_to_another_version_does_not_open_and_holds_up_no_new_key(
    still: Still, name: str
) -> None:
    realms.change(name, credentials={"password": "second"})
    (_, first), (second, kept) = sealed(still, name)
    put = "UPDATE realm_secret SET sealed = %s, key_id = %s WHERE id = %s RETURNING id"
    key = keyring.load(still.home, keyring.REALMS).current
    still.rows(put, first, key, second)
    try:
        with pytest.raises(keyring.CannotOpen):
            opened(still, name, 2)
        done = command(still, "rotate_realm_keys")
        assert done.returncode == 1 and f"{name} version 2" in done.stderr
        assert opened(still, name, 1) == {"password": f"hunter {name}"}
        assert key in keyring.load(still.home, keyring.REALMS).ids, "its key might be needed yet"
    finally:
        still.rows(put, kept, key, second)
    assert command(still, "rotate_realm_keys").returncode == 0
    assert opened(still, name, 2) == {"password": "second"}


def test_web_reads_no_credentials_and_a_worker_writes_none(still: Still) -> None:
    with still.database("web") as at:
        assert refused(at, "SELECT * FROM realm_secret") == MAY_NOT
    with still.database("worker") as at:
        assert refused(at, "UPDATE realm_secret SET key_id = 'x'") == MAY_NOT
        assert refused(at, "DELETE FROM realm_secret") == MAY_NOT


@pytest.mark.parametrize("wrong", ["", "a:b", "A", "-a", "a b", "é"])
def test_a_name_that_subjects_could_not_begin_with_is_refused(wrong: str) -> None:
    with pytest.raises(Refusal, match="name"):
        realms.add(wrong, "Wrong", "blocklist", SETTINGS, {})


def test_what_is_not_there_or_is_there_already_is_refused(name: str) -> None:
    with pytest.raises(NotFound):
        realms.change("nowhere", settings={})
    with pytest.raises(Refusal, match="already"):
        realms.add(name, "Again", "blocklist", SETTINGS, {})
    with pytest.raises(Refusal, match="no connector"):
        realms.add("other", "Other", "nothing", SETTINGS, {})


def test_a_password_among_the_settings_is_refused() -> None:
    with pytest.raises(Refusal, match="credentials"):
        realms.add("open", "Open", "blocklist", {"password": "hunter2"}, {})


def test_after_the_keys_were_replaced_everything_opens_and_the_old_key_is_gone(
    still: Still, name: str
) -> None:
    before = keyring.load(still.home, keyring.REALMS)
    done = realms.rotate_keys()
    after = keyring.load(still.home, keyring.REALMS)
    assert done.sealed >= 1 and after.ids == {done.key} and not after.ids & before.ids
    assert opened(still, name, 1) == {"password": f"hunter {name}"}


@pytest.mark.parametrize("at", ["keys.added", "keys.resealed", "keys.resealed:2", "keys.dropped"])
def test_killed_while_the_keys_are_replaced_nothing_is_lost(
    still: Still, name: str, at: str
) -> None:
    realms.change(name, credentials={"password": "second"})
    killed = command(still, "rotate_realm_keys", CRASH_AT=at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert opened(still, name, 1) == {"password": f"hunter {name}"}
    assert opened(still, name, 2) == {"password": "second"}
    added = realms.change(name, credentials={"password": "third"})  # work goes on meanwhile
    done = command(still, "rotate_realm_keys")
    assert done.returncode == 0, done.stderr
    ring = keyring.load(still.home, keyring.REALMS)
    assert len(ring.ids) == 1
    assert still.rows("SELECT DISTINCT key_id FROM realm_secret") == [(ring.current,)]
    assert opened(still, name, 1) == {"password": f"hunter {name}"}
    assert opened(still, name, added) == {"password": "third"}


def test_nothing_is_sealed_while_a_key_is_found_to_be_needed_no_more(
    still: Still, name: str
) -> None:
    with psycopg.connect(still.dsn("owner")) as holds:
        holds.execute("SELECT pg_advisory_xact_lock(%s)", [realms._LOCK])
        for do in (realms.rotate_keys, lambda: realms.change(name, settings={})):
            other = still.meanwhile("owner", do)
            assert other.until_it_waits()
            holds.rollback()
            other.result()
            holds.execute("SELECT pg_advisory_xact_lock(%s)", [realms._LOCK])


def test_the_rings_are_made_once_and_are_nobody_elses(still: Still, tmp_path: Path) -> None:
    for ring in (keyring.REALMS, keyring.VALUES):
        assert keyring.path_of(still.home, ring).exists()
        file = keyring.path_of(tmp_path, ring)
        keyring.ensure(tmp_path, ring)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        text = file.read_text()
        keyring.ensure(tmp_path, ring)
        assert file.read_text() == text
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == ["realms.json", "values.json"]


def test_an_admin_sets_a_realm_up_by_command(still: Still, tmp_path: Path) -> None:
    new = f"vault-{next(_numbers)}"
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    add = ("realm", "add", new, "--title", "Vault", "--connector", "blocklist")
    done = command(
        still,
        *add,
        "--settings-file",
        str(settings),
        "--credentials-file",
        "-",
        stdin='{"token": "t1"}',
    )
    assert done.returncode == 0, done.stderr
    assert opened(still, new, 1) == {"token": "t1"}
    again = command(still, *add, "--credentials-file", "-", stdin='{"token": "t1"}')
    assert again.returncode == 1 and "already" in again.stderr
    secret = tmp_path / "credentials.json"
    secret.write_text('{"token": "t2"}')
    done = command(still, "realm", "change", new, "--credentials-file", str(secret))
    assert done.returncode == 0 and "version 2" in done.stdout
    assert opened(still, new, 2) == {"token": "t2"}
    bad = command(still, "realm", "change", new, "--credentials-file", "-", stdin='"hunter2')
    assert bad.returncode == 1 and "hunter2" not in bad.stdout + bad.stderr
    listed = command(still, "realm", "list").stdout
    assert f"{new}  blocklist  version 2" in listed and "t2" not in listed
    still.rows("UPDATE realm SET enabled = false WHERE name = %s RETURNING id", new)
