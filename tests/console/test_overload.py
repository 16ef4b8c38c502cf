"""Three times what the console carries: nothing acknowledged is lost, and who is sent away is told so."""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from bench import load
from console import rooms
from console.rooms import Room
from tests.console_process import Browser, Console, eventually, running

THREADS = 4
CARRIED = THREADS * 3 // 4 + rooms.WAITING
"""Requests that one web process takes in at once, at work or waiting."""
SECONDS = 4.0
_numbers = itertools.count()


@pytest.fixture(scope="module")
def small() -> Iterator[Console]:
    """A console with one small web process, and nothing that carries out."""
    env = {"WEB_WORKERS": "1", "WEB_THREADS": str(THREADS), "KEEPERS": "0", "BROKER_URL": "none"}
    with running(env) as console:
        yield console


@dataclass
class Told:
    """What each key was told, and what is wrong with how some were sent away."""

    acknowledged: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    ill_told: list[bytes] = field(default_factory=list)

    def hear(self, key: str, received: bytes) -> bool:
        """Take an answer down, once all of it is there."""
        found = load.whole(received)
        if found is None:
            return False
        status, body = found
        self.statuses[status] += 1
        (self.acknowledged if status in {200, 201} else self.away).add(key)
        head = received.split(b"\r\n\r\n")[0].lower()
        if status >= 300 and not well_told(head, body):
            self.ill_told.append(received)
        return True


def well_told(head: bytes, body: bytes) -> bool:
    problem = json.loads(body)
    return (
        b"application/problem+json" in head
        and b"\r\nretry-after: " in head
        and problem["changed"] is False
        and problem["code"] == "overloaded"
        and "Nothing changed" in problem["detail"]
    )


def storm(console: Console, clients: int, seconds: float) -> Told:
    """So many clients, each of whom asks for one new ban after another."""
    told = Told()
    port = int(console.state["port"])
    start = load.head(port, console.token)
    under_way: dict[socket.socket, tuple[str, bytes]] = {}
    until = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:

        def ask(line: socket.socket) -> None:
            n = next(_numbers)
            key = f"overload-{time.monotonic_ns()}-{n}"
            under_way[line] = key, b""
            line.sendall(load.post(start, key, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"))

        for _ in range(clients):
            line = load.connect(port)
            selector.register(line, selectors.EVENT_READ)
            ask(line)
        while under_way:
            for ready, _ in selector.select():
                line = ready.fileobj
                assert isinstance(line, socket.socket)
                key, received = under_way[line]
                received += line.recv(65536) or b"closed"
                under_way[line] = key, received
                if not told.hear(key, received):
                    continue
                if time.monotonic() < until:
                    ask(line)
                else:
                    selector.unregister(line)
                    line.close()
                    del under_way[line]
    return told


class Reader:
    """Somebody who reads again and again meanwhile, and how long each look took."""

    def __init__(self, console: Console) -> None:
        self.taken: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._api, self._over = console.api(), threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _read(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            self.statuses[self._api.get("/operations", limit=5).status_code] += 1
            self.taken.append(time.monotonic() - begun)

    @property
    def at_95(self) -> float:
        return statistics.quantiles(self.taken, n=20)[-1]


_KNOWN = "SELECT key, operation_id IS NOT NULL FROM request WHERE key LIKE 'overload-%%'"


def test_at_three_times_what_it_carries_nothing_is_lost_and_the_rest_are_told(
    small: Console,
) -> None:
    with Reader(small) as alone:
        eventually(lambda: len(alone.taken) >= 20, what="twenty looks while nothing else is asked")
    with Reader(small) as meanwhile:
        told = storm(small, 3 * CARRIED, SECONDS)
    assert set(told.statuses) == {201, 503}, told.statuses
    assert told.ill_told == []
    known = dict(small.rows(_KNOWN))
    assert {key for key, made in known.items() if made} == told.acknowledged
    assert not told.away & known.keys(), "who was sent away was not looked at"
    assert meanwhile.statuses.keys() == {200}
    assert meanwhile.at_95 < max(1.0, 10 * alone.at_95), (meanwhile.at_95, alone.at_95)
    # By itself: who comes now is served.
    after = storm(small, 2, 0.5)
    assert set(after.statuses) == {201}


def test_a_crowd_that_there_is_room_for_is_served_and_not_sent_away(small: Console) -> None:
    told = storm(small, CARRIED // 2, 1.0)
    assert set(told.statuses) == {201}


def test_a_person_is_told_on_a_page_that_nothing_changed(small: Console) -> None:
    given = small.credentials["people"]["ana"]
    ana = Browser(small.url, given["username"], given["password"])
    over = threading.Event()

    def crowd() -> None:
        while not over.is_set():
            storm(small, 3 * CARRIED, 1.0)

    thread = threading.Thread(target=crowd, daemon=True)
    thread.start()

    def press() -> str:
        pressed = ana.http.post("/incidents/new", data={"title": "x"})
        return pressed.text if pressed.status_code == 503 else ""

    try:
        page = eventually(press, 60, "she is sent away")
    finally:
        over.set()
        thread.join(60)
    assert "Nothing changed. Send the same form again." in page
    assert "<!doctype html>" in page.lower()


# The rooms themselves.
def test_who_finds_no_place_is_told_at_once_and_a_place_that_is_left_is_taken() -> None:
    room = Room(1, 1, patience=30)
    assert room.enter()
    waits: list[bool] = []
    thread = threading.Thread(target=lambda: waits.append(room.enter()), daemon=True)
    thread.start()
    eventually(lambda: room._waiting._value == 0, what="one waits")  # type: ignore[attr-defined]
    begun = time.monotonic()
    assert not room.enter(), "there is no room for a second"
    assert time.monotonic() - begun < 20, "and they are told at once, not when they lose patience"
    room.leave()
    thread.join(10)
    assert waits == [True]


def test_who_has_waited_long_enough_is_told_too() -> None:
    room = Room(1, 1, patience=0.05)
    assert room.enter()
    assert not room.enter() and not room.enter()
    room.leave()
    assert room.enter()


def test_reads_changes_and_looks_have_rooms_of_their_own() -> None:
    assert rooms.of("POST", "/api/v1/operations") is rooms.of("PATCH", "/x") is rooms.CHANGES
    assert rooms.of("GET", "/") is rooms.of("HEAD", "/api/v1/operations") is rooms.READS
    assert rooms.of("GET", "/readyz") is rooms.READY
    assert rooms.of("GET", "/healthz") is None


def test_there_is_a_thread_for_all_whom_the_rooms_hold_and_more_to_send_others_away() -> None:
    held = rooms.WEB_THREADS * 3 // 4 + rooms.WEB_THREADS // 2 + rooms.WEB_THREADS // 2
    assert held + 2 * rooms.WAITING + rooms.LOOKS + rooms.SPARE - 2 <= rooms.THREADS
