"""The whole console on one machine: `python -m console.run`.

Starts PostgreSQL (or takes DATABASE_URL), prepares the database, and keeps web and keeper running
under supervisord until told to stop. A home has one run at a time. Every process started here
carries the run's id in its environment: that is how the next run finds what a SIGKILL left.
"""

import contextlib
import ctypes
import fcntl
import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from console import embedded, roles

ROOT = Path(__file__).resolve().parent.parent
MARK = "STEADYHAND_RUN_ID"
READY_SECONDS = 60
CHILD_SECONDS = 8
"""How long web and keeper may take to finish what they are at."""
STOP_SECONDS = 11
"""How long supervisord may take to stop both, before it is killed."""


class Problem(Exception):
    """Why the console cannot run, in words for whoever started it."""


class Stopped(Exception):
    """We were told to stop while starting."""


@dataclass
class Run:
    """One run of the console on a home."""

    home: Path
    port: int
    stop: threading.Event
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def environment(self, role: str) -> dict[str, str]:
        """What a child is given. Never DATABASE_URL: only its own role's URL, in database.json."""
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        ours = {"STEADYHAND_HOME": str(self.home), "STEADYHAND_ROLE": role, MARK: self.id}
        return {**kept, **ours, "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}

    def check(self) -> None:
        """Raise `Stopped` once told to stop."""
        if self.stop.is_set():
            raise Stopped

    def log(self, name: str) -> Path:
        """Where the output of a program goes."""
        return self.home / "logs" / f"{name}.log"


def main() -> int:
    """Run the console; returns the exit status."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    follow = parent_gone() if "--under-make" in sys.argv[1:] else lambda: False
    try:
        home = find_home()
        os.umask(0o077)
        with only_run(home, stop):
            end_leftovers(home)
            serve(Run(home, choose_port(os.environ.get("PORT", "8000")), stop), follow)
    except Stopped:
        return 0
    except (Problem, roles.DatabaseProblem) as problem:
        # Ctrl-C reaches initdb and pg_ctl too, and makes them fail.
        if stop.is_set():
            return 0
        print(f"steadyhand: {problem}", file=sys.stderr, flush=True)
        return 1
    return 0


def serve(run: Run, follow: Callable[[], bool]) -> None:
    """Start everything, wait until told to stop, and stop everything, whatever happens."""
    directory = run.home / "run"
    for made in (directory, run.home / "logs"):
        made.mkdir(mode=0o700, exist_ok=True)
    (directory / "id").write_text(run.id)
    try:
        start_database(run.home)
        prepare(run)
        with supervisor(run) as process:
            await_ready(run, process)
            write_state(run, process)
            say(f"logs in {run.home / 'logs'}")
            say(f"ready {url(run)}")
            watch(run, process, follow)
    finally:
        (run.home / "run.lock").write_text(f"{os.getpid()} ending")
        (directory / "state.json").unlink(missing_ok=True)
        end_all(lambda: marked(run.id), patience=1)
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
        while not _held(file.fileno()):
            pid, _, state = (home / "run.lock").read_text().partition(" ")
            if time.monotonic() - begun > (2 * STOP_SECONDS if state else 1):
                raise Problem(
                    f"already running on {home} (pid {pid or 'unknown'}); stop that first"
                )
            if stop.wait(0.05):
                raise Stopped
        (home / "run.lock").write_text(str(os.getpid()))
        yield


def _held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_leftovers(home: Path) -> None:
    """End what an earlier run left when it was killed. PostgreSQL is adopted instead."""
    with contextlib.suppress(FileNotFoundError):
        last = (home / "run" / "id").read_text().strip()
        if left := end_all(lambda: marked(last), patience=CHILD_SECONDS):
            raise Problem(f"processes of an earlier run do not end: {[p.pid for p in left]}")


def end_all(find: Callable[[], list[psutil.Process]], patience: float) -> list[psutil.Process]:
    """End all that `find` finds: ask each once, after `patience` seconds insist.

    Returns what is still there 5 s later.
    """
    begun = time.monotonic()
    asked: set[int] = set()
    while left := find():
        waited = time.monotonic() - begun
        if waited > patience + 5:
            return left
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                if waited > patience:
                    process.kill()
                elif process.pid not in asked:
                    process.terminate()
        asked |= {process.pid for process in left}
        time.sleep(0.05)
    return []


def marked(run_id: str) -> list[psutil.Process]:
    """Our user's processes that carry the run's id."""
    return [
        process
        for process in psutil.process_iter()
        if run_id and process.pid != os.getpid() and _environment(process).get(MARK) == run_id
    ]


def _environment(process: psutil.Process) -> Mapping[str, str]:
    try:
        if process.uids().real != os.getuid():
            return {}
        found: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        return {}
    return found


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


def start_database(home: Path) -> None:
    """Have a database with the console's logins, and database.json saying where."""
    if given := given_database():
        roles.adopt_given(home, given)
    else:
        embedded.start(home, say)


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


@contextlib.contextmanager
def supervisor(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """Supervisord with web and keeper, stopped at the end."""
    run.check()
    config = run.home / "run" / "supervisord.conf"
    config.write_text(configuration(run))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
        cwd=ROOT,
        env=run.environment("web"),
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=follow_in_death,  # noqa: PLW1509 - no thread is running here
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def follow_in_death() -> None:
    """Have the kernel send SIGTERM when the manager dies, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def configuration(run: Run) -> str:
    """What supervisord reads: no port or socket of its own, logs that rotate."""
    sections = {
        "supervisord": {
            "nodaemon": "true",
            "silent": "true",
            "loglevel": "info",
            "logfile": literal(run.log("supervisord")),
            "pidfile": literal(run.home / "run" / "supervisord.pid"),
            "childlogdir": literal(run.home / "logs"),
            "umask": "077",
            **({"user": "root"} if os.getuid() == 0 else {}),
        },
        "program:web": program(run, "web", web_command(run.port)),
    }
    if keepers := number("KEEPERS", 1):
        command = [sys.executable, "manage.py", "keeper"]
        sections["program:keeper"] = {
            **program(run, "worker", command, "keeper_%(process_num)d"),
            "process_name": "keeper_%(process_num)d",
            "numprocs": str(keepers),
        }
    return "".join(
        f"[{title}]\n" + "".join(f"{name}={value}\n" for name, value in section.items())
        for title, section in sections.items()
    )


def program(run: Run, role: str, command: list[str], log: str = "web") -> dict[str, str]:
    """A program that is never given up: each failed start is followed by a wait a second longer."""
    return {
        "command": literal(shlex.join(command)),
        "directory": literal(ROOT),
        "environment": f'STEADYHAND_ROLE="{role}"',
        "autorestart": "true",
        "startsecs": "2",
        "startretries": "1000000",
        "stopwaitsecs": str(CHILD_SECONDS),
        "killasgroup": "true",
        "redirect_stderr": "true",
        # This one is expanded twice over.
        "stdout_logfile": f"{literal(literal(run.home / 'logs'))}/{log}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
    }


def literal(text: object) -> str:
    """Text that supervisord is not to expand."""
    return str(text).replace("%", "%%")


def web_command(port: int) -> list[str]:
    """The web server. What waits for a reading holds a thread, so there are more than cores."""
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "console.wsgi:application"),
        *("--host", "127.0.0.1", "--port", str(port), "--http", "1", "--no-ws"),
        *("--workers", str(number("WEB_WORKERS", 2))),
        *("--blocking-threads", str(number("WEB_THREADS", 16))),
        *("--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "5"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def number(name: str, default: int) -> int:
    """A count from the environment."""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal():
        raise Problem(f"{name} is a number, not {value!r}")
    return int(value)


def await_ready(run: Run, process: subprocess.Popen[bytes]) -> None:
    """Wait until the console answers; a server or worker process that ends first is a failure."""
    deadline = time.monotonic() + READY_SECONDS
    seen: set[int] = set()
    while not answers(run.port):
        run.check()
        if process.poll() is not None:
            raise Problem(f"supervisord ended.\n{tail(run.log('supervisord'))}")
        now = web_processes(process.pid)
        if seen - now:
            raise Problem(f"web ended before it was ready.\n{tail(run.log('web'))}")
        if time.monotonic() > deadline:
            raise Problem(f"not ready within {READY_SECONDS} s.\n{tail(run.log('web'))}")
        seen |= now
        run.stop.wait(0.05)


def answers(port: int) -> bool:
    """Whether the console says that it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def children(supervisor_pid: int) -> dict[str, psutil.Process]:
    """The programs that supervisord runs now, by name."""
    try:
        found = psutil.Process(supervisor_pid).children()
    except psutil.NoSuchProcess:
        return {}
    named = {_environment(child).get("SUPERVISOR_PROCESS_NAME"): child for child in found}
    return {name: child for name, child in named.items() if name}


def web_processes(supervisor_pid: int) -> set[int]:
    """The web server and its workers."""
    server = children(supervisor_pid).get("web")
    if server is None:
        return set()
    with contextlib.suppress(psutil.NoSuchProcess):
        return {server.pid, *(worker.pid for worker in server.children())}
    return set()


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log, under its name."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join([f"The end of {log}:", *text.splitlines()[-lines:]])


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


def watch(run: Run, process: subprocess.Popen[bytes], follow: Callable[[], bool]) -> None:
    """Return once told to stop; supervisord's death is a failure."""
    web = children(process.pid).get("web")
    while not run.stop.wait(0.1):
        if process.poll() is not None:
            raise Problem(f"supervisord ended.\n{tail(run.log('supervisord'))}")
        if follow():
            return
        if web is None or not _lives(web):
            # A killed web server's workers go on serving beside those of the next one.
            end_all(lambda: strays(run.id, process.pid), patience=CHILD_SECONDS)
            web = children(process.pid).get("web")


def strays(run_id: str, supervisor_pid: int) -> list[psutil.Process]:
    """Processes of the run that have lost their parent."""
    # Listed before the tree is, or a child born in between would be taken for a stray.
    found = marked(run_id)
    try:
        tree = psutil.Process(supervisor_pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    kept = {supervisor_pid, *(process.pid for process in tree)}
    return [process for process in found if process.pid not in kept]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


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
