"""The whole console from one command, as a person at a terminal and a cruel machine see it."""

import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from console import embedded, leftovers, supervise
from console.one_run import MARK, ROOT


class Console:
    """`python -m console.run` on one home, and what it leaves."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.begun: list[subprocess.Popen[str]] = []

    def begin(self, **settings: str) -> subprocess.Popen[str]:
        ours = ("STEADYHAND_", "DATABASE_URL", "BROKER_URL", "DJANGO_", "WEB_", "KEEPERS", "WORKER")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        process = subprocess.Popen(
            [sys.executable, "-m", "console.run"],
            cwd=ROOT,
            env={**kept, "STEADYHAND_HOME": str(self.home), "PORT": "0", **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.begun.append(process)
        return process

    def ready(self, **settings: str) -> subprocess.Popen[str]:
        process = self.begin(**settings)
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if line.startswith("ready "):
                assert line == f"ready {self.state()['url']}\n"
                return process
        raise AssertionError("".join(told))

    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "run" / "state.json").read_text()))

    def processes(self) -> list[psutil.Process]:
        """All of the console's that run, PostgreSQL among them; not the manager."""
        identity = self.home / "run" / "id"
        found = leftovers.marked(identity.read_text()) if identity.exists() else []
        server = embedded.running(self.home)
        return [*found, *([server.process, *server.process.children()] if server else [])]

    def end(self) -> None:
        for process in self.begun:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=30)
        leftovers.end_leftovers(self.home)
        embedded.stop(self.home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all, as the example world is made on the first run alone."""
    return tmp_path_factory.mktemp("run") / "home"


@pytest.fixture
def console(home: Path) -> Iterator[Console]:
    console = Console(home)
    yield console
    console.end()


def until(condition: Callable[[], object], seconds: float = 45) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    told, _ = process.communicate(timeout=30)
    return process.returncode, told


def test_a_run_is_ready_refuses_another_beside_it_and_ends_clean_on_sigint(
    console: Console,
) -> None:
    process = console.ready()
    state = console.state()
    assert state["manager"] == process.pid
    assert set(state["children"]) == {"web", "keeper_0", "worker_0"}
    assert supervise.answers(state["port"])
    assert stat.S_IMODE((console.home / "run" / "state.json").stat().st_mode) == 0o600

    status, told = finish(console.begin())
    assert status == 1
    assert f"already running on {console.home} (pid {process.pid})" in told

    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 0
    assert time.monotonic() - begun < 15
    assert console.processes() == []
    assert not (console.home / "run" / "state.json").exists()


def test_ctrl_c_to_the_whole_process_group_ends_it_clean(console: Console) -> None:
    process = console.ready()
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process) == (0, "")
    assert console.processes() == []


def test_after_kill_9_of_everything_the_next_run_just_works(console: Console) -> None:
    process = console.ready()
    for victim in [psutil.Process(process.pid), *console.processes()]:
        victim.kill()
    finish(process)
    again = console.ready()
    again.terminate()
    assert finish(again) == (0, "")


def test_after_kill_9_of_the_manager_the_next_run_just_works(console: Console) -> None:
    process = console.ready()
    left = {found.pid for found in console.processes()}
    server = embedded.running(console.home)
    process.kill()
    finish(process)
    console.ready()
    # PostgreSQL was adopted; web, keeper and their supervisor were not.
    assert embedded.running(console.home) == server
    assert server is not None
    kept = {server.process.pid, *(child.pid for child in server.process.children())}
    assert {found.pid for found in console.processes()} & left <= kept


def test_a_killed_web_server_is_replaced_and_leaves_no_workers_behind(console: Console) -> None:
    console.ready()
    state = console.state()
    web = psutil.Process(state["children"]["web"])
    old = {web.pid, *(worker.pid for worker in web.children())}
    web.kill()
    until(lambda: not old & {found.pid for found in leftovers.marked(state["run"])})
    until(lambda: supervise.answers(state["port"]))


def test_without_its_supervisor_all_ends_and_says_so(console: Console) -> None:
    process = console.ready()
    psutil.Process(console.state()["supervisor"]).kill()
    status, told = finish(process)
    assert (status, "supervisord ended" in told) == (1, True)
    assert console.processes() == []


def test_a_web_server_that_cannot_start_ends_all_and_is_told_from_its_log(
    console: Console,
) -> None:
    status, told = finish(console.begin(WEB_WORKERS="0"))
    assert status == 1
    assert "web ended before it was ready" in told
    assert "--workers" in told
    assert console.processes() == []


def test_a_port_that_a_stranger_has_is_told_at_once(console: Console) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        status, told = finish(console.begin(PORT=str(port)))
    why = os.strerror(errno.EADDRINUSE)
    assert (status, told) == (1, f"steadyhand: port {port} cannot be used: {why}; set PORT\n")
    assert console.processes() == []


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("PORT", "65536"), ("KEEPERS", "x")])
def test_a_setting_that_is_no_number_is_told(console: Console, name: str, value: str) -> None:
    status, told = finish(console.begin(**{name: value}))
    assert status == 1
    assert f"{name} is a number" in told


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def test_leftovers_are_asked_to_end_and_then_made_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "CHILD_SECONDS", 0.2)
    mine, other = uuid.uuid4().hex, uuid.uuid4().hex
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "id").write_text(mine)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", STUBBORN],
            env={**os.environ, MARK: identity},
            stdout=subprocess.PIPE,
        )
        for identity in (mine, other)
    ]
    leftover, stranger = started
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == b"deaf\n"
        leftovers.end_leftovers(tmp_path)
        assert leftover.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        for process in started:
            process.kill()
            process.communicate()


MAKE = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, signal.SIG_DFL))
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""
WATCHER = """
import time
from console import run
gone = run.parent_gone()
assert not gone()
print("watching", flush=True)
while not gone():
    time.sleep(0.01)
print("gone", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="make is watched through /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_under_make_ends_when_make_is_interrupted_or_dies(number: signal.Signals) -> None:
    make = subprocess.Popen(
        [sys.executable, "-c", MAKE, WATCHER], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert make.stdout is not None
    assert make.stdout.readline() == "watching\n"
    make.send_signal(number)
    assert make.communicate(timeout=10)[0] == "gone\n"
