"""The questions of `tests/flow/test_restricted.py`, answered in this process: by these, mutants are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest

from actions import ends
from console import waiting, wsgi
from tests.console_process import Api, Browser
from tests.contracts.inside import Still
from tests.flow import conftest as flows
from tests.flow.test_restricted import *  # noqa: F403 - the same tests, at other doors


class Door(httpx.BaseTransport):
    """Pages and API as the web process answers them, without one."""

    def __init__(self, still: Still) -> None:
        self.still, self.inner = still, httpx.WSGITransport(app=wsgi._by_address)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self.still.acting("web"):
            return self.inner.handle_request(request)


def client(still: Still, **more: Any) -> httpx.Client:
    return httpx.Client(transport=Door(still), base_url="http://127.0.0.1", **more)


class InsideApi(Api):
    """The API; what is waited for is delivered at once."""

    def __init__(self, still: Still, token: str) -> None:
        self.token, self.still = token, still
        self.http = client(still, headers={"Authorization": f"Bearer {token}"})

    def ask(self, *args: Any, wait: float | None = None, **more: Any) -> httpx.Response:
        told = super().ask(*args, **more)
        if wait is not None and told.status_code == 201:
            ref = told.json()["operation"]["ref"]
            self.still.deliver(self.still.value("SELECT id FROM operation WHERE ref = %s", ref))
        return told


class InsideBrowser(Browser):
    """Somebody at the pages."""

    def __init__(self, still: Still, name: str) -> None:
        self.http = client(still)
        given = still.credentials["people"][name]
        page = self.http.get("/sign-in")
        signed = {"username": given["username"], "password": given["password"]}
        assert self.submit("/sign-in", page.text, **signed).status_code == 302


class Inside:
    """The database on which nothing runs, as a console: its keeper ends what is due when asked to."""

    def __init__(self, still: Still) -> None:
        self.still = still

    def __getattr__(self, name: str) -> Any:
        return getattr(self.still, name)

    def bring_on_the_end(self, ref: str) -> None:
        self.still.bring_on_the_end(ref)
        with self.still.acting("worker"):
            assert ends.end_due() >= 1  # other tests left some
        newest = (
            "SELECT max(o.id) FROM operation o JOIN operation e ON e.subject_id = o.subject_id"
            " WHERE e.ref = %s"
        )
        self.still.deliver(self.still.value(newest, ref))


@pytest.fixture(scope="module", autouse=True)
def _nobody_reads() -> Iterator[None]:
    """No keeper looks at realms, so nobody waits for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "for_reading", lambda ready, seconds: False)
        yield


@pytest.fixture(scope="module")
def console(still: Still) -> Inside:
    return Inside(still)


@pytest.fixture(scope="module")
def crew(still: Still) -> dict[str, Api]:
    """Dana and Omar are responders; sweeper and patcher are runbooks."""
    people = {
        name: still.new_caller(name, "responders", kind="person") for name in ("dana", "omar")
    }
    bots = {name: still.new_caller(name, "runbooks") for name in ("sweeper", "patcher")}
    return {name: InsideApi(still, made.token) for name, made in {**people, **bots}.items()}


dana, omar, sweeper, patcher = flows.dana, flows.omar, flows.sweeper, flows.patcher


@pytest.fixture(scope="module")
def enter(still: Still) -> Callable[[str], Browser]:
    return lambda name: InsideBrowser(still, name)


@pytest.fixture
def responder(still: Still) -> Browser:
    return InsideBrowser(still, "raj")


@pytest.fixture
def auditor(still: Still) -> Browser:
    return InsideBrowser(still, "noor")
