"""Databases of our own for the fault tests: one whose line may be cut, a standby, a failover.

The console's processes run on a copy of the home whose database is reached over a `Line`, so that
what is at its other end may change.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

from console import embedded
from console.account import account_for
from tests.console_process import ROOT, Console, eventually
from tests.faults.beside import Line, line_to_database, web
from tests.faults.brokers import free_port


def prepare(home: Path, **env: str) -> None:
    """A cluster with the console's tables and its example world in `home`, and started."""
    embedded.make_home(home)
    embedded.start(home)
    manage(home, "prepare", **env)


def manage(home: Path, *arguments: str, **env: str) -> str:
    """Run a management command as the database's owner; what it said."""
    ours = {"STEADYHAND_HOME": str(home), "STEADYHAND_ROLE": "owner", **env}
    # Leases are shorter in tests than a call may take.
    ours = {**os.environ, "SILENCED_SYSTEM_CHECKS": "actions.E001", **ours}
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=ours, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def prepared_cluster(home: Path) -> Iterator[Console]:
    """A console's database alone, ended afterwards."""
    try:
        prepare(home)
        yield Console(home)
    finally:
        embedded.stop(home)


class Standby:
    """A second cluster that follows the first over a `Line`, and may be promoted."""

    def __init__(self, primary: Path, home: Path) -> None:
        self.primary, self.home, self.port = primary, home, free_port()
        server = embedded.running(primary)
        assert server is not None
        self.line = Line(("127.0.0.1", server.port))
        embedded.make_home(home)
        self._account = account_for(home)
        (home / "postgres").mkdir(mode=0o700)
        self._account.own(home / "postgres")
        self._follow()

    def _follow(self) -> None:
        secret = json.loads((self.primary / "postgres.json").read_text())
        conninfo = (
            f"host=127.0.0.1 port={self.line.port} user=postgres password={secret['password']}"
        )
        self._run(
            *("pg_basebackup", "-D", str(self.home / "postgres"), "-d", conninfo),
            *("-R", "-X", "stream", "-c", "fast"),
        )
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories=''"
        self._run(
            *("pg_ctl", "start", "-s", "-w", "-D", str(self.home / "postgres"), "-o", options),
            *("-l", str(self.home / "postgres" / "start.log")),
        )
        eventually(self.caught_up, 30, "the standby follows")

    def _run(self, *command: str) -> None:
        done = self._account.run(*command)
        assert done.returncode == 0, done.stdout

    def _at_primary(self) -> str:
        return str(json.loads((self.primary / "database.json").read_text())["superuser"])

    def caught_up(self) -> bool:
        """Whether it has all that the primary has written."""
        with psycopg.connect(self._at_primary(), autocommit=True) as at:
            found = at.execute(
                "SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication"
            ).fetchone()
        return bool(found and found[0])

    def be_waited_for(self) -> None:
        """Every commit waits for this standby from now on."""
        with psycopg.connect(self._at_primary(), autocommit=True) as at:
            at.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            at.execute("SELECT pg_reload_conf()")
            state = "SELECT sync_state FROM pg_stat_replication"
            eventually(lambda: at.execute(state).fetchone() == ("sync",), what="it is synchronous")

    def promote(self) -> None:
        """The primary dies, as by its power, and this one takes its place."""
        stop_hard(self.primary)
        self._run("pg_ctl", "promote", "-s", "-w", "-D", str(self.home / "postgres"))

    def close(self) -> None:
        self.line.close()
        embedded.stop(self.home)


def stop_hard(home: Path) -> None:
    """As `pg_ctl stop -m immediate`: nothing is finished, and nobody is told."""
    embedded.stop(home, patience=0)
    eventually(lambda: embedded.running(home) is None, what="the server is gone")


class Far(Console):
    """A console's processes on a database at the other end of a line."""

    def __init__(self, home: Path, line: Line, url: str) -> None:
        super().__init__(home)
        self.line, self.url = line, url

    def go_to(self, port: int) -> None:
        """Its database is another server from now on."""
        self.line.cut()
        self.line.server = ("127.0.0.1", port)
        self.line.mend()


@contextlib.contextmanager
def copied(prepared: Path, home: Path) -> Iterator[Console]:
    """A cluster of its own, from one that was prepared and stopped."""
    subprocess.run(["cp", "-a", str(prepared), str(home)], check=True)
    try:
        embedded.start(home)
        yield Console(home)
    finally:
        embedded.stop(home)


@contextlib.contextmanager
def frozen(home: Path) -> Iterator[None]:
    """The server of a home stands still meanwhile: it takes connections, and answers nothing."""
    server = embedded.running(home)
    assert server is not None
    all_of_it = [server.process, *server.process.children()]
    for process in all_of_it:
        process.suspend()
    try:
        yield
    finally:
        for process in all_of_it:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@contextlib.contextmanager
def over_a_line(home: Path, copy: Path, **env: str) -> Iterator[Far]:
    """A web server on the database of `home`, which it reaches over a line."""
    with line_to_database(home, copy) as line, web(copy, **env) as url:
        yield Far(copy, line, url)
