"""The people and the console that the tests use."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.console_process import Api, Browser, Console, running

BESIDE = {"actions", "api", "architecture", "connectors", "contracts", "faults", "heard"}
"""The folders that take about half of the time: two jobs share the tests so (`make test`)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each half in its order: tests of a half share a console, and leave things there."""
    if not items or not items[0].config.pluginmanager.hasplugin("xdist"):
        return  # mutants name the few plugins that they load, and its marker is unknown without it
    for item in items:
        folder = item.path.relative_to(item.config.rootpath / "tests").parts[0]
        item.add_marker(pytest.mark.xdist_group("beside" if folder in BESIDE else "first"))


@pytest.fixture(scope="session")
def console() -> Iterator[Console]:
    """One console for all tests: web with two workers, one keeper, embedded PostgreSQL."""
    with running() as console:
        yield console


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def network(_numbers: Iterator[int]) -> str:
    """An address that no other test uses."""
    number = next(_numbers)
    return f"198.18.{number // 256}.{number % 256}"


@pytest.fixture
def fresh_network(_numbers: Iterator[int]) -> Callable[[], str]:
    """Makes addresses that no other test uses."""

    def make() -> str:
        number = next(_numbers)
        return f"198.18.{number // 256}.{number % 256}"

    return make


@pytest.fixture
def runbook(console: Console) -> Api:
    """The runbook, by its token."""
    return console.api()


def _person(console: Console, name: str) -> Browser:
    given = console.credentials["people"][name]
    return Browser(console.url, given["username"], given["password"])


@pytest.fixture
def responder(console: Console) -> Browser:
    """Ana, signed in at the pages."""
    return _person(console, "ana")


@pytest.fixture
def second_responder(console: Console) -> Browser:
    """Raj, signed in at the pages."""
    return _person(console, "raj")


@pytest.fixture
def auditor(console: Console) -> Browser:
    """Noor, who reads everything and may ask for nothing."""
    return _person(console, "noor")
