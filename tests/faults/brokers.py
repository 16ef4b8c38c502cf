"""Real brokers: each can be killed, comes back empty on the same port, and is ended by its own pids."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import psutil
import psycopg
from kombu import Connection

from tests.console_process import Console, eventually

STARTS_WITHIN = 90
"""Seconds. RabbitMQ takes nine on an idle machine."""


class Broker(Protocol):
    """A broker that a console is told of by `url` alone."""

    url: str

    def ready(self, console: Console) -> None:
        """Return once it answers; fail if it does not."""

    def kill(self) -> None:
        """It is gone at once, with every message."""

    def restart(self) -> None:
        """It is there again, empty, where it was."""

    def close(self) -> None: ...


def found(name: str) -> str:
    """A program's path. Fails when it is not installed: nothing is skipped for want of it."""
    path = shutil.which(name)
    assert path, f"no {name}: make brokers"
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server in a directory of its own, which is emptied whenever it starts."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.password = secrets.token_urlsafe(16)
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> Mapping[str, str]:
        return {}

    def start(self) -> None:
        """Begin to start it, empty; `ready` waits for it."""
        data = self.home / "data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(mode=0o700)
        with (self.home / "log").open("ab") as out:
            self._process = subprocess.Popen(
                self._command(),
                cwd=data,
                env={**os.environ, "HOME": str(self.home), **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                process_group=0,
            )

    def ready(self, console: Console) -> None:
        self._await()

    def _await(self) -> None:
        eventually(self._answers, STARTS_WITHIN, f"{self.url.partition(':')[0]} answers")

    def _answers(self) -> bool:
        assert self._process is not None
        said = (self.home / "log").read_text(errors="replace")
        assert self._process.poll() is None, f"the broker ended:\n{said[-3000:]}"
        try:
            with Connection(self.url, connect_timeout=2) as line:
                line.connect()
                line.channel().close()
        except Exception:
            return False
        return True

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """All of it stands still meanwhile."""
        assert self._process is not None
        group = self._process.pid
        os.killpg(group, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(group, signal.SIGCONT)

    def kill(self) -> None:
        if self._process is None:
            return
        ours: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            ours = psutil.Process(self._process.pid).children(recursive=True)
        for one in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        psutil.wait_procs(ours, 10)
        self._process = None

    def restart(self) -> None:
        self.start()
        self._await()

    def close(self) -> None:
        self.kill()


class Redis(Server):
    """Redis that keeps nothing on disk."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self._config = home / "redis.conf"
        self._config.touch(mode=0o600)
        self._config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            'save ""\nappendonly no\n'
        )

    def _command(self) -> list[str]:
        return [found("redis-server"), str(self._config)]


class RabbitMQ(Server):
    """RabbitMQ with an epmd of its own: one that it started itself would outlive it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.url = f"amqp://steadyhand:{self.password}@127.0.0.1:{self.port}//"
        self._distribution, self._epmd_port = free_port(), free_port()
        config = home / "rabbitmq.conf"
        config.touch(mode=0o600)
        config.write_text(f"default_user = steadyhand\ndefault_pass = {self.password}\n")
        (home / "plugins").write_text("[].\n")
        command = [found("epmd"), "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        self._epmd = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def _command(self) -> list[str]:
        # What Debian has on PATH changes to a system user, who may not write here.
        return [found("/usr/lib/rabbitmq/bin/rabbitmq-server")]

    def _environment(self) -> Mapping[str, str]:
        data = self.home / "data"
        return {
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"steadyhand{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(data / "log"),
            "RABBITMQ_PID_FILE": str(data / "pid"),
        }

    def close(self) -> None:
        super().close()
        self._epmd.kill()
        self._epmd.wait(10)


class Postgres:
    """pgmq in the console's own PostgreSQL: its lines are cut and its database lets nobody in."""

    url = "embedded"

    def ready(self, console: Console) -> None:
        self._console = console

    def kill(self) -> None:
        self._let_in(False)
        with self._console.database("superuser") as at:
            at.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE usename = 'steadyhand_broker'"
            )

    def restart(self) -> None:
        self._let_in(True)
        url = self._console.dsn("superuser").rpartition("/")[0] + "/steadyhand_broker"
        with psycopg.connect(url, autocommit=True) as at:
            at.execute("TRUNCATE pgmq.q_steadyhand")

    def _let_in(self, anybody: bool) -> None:
        with self._console.database("superuser") as at:
            at.execute(f"ALTER DATABASE steadyhand_broker ALLOW_CONNECTIONS {anybody}")

    def close(self) -> None: ...


@contextlib.contextmanager
def started(name: str, home: Path) -> Iterator[Broker]:
    """A broker that has begun to start; `ready` waits for it."""
    servers = {"redis": Redis, "rabbitmq": RabbitMQ}
    broker: Broker = Postgres() if name == "pgmq" else servers[name](home)
    try:
        if isinstance(broker, Server):
            broker.start()
        yield broker
    finally:
        broker.close()
