"""Processes of our own beside a running console: a web server, a keeper, a line that breaks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx2 as httpx
import psutil

from console import supervise
from tests.console_process import ROOT, eventually


@contextlib.contextmanager
def web(
    home: Path, *, through: Sequence[str] = (), host: str = "127.0.0.1", **env: str
) -> Iterator[str]:
    """One more web server with one worker on the same home; its URL. A dead worker is replaced.

    `through` is put before its command, and `host` is where it then listens.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *through,
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "console.wsgi:application"),
        *("--host", host, "--port", str(port), "--http", "1", "--no-ws"),
        *("--workers", "1", "--blocking-threads", "4"),
        *("--respawn-failed-workers", "--respawn-interval", "0.1", "--workers-kill-timeout", "5"),
        *("--no-access-log", "--log-level", "warning"),
    ]
    with _process(command, home, "web", env, signal.SIGKILL):
        url = f"http://{host}:{port}"
        eventually(lambda: answers(url), 60, "the web server answers")
        yield url


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def keeper(
    home: Path, *, through: Sequence[str] = (), **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper of our own on the same home."""
    command = [*through, sys.executable, "manage.py", "keeper"]
    with _process(command, home, "worker", env, signal.SIGTERM) as process:
        yield process


@contextlib.contextmanager
def worker(home: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker of our own on the same home, with one pool child."""
    command = [*supervise.worker_command(), "--concurrency", "1"]
    with _process(command, home, "worker", env, signal.SIGTERM) as it:
        eventually(lambda: len(pool_children(it)) == 1, 60, "the worker has its pool child")
        yield it


def pool_children(worker: subprocess.Popen[bytes]) -> list[int]:
    """The pids of a worker's pool."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(worker.pid).children()]
    return []


@contextlib.contextmanager
def _process(
    command: list[str], home: Path, role: str, env: dict[str, str], ended_by: signal.Signals
) -> Iterator[subprocess.Popen[bytes]]:
    ours = {"STEADYHAND_HOME": str(home), "STEADYHAND_ROLE": role, "PYTHONUNBUFFERED": "1"}
    # Leases are shorter here than a call may take.
    ours |= {"SILENCED_SYSTEM_CHECKS": "actions.E001"}
    log = home / f"beside-{role}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **ours, **env},
            stdout=out,
            stderr=out,
            process_group=0,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            _signal(process, ended_by)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        # Its workers too, and whatever stands still.
        _signal(process, signal.SIGKILL)
        process.wait(10)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


READY_FOR_QUERY = b"Z\x00\x00\x00\x05I"
"""How PostgreSQL ends an answer once the transaction is over: what was written is committed."""


class Line:
    """A TCP proxy to PostgreSQL that can be cut, or can lose the answer to one write.

    `lose`: what to do with the next write of a request. "answer": the server gets it and commits,
    its answer is dropped, the line is cut. "commit": as "answer", for the next COMMIT that is sent as
    a statement. "late": the server gets it, and the line is cut before it has answered. "write": the
    line is cut and the server never sees it.
    `meanwhile` is done after that, before the line is cut.
    `gone`: every line is cut, and no new one is taken.
    """

    def __init__(self, server: tuple[str, int], host: str = "127.0.0.1") -> None:
        self.server, self.host = server, host
        self.lose = ""
        self.gone_after = False
        self.gone = False
        self.lost = 0
        self.refused = 0
        self.meanwhile: Callable[[], object] = lambda: None
        self._listening = socket.create_server((host, 0))
        self.port = int(self._listening.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.cut()
        self._listening.close()

    def cut(self) -> None:
        """The database is gone, for those who are connected and those who try."""
        self.gone = True
        for end in list(self._open):
            _shut(end)

    def mend(self) -> None:
        self.gone = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.gone:
                self.refused += 1
                client.close()
                continue
            try:
                server = socket.create_connection(self.server)
            except OSError:  # nobody listens there just now
                client.close()
                continue
            self._open |= {client, server}
            pair = _Pair(self, client, server)
            threading.Thread(target=pair.outwards, daemon=True).start()
            threading.Thread(target=pair.inwards, daemon=True).start()


# The kind of the log event is a parameter of `issue` and of nothing else; so begins what is written
# when an incident is opened, and when a note is.
_WRITES = (b"operation.requested", b"request.arrived", b'{"lead":', b'{"note":')
_MARKS = {False: _WRITES, True: (b"COMMIT",)}


class _Pair:
    """One connection through the line."""

    def __init__(self, line: Line, client: socket.socket, server: socket.socket) -> None:
        self.line, self.client, self.server = line, client, server
        self.dropping = threading.Event()

    def outwards(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.client.recv(65536):
                mode = self.line.lose
                if mode and any(mark in data for mark in _MARKS[mode == "commit"]):
                    self.line.lose = ""
                    self._lose("answer" if mode == "commit" else mode, data)
                    return
                self.server.sendall(data)
        if not self.dropping.is_set():
            self.close()

    def _lose(self, mode: str, data: bytes) -> None:
        if mode == "answer":
            self.dropping.set()  # the answer is read to its end by `inwards`, which then cuts
        if mode != "write":
            self.server.sendall(data)
        if mode != "answer":
            self._cut()

    def inwards(self) -> None:
        kept = b""
        with contextlib.suppress(OSError):
            while data := self.server.recv(65536):
                if not self.dropping.is_set():
                    self.client.sendall(data)
                    continue
                kept = (kept + data)[-len(READY_FOR_QUERY) :]
                if kept == READY_FOR_QUERY:
                    self._cut()
                    return
        self.close()

    def _cut(self) -> None:
        self.line.lost += 1
        self.line.meanwhile()
        if self.line.gone_after:
            self.line.cut()
        self.close()

    def close(self) -> None:
        for end in (self.client, self.server):
            self.line._open.discard(end)
            _shut(end)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def line_to_database(home: Path, copy: Path, host: str = "127.0.0.1") -> Iterator[Line]:
    """A copy of a home whose database is reached over a `Line`."""
    urls = json.loads((home / "database.json").read_text())
    parts = urlsplit(urls["web"])
    line = Line((parts.hostname or "127.0.0.1", parts.port or 5432), host)
    copy.mkdir(mode=0o700)
    shutil.copy(home / "secret_key", copy)
    shutil.copy(home / "credentials.json", copy)
    through = {role: _through(url, line) for role, url in urls.items()}
    (copy / "database.json").write_text(json.dumps(through))
    try:
        yield line
    finally:
        line.close()


def _through(url: str, line: Line) -> str:
    parts = urlsplit(url)
    login, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}@{line.host}:{line.port}"))
