"""The database cannot be reached, or stands still: everybody is told in time, and it goes on by itself."""

from __future__ import annotations

import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx

from actions.bounded import ANSWERS_WITHIN
from tests.console_process import Api, Console, eventually
from tests.faults.beside import keeper, line_to_database, web
from tests.faults.cluster import copied, frozen
from tests.faults.island import island

IN_TIME = 3 * ANSWERS_WITHIN
"""Seconds in which a request is answered, whatever the database does: it looks, and writes, and looks."""


def asked_meanwhile(api: Api, keys: list[str]) -> list[httpx.Response]:
    """Requests that come while the database cannot be reached; each must be answered."""
    api.http.timeout = httpx.Timeout(3 * IN_TIME)
    begun = time.monotonic()
    with ThreadPoolExecutor(len(keys)) as pool:
        asked = [pool.submit(api.ban, _name(key), key=key) for key in keys]
        told = [one.result() for one in asked]
    assert time.monotonic() - begun < IN_TIME
    return told


def _name(key: str) -> str:
    return f"10.68.0.{int(key[:2], 16) or 1}"


def fresh_keys(count: int) -> list[str]:
    found: dict[str, str] = {}
    while len(found) < count:
        key = uuid.uuid4().hex
        found.setdefault(_name(key), key)
    return list(found.values())


def assert_told_that_nothing_is_known(told: list[httpx.Response]) -> None:
    for one in told:
        assert one.status_code == 503, one.text
        assert one.json()["code"] in {"not_recorded", "unknown_outcome"}
        assert one.json()["changed"] is False


def assert_goes_on(console: Console, api: Api, keys: list[str]) -> None:
    """By itself: nobody restarts anything, and the same keys make one operation each."""
    for key in keys:
        last = eventually(
            lambda key=key: (t := api.ban(_name(key), key=key)).status_code in {200, 201} and t,
            60,
            f"{key} is answered",
        )
        ref = last.json()["operation"]["ref"]
        assert api.settled(ref)["operation"]["state"] == "succeeded"
        assert console.value("SELECT count(*) FROM operation WHERE ref = %s", ref) == 1
    lanes = (
        "SELECT count(*) FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s"
    )
    assert {console.value(lanes, f"{_name(key)}/32") for key in keys} == {1}


def goes_about(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def test_cut_off_from_the_database_the_console_tells_so_in_time_and_goes_on_afterwards(
    prepared: Path, tmp_path: Path
) -> None:
    with (
        copied(prepared, tmp_path / "home") as console,
        island() as cut_off,
        line_to_database(console.home, tmp_path / "far", cut_off.shore),
        web(
            tmp_path / "far",
            through=cut_off.through,
            host=cut_off.front,
            ALLOWED_HOSTS=cut_off.front,
        ) as url,
        keeper(tmp_path / "far", through=cut_off.through) as keeping,
    ):
        api = Api(url, console.token)
        first = api.ban("10.69.0.1", wait=10).json()["operation"]["ref"]
        assert api.settled(first)["operation"]["state"] == "succeeded"
        cut_off.pull()
        keys = fresh_keys(4)
        assert_told_that_nothing_is_known(asked_meanwhile(api, keys))
        assert httpx.get(f"{url}/readyz", timeout=IN_TIME).status_code == 503
        assert goes_about(keeping)
        cut_off.plug()
        assert_goes_on(console, api, keys)
        assert goes_about(keeping)


def test_a_database_that_stands_still_is_not_waited_for_without_end(
    prepared: Path, tmp_path: Path
) -> None:
    """It takes connections, and acknowledges what it is sent, but it never answers."""
    with (
        copied(prepared, tmp_path / "home") as console,
        web(console.home) as url,
        keeper(console.home) as keeping,
    ):
        api = Api(url, console.token)
        api.ban("10.69.0.1", wait=10)
        keys = fresh_keys(2)
        with frozen(console.home):
            assert_told_that_nothing_is_known(asked_meanwhile(api, keys))
        assert_goes_on(console, api, keys)
        assert goes_about(keeping)
