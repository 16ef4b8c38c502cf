"""The keeper's bell: rung once for each thing, and deaf brokers hold up nobody."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import OperationalError

from actions import bell as bells
from actions.bell import Bell, Rung, split
from actions.outbox import Ring
from actions.sweeping import alone
from tests.console_process import eventually

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def due(*ids: int, fence: int = 0) -> list[Ring]:
    return [Ring(one, NOON, fence, False, uuid.UUID(int=0)) for one in ids]


class FakeLine:
    """A broker that takes what it is sent, refuses it, or hangs."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.refuses = False
        self.tried = 0
        self.goes_on = threading.Event()
        self.goes_on.set()

    def send(self, ids: list[int]) -> None:
        self.tried += 1
        assert self.goes_on.wait(60)
        if self.refuses:
            raise ConnectionError
        self.sent.append(ids)

    def close(self) -> None:
        pass


@pytest.fixture
def line() -> FakeLine:
    return FakeLine()


@pytest.fixture
def bell(line: FakeLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    monkeypatch.setattr(bells, "TRY_EVERY", 0.02)
    monkeypatch.setattr(bells, "STUCK_AFTER", 0.1)
    bell = Bell(line)
    yield bell
    line.goes_on.set()
    bell.close()


def test_what_is_due_is_rung_for_once_and_later_again() -> None:
    rung = Rung()
    assert rung.new(due(1, 2), 0) == [1, 2]
    assert rung.new(due(1, 2, 3), 1) == [3]
    assert rung.new(due(1, 2), 5.5) == [1, 2]
    assert rung.new(due(1, 2), 11) == []
    assert rung.new(due(1, 2), 15.6) == [1, 2]


def test_what_became_due_anew_is_rung_for_anew() -> None:
    rung = Rung()
    rung.new(due(1), 0)
    assert rung.new(due(1, fence=1), 0.1) == [1]
    assert rung.new([], 0.2) == []
    assert rung.new(due(1, fence=1), 0.3) == [1]


def test_a_backlog_is_few_messages_shared_by_many() -> None:
    assert split([]) == []
    assert split([1, 2]) == [[1], [2]]
    assert [len(message) for message in split(list(range(500)))] == [20] * 25


def test_a_broker_that_hangs_holds_up_nobody(bell: Bell, line: FakeLine) -> None:
    eventually(lambda: bell.heard, what="the bell is warm")
    line.goes_on.clear()
    bell.ring(due(1))
    eventually(lambda: not bell.heard, 5, "it is noticed")
    for one in range(500):
        bell.ring(due(one))
    line.goes_on.set()
    eventually(lambda: bell.heard, what="it goes on")
    bell.ring(due(7))
    eventually(lambda: [7] in line.sent, what="it rings again")


def test_an_outage_is_told_once_and_its_end_too(
    bell: Bell, line: FakeLine, caplog: pytest.LogCaptureFixture
) -> None:
    eventually(lambda: bell.heard, what="the bell is warm")
    line.refuses = True
    bell.ring(due(1))
    eventually(lambda: line.tried > 5, what="it is tried again and again")
    assert not bell.heard
    assert caplog.text.count("the keeper delivers meanwhile") == 1
    line.refuses = False
    eventually(lambda: bell.heard, what="the broker is back")
    assert caplog.text.count("takes messages again") == 1
    bell.ring(due(1))
    eventually(lambda: line.sent[-1] == [1], 4, "what is still due is rung for")


def raising(error: Exception, cause: Exception) -> None:
    raise error from cause


@pytest.mark.parametrize(
    "given_up", [psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable]
)
def test_a_statement_that_was_given_up_ends_no_sweep(given_up: type[psycopg.Error]) -> None:
    try:
        alone(raising, OperationalError(), given_up())
    except OperationalError:
        pytest.fail("the sweep ended")


@pytest.mark.parametrize("lost", [psycopg.OperationalError, psycopg.errors.AdminShutdown])
def test_a_line_that_is_lost_ends_the_sweep(lost: type[psycopg.Error]) -> None:
    with pytest.raises(OperationalError):
        alone(raising, OperationalError(), lost())
