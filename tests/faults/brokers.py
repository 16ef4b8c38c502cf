"""Real RabbitMQ and Redis servers on loopback ports of their own, started and ended by a test."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.console_process import eventually

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""The script itself: the one on PATH changes to a user of its own."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Broker:
    """One server that a test may kill and start again, empty, on the same port."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind, self.directory, self.port = kind, directory, free_port()
        self.url = {
            "redis": f"redis://127.0.0.1:{self.port}/0",
            "rabbitmq": f"amqp://guest:guest@127.0.0.1:{self.port}//",
        }[kind]
        self._epmd = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command, env = {"redis": self._redis, "rabbitmq": self._rabbitmq}[self.kind]()
        with (self.directory / "out").open("ab") as out:
            self._process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        eventually(lambda: listens(self.port), 90, f"{self.kind} listens")

    def _redis(self) -> tuple[list[str], dict[str, str]]:
        server = shutil.which("redis-server")
        assert server, "there is no redis-server: `make test` installs it, or says how"
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory))
        return [server, *where, "--save", "", "--appendonly", "no"], dict(os.environ)

    def _rabbitmq(self) -> tuple[list[str], dict[str, str]]:
        assert Path(RABBITMQ).exists(), "there is no RabbitMQ: `make test` installs it, or says how"
        data = tempfile.mkdtemp(dir=self.directory)  # another each time: it starts empty
        ours = {
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"steadyhand{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": data,
            "RABBITMQ_LOG_BASE": data,
            "RABBITMQ_PID_FILE": f"{data}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{data}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        return [RABBITMQ], {**os.environ, **ours}

    def kill(self) -> None:
        """Everything of it, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error):
                if process.environ().get("ERL_EPMD_PORT") == str(self._epmd):
                    process.kill()
        eventually(lambda: not listens(self.port), what=f"{self.kind} is gone")


@contextlib.contextmanager
def broker(kind: str) -> Iterator[Broker]:
    """A server of that kind, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="steadyhand-broker-", ignore_cleanup_errors=True) as at:
        server = Broker(kind, Path(at))
        try:
            server.start()
            yield server
        finally:
            server.kill()
