"""The embedded PostgreSQL, and the logins that it and a given database get: with real servers."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from console import embedded, roles


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("embedded") / "home"
    embedded.make_home(home)
    embedded.start(home)
    yield home
    embedded.stop(home)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database somewhere else: the URL of its owner, who may CREATE ROLE and no more."""
    home = tmp_path_factory.mktemp("given")
    superuser = embedded.launch(home)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE ROLE ops LOGIN CREATEROLE PASSWORD 'p%40'")
        connection.execute("CREATE DATABASE console OWNER ops")
    yield roles.with_login(superuser, "ops", "p%40").replace("/postgres", "/console")
    embedded.stop(home)


def one(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def occupy(port: int) -> socket.socket:
    stranger = socket.socket()
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stranger.bind(("127.0.0.1", port))
    stranger.listen()
    return stranger


def server(home: Path) -> embedded.Postmaster:
    found = embedded.running(home)
    assert found is not None
    return found


def test_each_role_logs_in_as_itself(home: Path) -> None:
    urls = embedded.start(home)
    who = {name: one(url, "SELECT session_user::text") for name, url in urls.items()}
    assert who == {
        "owner": "steadyhand_owner",
        "web": "steadyhand_web",
        "worker": "steadyhand_worker",
        "auditor": "steadyhand_auditor",
        "superuser": "postgres",
    }
    assert roles.read_urls(home) == urls


def test_what_holds_passwords_is_closed_to_others(home: Path) -> None:
    assert mode(home / "database.json") == mode(home / "postgres.json") == 0o600
    assert mode(home / "postgres") == 0o700
    assert mode(home) & 0o007 == 0


def test_only_the_owner_may_make_tables(home: Path) -> None:
    urls = embedded.start(home)
    for name in roles.LOGINS:
        with psycopg.connect(urls[name]) as connection, pytest.raises(InsufficientPrivilege):
            connection.execute("CREATE TABLE public.mine ()")
    with psycopg.connect(urls["owner"]) as connection:
        connection.execute("CREATE TABLE public.mine ()")
        connection.rollback()


def test_no_role_of_the_console_has_a_power_over_the_server(home: Path) -> None:
    powers = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    query = f"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'steadyhand_%' AND ({powers})"
    assert one(embedded.start(home)["superuser"], query) == 0


def test_a_login_of_nobodys_may_not_connect(home: Path) -> None:
    superuser = embedded.start(home)["superuser"]
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'known'")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(roles.with_login(superuser, "stranger", "known"))


def test_the_server_listens_on_loopback_alone_and_keeps_its_promises_to_the_disk(
    home: Path,
) -> None:
    superuser = embedded.start(home)["superuser"]
    assert one(superuser, "SHOW listen_addresses") == "127.0.0.1"
    assert one(superuser, "SHOW unix_socket_directories") == ""
    assert one(superuser, "SHOW fsync") == one(superuser, "SHOW synchronous_commit") == "on"
    assert one(superuser, "SHOW server_encoding") == "UTF8"


def test_a_running_server_is_adopted(home: Path) -> None:
    urls, before = embedded.start(home), server(home)
    assert embedded.start(home) == urls
    assert server(home).process == before.process


def test_a_stopped_server_starts_again_as_it_was(home: Path) -> None:
    urls = embedded.start(home)
    embedded.stop(home)
    assert embedded.running(home) is None
    assert embedded.start(home) == urls


def test_stopping_what_does_not_run_does_nothing(tmp_path: Path) -> None:
    embedded.stop(tmp_path)


def test_a_killed_server_starts_again_and_has_what_was_committed(home: Path) -> None:
    urls = embedded.start(home)
    with psycopg.connect(urls["owner"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server(home).process.kill()
    assert embedded.start(home) == urls
    assert one(urls["owner"], "SELECT answer FROM kept") == 42


def test_a_pid_file_naming_another_process_is_no_server(home: Path) -> None:
    urls = embedded.start(home)
    embedded.stop(home)
    lines = [os.getpid(), home / "postgres", 1, 5432, "", "127.0.0.1", "1 1", "ready"]
    (home / "postgres" / "postmaster.pid").write_text("\n".join(map(str, lines)))
    assert embedded.running(home) is None
    assert embedded.start(home) == urls


def test_another_port_is_taken_while_a_stranger_has_ours(home: Path) -> None:
    embedded.start(home)
    port = server(home).port
    embedded.stop(home)
    with occupy(port):
        urls = embedded.start(home)
    assert server(home).port != port
    assert one(urls["web"], "SELECT 1") == 1


def test_lost_files_of_passwords_are_made_anew(home: Path) -> None:
    embedded.start(home)
    embedded.stop(home)
    (home / "postgres.json").unlink()
    (home / "database.json").unlink()
    assert one(embedded.start(home)["web"], "SELECT 1") == 1
    (home / "postgres.json").unlink()
    assert one(embedded.start(home)["superuser"], "SELECT 1") == 1


def test_a_cluster_left_half_made_is_made_anew_and_directories_above_stay_as_they_are(
    tmp_path: Path,
) -> None:
    above = tmp_path / "closed"
    above.mkdir(mode=0o700)
    home = above / "home"
    home.mkdir(mode=0o755)
    (home / "postgres.new" / "data").mkdir(parents=True)
    (home / "postgres.new" / "data" / "PG_VERSION").write_text("18")
    watched = [home, *home.parents]
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in watched]
    try:
        assert one(embedded.launch(home), "SELECT 1") == 1
    finally:
        embedded.stop(home)
    after = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in watched]
    assert after == before
    assert not (home / "postgres.new").exists()


def test_data_of_another_major_version_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(roles.DatabaseProblem, match="was made by PostgreSQL 17, this is 18"):
        embedded.start(tmp_path)


def test_a_directory_that_is_no_cluster_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "letter.txt").write_text("mine")
    with pytest.raises(roles.DatabaseProblem, match="not a PostgreSQL data directory"):
        embedded.start(tmp_path)
    assert (tmp_path / "postgres" / "letter.txt").read_text() == "mine"


