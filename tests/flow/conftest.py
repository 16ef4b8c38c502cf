"""The crew that meets on one address: two responders and two more runbooks, each with a token."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.console_process import Api, Console


@pytest.fixture(scope="session")
def crew(console: Console) -> dict[str, Api]:
    """Dana and Omar are responders; sweeper and patcher are runbooks."""
    return {
        "dana": console.new_caller("dana", "responders", kind="person"),
        "omar": console.new_caller("omar", "responders", kind="person"),
        "sweeper": console.new_caller("sweeper", "runbooks"),
        "patcher": console.new_caller("patcher", "runbooks"),
    }


@pytest.fixture
def dana(crew: dict[str, Api]) -> Api:
    return crew["dana"]


@pytest.fixture
def omar(crew: dict[str, Api]) -> Api:
    return crew["omar"]


@pytest.fixture
def sweeper(crew: dict[str, Api]) -> Api:
    return crew["sweeper"]


@pytest.fixture
def patcher(crew: dict[str, Api]) -> Api:
    return crew["patcher"]


@pytest.fixture
def somebody(console: Console, _names: Iterator[str]) -> Callable[..., tuple[str, Api]]:
    """Makes a caller whom no other test knows, to give and take rights: the name, and its API."""

    def make(*groups: str, **more: object) -> tuple[str, Api]:
        name = next(_names)
        return name, console.new_caller(name, *groups, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def _names() -> Iterator[str]:
    return (f"somebody-{n}" for n in itertools.count(1))


@pytest.fixture(scope="session")
def _ranges() -> Iterator[int]:
    return itertools.count(0)


@pytest.fixture
def wide(_ranges: Iterator[int]) -> str:
    """The first three parts of a /24 that no other test uses, such as `198.19.4`."""
    return f"198.19.{next(_ranges)}"
