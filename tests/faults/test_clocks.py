"""Clocks moved by hours: one clock counts, the database's; and nothing ends while that one jumps."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from console import embedded
from console.account import account_for
from tests.console_process import Api, Browser, Console, eventually
from tests.faults.beside import keeper, web
from tests.faults.clocks import off_by, set_by
from tests.faults.cluster import copied, manage
from tests.faults.test_keeper_killed import stands_still, told


@pytest.fixture(scope="module")
def console(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console whose web server and keeper have the right time."""
    home = tmp_path_factory.mktemp("clocks") / "home"
    with copied(prepared, home) as console, web(home) as console.url, keeper(home):
        yield console


def test_responders_on_servers_whose_clocks_differ_by_days_meet_on_one_ban(
    console: Console, network: str
) -> None:
    with web(console.home, **off_by("+2d")) as ahead, web(console.home, **off_by("-5h")) as behind:
        apis = [Api(url, console.token) for url in (ahead, behind, console.url)]
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda api: api.ban(network), apis))
        assert sorted(one.status_code for one in answers) == [200, 200, 201]
        (ref,) = {one.json()["operation"]["ref"] for one in answers}
        asked, ends = console.rows(
            "SELECT requested_at, ends_at FROM operation WHERE ref = %s", ref
        )[0]
        # "24 hours" are counted from the database's now, whoever's clock is wrong.
        assert abs(ends - asked - timedelta(hours=24)) < timedelta(minutes=2)
        assert abs(console.value("SELECT now()") - asked) < timedelta(minutes=2)


@pytest.mark.parametrize("offset", ["+7h", "-7h"])
def test_whether_a_token_is_over_is_told_by_the_database_alone(
    console: Console, network: str, offset: str
) -> None:
    name = f"clock-{network}-{offset}"
    lasting = console.new_caller(name, "runbooks")  # for a day
    over = console.new_caller(f"{name}-over", "runbooks")
    with console.database() as at:
        at.execute(
            "UPDATE api_token t SET created_at = now() - interval '2 hours',"
            " expires_at = now() - interval '1 hour' FROM caller c"
            " WHERE c.id = t.caller_id AND c.username = %s",
            [f"{name}-over"],
        )
        at.execute(
            "UPDATE api_token t SET expires_at = now() + interval '1 hour' FROM caller c"
            " WHERE c.id = t.caller_id AND c.username = %s",
            [name],
        )
    with web(console.home, **off_by(offset)) as url:
        assert Api(url, lasting.token).ban(network).status_code in {200, 201}
        assert Api(url, over.token).ban(network).status_code == 401


def test_who_signed_in_where_the_clock_is_wrong_is_signed_in_for_eight_hours_and_no_more(
    console: Console,
) -> None:
    given = console.credentials["people"]["noor"]
    with web(console.home, **off_by("+9h")) as ahead, web(console.home, **off_by("-9h")) as behind:
        person = Browser(ahead, given["username"], given["password"])
        key = person.http.cookies["steadyhand"]
        left = "SELECT expire_date - now() FROM django_session WHERE session_key = %s"
        assert abs(console.value(left, key) - timedelta(hours=8)) < timedelta(minutes=2)
        everywhere = [f"{url}/" for url in (ahead, behind, console.url)]
        assert [person.http.get(url).status_code for url in everywhere] == [200] * 3
        with console.database() as at:
            over = "UPDATE django_session SET expire_date = now() WHERE session_key = %s"
            at.execute(over, [key])
        assert [person.http.get(url).status_code for url in everywhere] == [302] * 3


def test_a_lease_is_held_by_the_database_s_clock_whatever_the_keepers_clocks_say(
    prepared: Path, tmp_path: Path
) -> None:
    with (
        copied(prepared, tmp_path / "home") as console,
        web(console.home) as url,
        keeper(
            console.home, PAUSE_AT="deliver.before_call", LEASE_SECONDS="60", **off_by("-6h")
        ) as first,
    ):
        console.url = url
        api = Api(url, console.token)
        held = api.ban("10.72.0.1").json()["operation"]["ref"]
        eventually(lambda: stands_still(first), 60, "the first has taken it up, and stands still")
        with keeper(console.home, LEASE_SECONDS="60", **off_by("+2d")):
            # The second works, and by its own clock the first one's lease was over two days ago.
            other = api.ban("10.72.0.2").json()["operation"]["ref"]
            assert api.settled(other)["operation"]["state"] == "succeeded"
            state = "SELECT e.state FROM effect e JOIN operation o ON o.id = operation_id WHERE ref = %s"
            assert console.value(state, held) == "executing"
            os.kill(first.pid, signal.SIGCONT)
            assert api.settled(held)["operation"]["state"] == "succeeded"
        attempts = told(console, held)["attempts"]
        assert [(a["outcome"], a["late"]) for a in attempts] == [("applied", False)]
        off = "SELECT max(abs(extract(epoch FROM claimed_at - now()))) FROM attempt"
        assert console.value(off) < 3600


def test_nothing_ends_after_the_database_s_clock_jumped_until_an_admin_says_go(
    prepared: Path, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    for above in (tmp_path, *tmp_path.parents):
        with contextlib.suppress(PermissionError):
            above.chmod(above.stat().st_mode | 0o011)
    clock.chmod(0o644)
    with copied(prepared, tmp_path / "home") as console:
        _restart(console.home, set_by(clock))
        with web(console.home) as url, keeper(console.home):
            console.url = url
            api = Api(url, console.token)
            name = "10.73.0.1"
            ref = api.ban(name, "1h", wait=10).json()["operation"]["ref"]
            assert api.settled(ref)["operation"]["state"] == "succeeded"
            beat = "SELECT count(*) FROM heartbeat WHERE role = 'keeper'"
            eventually(lambda: console.value(beat) >= 1, what="the keeper has looked at the clock")
            clock.write_text("+2h")
            held = "SELECT count(*) FROM ends_hold WHERE released_at IS NULL"
            eventually(lambda: console.value(held) == 1, 60, "the keeper noticed")
            # Its hour is over by that clock; another ban is carried out, and this one is not ended.
            other = api.ban("10.73.0.2", wait=10).json()["operation"]["ref"]
            assert api.settled(other)["operation"]["state"] == "succeeded"
            assert name in api.listed()
            assert "Ends go on." in manage(console.home, "release_ends")
            eventually(lambda: name not in api.listed(), 30, "it is lifted now")
        embedded.stop(console.home)


def _restart(home: Path, env: dict[str, str]) -> None:
    """The cluster again, under a clock of its own."""
    server = embedded.running(home)
    assert server is not None
    embedded.stop(home)
    account = account_for(home)
    setting = " ".join(f"{name}={value}" for name, value in env.items())
    options = f"-h 127.0.0.1 -p {server.port} -c unix_socket_directories="
    start = (
        f"env {setting} {_pg_ctl()} start -s -w -D {home}/postgres -l {home}/postgres/start.log"
        f" -o '{options}'"
    )
    done: subprocess.CompletedProcess[str] = account.run("/bin/sh", "-c", start)
    assert done.returncode == 0, done.stdout


def _pg_ctl() -> str:
    from console.account import _binaries

    return str(_binaries() / "pg_ctl")
