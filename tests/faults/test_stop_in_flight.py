"""The whole console is told to stop while a worker is in the middle of a call."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from tests.console_process import Console, eventually, running
from tests.faults.test_keeper_killed import assert_brought_about, stands_still_as, told


def halted(console: Console) -> list[int]:
    """Pool children that stand still."""
    pid = console.state["children"]["worker_0"]
    return [child.pid for child in psutil.Process(pid).children() if stands_still_as(child.pid)]


def test_a_console_told_to_stop_finishes_what_is_in_hand(tmp_path: Path, network: str) -> None:
    once = tmp_path / "once"
    halt = {"PAUSE_AT": "deliver.after_call", "CRASH_ONCE": str(once), "KEEPERS": "0"}
    with running({**halt, "BROKER_URL": "embedded"}) as console:
        api = console.api()
        made = api.ban(network).json()["operation"]
        effect = "SELECT e.id FROM effect e JOIN operation o ON o.id = operation_id WHERE ref = %s"
        console.python(
            "from console import celery\nfrom actions.tasks import deliver\n"
            f"deliver.delay([{console.value(effect, made['ref'])}])\n"
            "celery.app.pool.force_close_all()",
            role="worker",
        )
        child = eventually(lambda: halted(console), 30, "a pool child stands still")[0]
        assert console.process is not None
        console.process.send_signal(signal.SIGTERM)
        log = console.home / "logs" / "supervisord.log"
        eventually(lambda: "stopped: web" in log.read_text(), what="web has stopped")
        os.kill(child, signal.SIGCONT)
        assert console.process.wait(30) == 0
        console.start()
        assert_brought_about(console, made["ref"], network)
        attempts = told(console, made["ref"])["attempts"]
    assert [(a["outcome"], a["late"]) for a in attempts] == [("applied", False)]
