"""Supervisord: what it is told to run, and a watch over it and its programs."""

import contextlib
import ctypes
import http.client
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from console import rooms
from console.leftovers import CHILD_SECONDS, end_all, environment_of, strays
from console.one_run import ROOT, Problem, Run

CONNECTIONS = 2048
"""How many may be connected to one web process: whoever is not let in is told so, not left waiting."""

READY_SECONDS = 60
STOP_SECONDS = CHILD_SECONDS + 3
"""How long supervisord may take to stop all its programs, before it is killed."""


@contextlib.contextmanager
def supervisor(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """Supervisord with web, keeper and worker, stopped at the end."""
    run.check()
    config = run.home / "run" / "supervisord.conf"
    config.write_text(configuration(run))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
        cwd=ROOT,
        env=run.environment("web"),
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - no thread is running here
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


def die_with_parent() -> None:
    """Have the kernel send us SIGTERM when the manager dies, where it can (Linux)."""
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
    if run.broker and (workers := number("WORKERS", 1)):
        sections["program:worker"] = {
            **program(run, "worker", worker_command(), "worker_%(process_num)d"),
            "process_name": "worker_%(process_num)d",
            "numprocs": str(workers),
        }
    # In one group they are stopped at once; one by one, each would wait for the one before.
    programs = ",".join(name.removeprefix("program:") for name in sections if ":" in name)
    sections["group:console"] = {"programs": programs}
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
    """The web server. Threads are many, for it is we who say who waits and who is sent away."""
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "console.wsgi:application"),
        *("--host", "127.0.0.1", "--port", str(port), "--http", "1", "--no-ws"),
        *("--workers", str(number("WEB_WORKERS", 2))),
        *("--blocking-threads", str(rooms.THREADS), "--backpressure", str(CONNECTIONS)),
        *("--backlog", str(CONNECTIONS)),
        *("--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "5"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def worker_command() -> list[str]:
    """A Celery worker. What it tells other workers, and asks of them, is of no use here."""
    return [
        *(sys.executable, "-m", "celery", "--quiet", "-A", "console.celery", "worker"),
        *("--pool", "prefork", "--concurrency", str(number("WORKER_PROCESSES", 2))),
        *("--hostname", "worker@%h", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
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


def watch(run: Run, process: subprocess.Popen[bytes], abandoned: Callable[[], bool]) -> None:
    """Return once told to stop, or abandoned; supervisord's death is a failure."""
    web = children(process.pid).get("web")
    while not run.stop.wait(0.1):
        if process.poll() is not None:
            raise Problem(f"supervisord ended.\n{tail(run.log('supervisord'))}")
        if abandoned():
            return
        if web is None or not _lives(web):
            # A killed web server's workers go on serving beside those of the next one.
            end_all(lambda: strays(run.id, process.pid), patience=CHILD_SECONDS)
            web = children(process.pid).get("web")


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
    named = {environment_of(child).get("SUPERVISOR_PROCESS_NAME"): child for child in found}
    return {name: child for name, child in named.items() if name}


def web_processes(supervisor_pid: int) -> set[int]:
    """The web server and its workers."""
    server = children(supervisor_pid).get("web")
    if server is None:
        return set()
    with contextlib.suppress(psutil.NoSuchProcess):
        return {server.pid, *(worker.pid for worker in server.children())}
    return set()


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log, under its name."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join([f"The end of {log}:", *text.splitlines()[-lines:]])
