"""The whole console on one machine: `python -m console.run`.

Starts PostgreSQL (or takes DATABASE_URL), prepares the database, and keeps web, keeper and worker
running under supervisord until told to stop. A home has one run at a time.
"""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from console import broker, embedded, example, roles
from console.leftovers import end_all, end_leftovers, marked
from console.one_run import ROOT, Problem, Run, Stopped
from console.supervise import STOP_SECONDS, await_ready, children, number, supervisor, watch


def main() -> int:
    """Run the console; returns the exit status."""
    stop = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: stop.set())
    abandoned = parent_gone() if "--under-make" in sys.argv[1:] else lambda: False
    try:
        home = find_home()
        os.umask(0o077)
        broker.given()
        with only_run(home, stop):
            end_leftovers(home)
            serve(Run(home, choose_port(os.environ.get("PORT", "8000")), stop), abandoned)
    except Stopped:
        return 0
    except (Problem, roles.DatabaseProblem) as problem:
        # Ctrl-C reaches initdb and pg_ctl too, and makes them fail.
        if stop.is_set():
            return 0
        print(f"steadyhand: {problem}", file=sys.stderr, flush=True)
        return 1
    return 0


def serve(run: Run, abandoned: Callable[[], bool]) -> None:
    """Start everything, wait until told to stop or abandoned, and stop everything regardless."""
    directory = run.home / "run"
    for made in (directory, run.home / "logs"):
        made.mkdir(mode=0o700, exist_ok=True)
    (directory / "id").write_text(run.id)
    try:
        superuser = start_database(run.home)
        run.broker = broker.adopt(run.home, superuser, wanted=number("WORKERS", 1) > 0)
        if not run.broker:
            say("no broker: the keeper delivers everything by itself")
        example.start(run.home, say)
        prepare(run)
        with supervisor(run) as process:
            await_ready(run, process)
            write_state(run, process)
            say(f"logs in {run.home / 'logs'}")
            say(f"ready {url(run)}")
            watch(run, process, abandoned)
    finally:
        (run.home / "run.lock").write_text(f"{os.getpid()} ending")
        (directory / "state.json").unlink(missing_ok=True)
        end_all(lambda: marked(run.id), patience=1)
        example.stop(run.home)
        if not given_database():
            embedded.stop(run.home)


def say(line: str) -> None:
    """Tell the terminal."""
    print(line, flush=True)


def url(run: Run) -> str:
    """Where the console answers."""
    return f"http://127.0.0.1:{run.port}"


def given_database() -> str:
    """The database to use instead of an embedded one, if any."""
    return os.environ.get("DATABASE_URL", "")


def find_home() -> Path:
    """The directory of all state, made if need be."""
    home = Path(os.environ.get("STEADYHAND_HOME") or ROOT / "var").expanduser().absolute()
    try:
        if given_database():
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        embedded.make_home(home)
    except OSError as error:
        raise Problem(f"STEADYHAND_HOME {home} cannot be made: {error.strerror}") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise Problem(f"STEADYHAND_HOME {home} cannot be written to")
    return home


@contextlib.contextmanager
def only_run(home: Path, stop: threading.Event) -> Iterator[None]:
    """Hold the home. Waits for a run that is ending; refuses beside any other."""
    with (home / "run.lock").open("a+") as file:
        begun = time.monotonic()
        while not _take_lock(file.fileno()):
            pid, _, state = (home / "run.lock").read_text().partition(" ")
            if time.monotonic() - begun > (2 * STOP_SECONDS if state else 1):
                raise Problem(
                    f"already running on {home} (pid {pid or 'unknown'}); stop that first"
                )
            if stop.wait(0.05):
                raise Stopped
        (home / "run.lock").write_text(str(os.getpid()))
        yield


def _take_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def choose_port(wanted: str) -> int:
    """The port to serve on, known to be free; 0 picks one."""
    if not wanted.isdecimal() or int(wanted) > 65535:
        raise Problem(f"PORT is a number from 0 to 65535, not {wanted!r}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(wanted)))
        except OSError as error:
            raise Problem(f"port {wanted} cannot be used: {error.strerror}; set PORT") from error
        port: int = probe.getsockname()[1]
    return port


def start_database(home: Path) -> str | None:
    """Have a database with the console's logins, and database.json saying where.

    Returns the URL of its superuser if the cluster is ours.
    """
    if given := given_database():
        roles.adopt_given(home, given)
        return None
    return embedded.start(home, say)["superuser"]


def prepare(run: Run) -> None:
    """Migrate, and on the first run make the example world."""
    run.check()
    command = [sys.executable, "manage.py", "prepare"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=run.environment("owner"), stdin=subprocess.DEVNULL, process_group=0
    )
    # What is left of it when we are told to stop is ended by its mark.
    while process.poll() is None:
        run.check()
        run.stop.wait(0.02)
    if process.returncode != 0:
        raise Problem(f"`manage.py prepare` failed with status {process.returncode}")


def write_state(run: Run, process: subprocess.Popen[bytes]) -> None:
    """Say what runs, for tests and for whoever looks."""
    state = {
        "run": run.id,
        "manager": os.getpid(),
        "supervisor": process.pid,
        "port": run.port,
        "url": url(run),
        "children": {name: child.pid for name, child in children(process.pid).items()},
    }
    roles.write_private(run.home / "run" / "state.json", state)


def parent_gone() -> Callable[[], bool]:
    """Watches the make above us, which passes on SIGTERM but neither SIGINT, SIGHUP nor its death.

    Having caught a signal it restores the default and waits for us, which shows in /proc.
    """
    parent = os.getppid()
    caught = _caught(parent)
    fatal = 1 << signal.SIGINT - 1 | 1 << signal.SIGHUP - 1
    return lambda: os.getppid() != parent or bool(caught & ~_caught(parent) & fatal)


def _caught(pid: int) -> int:
    try:
        found = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1], 16) if found else 0


if __name__ == "__main__":
    sys.exit(main())
