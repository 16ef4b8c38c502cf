"""SIGKILL of web at every point of a submission, then the same request again: one operation."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.console_process import Api, Console, eventually
from tests.faults.beside import answers, web

BEFORE_THE_WRITE = ("web.received", "issue.looked", "issue.decided")
AFTER_THE_WRITE = ("issue.written", "web.answered")


@pytest.mark.parametrize("point", [*BEFORE_THE_WRITE, *AFTER_THE_WRITE])
def test_a_responder_whose_web_server_dies_sends_it_again_and_it_runs_once(
    console: Console, runbook: Api, network: str, tmp_path: Path, point: str
) -> None:
    key, once = uuid.uuid4().hex, str(tmp_path / "died")
    written = point in AFTER_THE_WRITE
    with web(console.home, CRASH_AT=point, CRASH_ONCE=once) as url:
        beside = Api(url, runbook.token)
        with pytest.raises(httpx.TransportError):
            beside.ban(network, key=key)
        assert Path(once).exists()
        # Nothing is half there: the request was written whole, or not at all.
        assert (runbook.get(f"/requests/{key}").status_code == 200) is written
        eventually(lambda: answers(url), what="the worker is replaced")
        again = Api(url, runbook.token).ban(network, key=key)
    assert again.status_code == (200 if written else 201)
    assert again.headers.get("Idempotency-Replayed") == ("true" if written else None)
    told = again.json()
    assert told["disposition"] == ("existing" if written else "created")
    assert_once(console, runbook, told["operation"]["ref"], network, 2 if written else 1)


def assert_once(console: Console, runbook: Api, ref: str, name: str, arrivals: int) -> None:
    """One operation of the lane, its arrivals all kept, one effect, one line on the list."""
    told = runbook.settled(ref)
    assert told["operation"]["state"] == "succeeded"
    assert (told["operation"]["generation"], told["operation"]["arrivals"]["count"]) == (
        1,
        arrivals,
    )
    assert len(told["arrivals"]) == arrivals
    assert [e["state"] for e in told["operation"]["effects"]] == ["succeeded"]
    lanes = runbook.get("/subjects", kind="network", name=name).json()["lanes"]
    assert [len(lane["operations"]) for lane in lanes] == [1]
    assert runbook.listed().count(name) == 1
    numbers = console.rows(
        "SELECT e.number FROM log_event e JOIN operation o ON o.id = e.operation_id"
        " WHERE o.ref = %s ORDER BY e.number",
        ref,
    )
    assert [n for (n,) in numbers] == list(range(1, len(numbers) + 1))


def test_a_second_responder_finds_what_the_first_never_heard_of(
    console: Console, runbook: Api, network: str, tmp_path: Path
) -> None:
    """The first one's web server dies after writing; a colleague asks elsewhere, under another key."""
    died = str(tmp_path / "died")
    with (
        web(console.home, CRASH_AT="issue.written", CRASH_ONCE=died) as url,
        pytest.raises(httpx.TransportError),
    ):
        Api(url, runbook.token).ban(network)
    told = runbook.ban(network).json()
    assert told["disposition"] == "existing"
    assert_once(console, runbook, told["operation"]["ref"], network, 2)


def test_a_web_server_that_dies_holding_nothing_keeps_nobody_waiting(
    console: Console, runbook: Api, network: str, tmp_path: Path
) -> None:
    """Halted between looking and writing, it holds no lock; what it decided on is judged again."""
    once = str(tmp_path / "halted")
    with web(console.home, PAUSE_AT="issue.decided", CRASH_ONCE=once) as url:
        key = uuid.uuid4().hex
        with pytest.raises(httpx.TimeoutException):
            slow = Api(url, runbook.token)
            slow.http.timeout = 0.5
            slow.ban(network, key=key)
        halted = eventually(lambda: _standing_still(console.home), what="it stands still")
        made = runbook.ban(network, wait=10)
        assert made.status_code == 201
        for pid in halted:
            os.kill(pid, signal.SIGCONT)
        ref = made.json()["operation"]["ref"]
        eventually(
            lambda: len(runbook.get(f"/operations/{ref}").json()["arrivals"]) == 2,
            what="the halted one finds what was made meanwhile",
        )
    assert runbook.get(f"/requests/{key}").json()["operation"]["ref"] == ref
    assert_once(console, runbook, ref, network, 2)


def _standing_still(home: Path) -> list[int]:
    """The web workers on this home that stand still."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if _stands_still(entry, home)]


def _stands_still(entry: Path, home: Path) -> bool:
    if not entry.name.isdigit():
        return False
    try:
        stopped = "State:\tT" in (entry / "status").read_text()
        return stopped and f"STEADYHAND_HOME={home}\0".encode() in (entry / "environ").read_bytes()
    except OSError:
        return False