def test_why_a_server_does_not_start_is_told_from_its_log(home: Path) -> None:
    embedded.start(home)
    embedded.stop(home)
    settings = home / "postgres" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("shared_buffers = 'a lot'\n")
    try:
        with pytest.raises(roles.DatabaseProblem, match='invalid value for parameter "shared_buf'):
            embedded.start(home)
    finally:
        settings.write_text(before)
    embedded.start(home)


def test_a_given_database_gets_the_logins_and_keeps_its_owner(given: str, tmp_path: Path) -> None:
    urls = roles.adopt_given(tmp_path, given)
    assert urls["owner"] == given
    assert "superuser" not in urls
    assert one(urls["worker"], "SELECT session_user::text") == "steadyhand_worker"
    assert mode(tmp_path / "database.json") == 0o600
    assert roles.adopt_given(tmp_path, given) == roles.read_urls(tmp_path) == urls


def test_logins_that_exist_get_new_passwords_where_theirs_are_not_known(
    given: str, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    lost = roles.adopt_given(tmp_path / "first", given)
    urls = roles.adopt_given(tmp_path / "second", given)
    assert one(urls["web"], "SELECT 1") == 1
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(lost["web"])


def test_an_old_server_is_refused_in_words(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "OLDEST_SERVER", 990000)
    with pytest.raises(roles.DatabaseProblem, match="DATABASE_URL is PostgreSQL 18"):
        roles.adopt_given(tmp_path, given)


def test_an_owner_who_may_not_make_roles_is_told_so(given: str, tmp_path: Path) -> None:
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute("CREATE ROLE humble LOGIN PASSWORD 'known'")
        connection.execute("GRANT CONNECT ON DATABASE console TO humble")
    with pytest.raises(roles.DatabaseProblem, match="may CREATE ROLE"):
        roles.adopt_given(tmp_path, roles.with_login(given, "humble", "known"))


def test_a_database_that_cannot_be_reached_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(roles.DatabaseProblem) as told:
        roles.adopt_given(tmp_path, "postgresql://ops:secret-word@127.0.0.1:1/console")
    assert "cannot be used" in str(told.value)
    assert "secret-word" not in str(told.value)
    assert not (tmp_path / "database.json").exists()
