"""The database's disk is full: nothing is told that was not written, and it goes on once there is room."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from console import embedded
from tests.chaos import facts as reading
from tests.chaos.checker import violations
from tests.chaos.scene import Scene
from tests.console_process import Api, eventually
from tests.faults.cluster import copied, over_a_line
from tests.faults.world import CLASSES, LOADED, UNHURRIED, World, downstream

SIZE = 192
"""Megabytes: what a new cluster takes, and some."""


@contextlib.contextmanager
def small_disk(where: Path) -> Iterator[Path]:
    """A file system of its own; fails where none can be made: what was not tried did not hold."""
    assert os.geteuid() == 0 and shutil.which("mount"), (
        "a small disk needs a mount: run `make faults` as root"
    )
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on it; the file that takes it all."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    return ballast


@pytest.mark.timeout(400)
def test_what_cannot_be_written_is_not_run_and_all_goes_on_once_there_is_room(
    prepared: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk"))
        stack.enter_context(copied(prepared, disk / "home"))
        stack.enter_context(downstream(outside))
        far = stack.enter_context(over_a_line(disk / "home", tmp_path / "far", **LOADED))
        far.rows("UPDATE realm SET enabled = false RETURNING id")
        world = World(far, outside)
        for redo in CLASSES:
            world.add_realm(redo, f"down-{redo}")
        with world.keeper(**UNHURRIED):
            api = far.api()
            world.settled(world.ban("10.70.0.1"))
            ballast = fill(disk)
            told: dict[int, int] = {}
            while list(told.values()).count(503) < 8:
                number = len(told)
                assert number < 250, "it never noticed"
                told[number] = _ask(api, number)
            assert set(told.values()) <= {201, 503}
            ballast.unlink()
            _again_up(disk / "home", far.go_to)
            for number in told:
                # Under the same key: what was answered stands, what was not is made now.
                eventually(lambda n=number: _ask(api, n) in {200, 201}, 60, f"{number} is answered")
            open_ones = (
                "SELECT count(*) FROM effect WHERE state IN ('ready', 'executing', 'in_doubt')"
            )
            eventually(lambda: far.value(open_ones) == 0, 120, "everything ends")
        found = reading.read(Scene(far, {"all": outside}), [])
        assert violations(found) == []
        assert len(found.operations) == 1 + len(told)


def _ask(api: Api, number: int) -> int:
    """Send it once; the status, 503 where there was no answer."""
    with contextlib.suppress(httpx.HTTPError):
        return api.ban(f"10.71.0.{number}", key=f"disk-full-is-number-{number}").status_code
    return 503


def _again_up(home: Path, go_to: object) -> None:
    """PostgreSQL ends where it cannot write its log; whoever makes room starts it again."""
    embedded.launch(home)
    server = embedded.running(home)
    assert server is not None
    go_to(server.port)  # type: ignore[operator]
