"""The keeper's bell: rings workers for what is due, from a thread of its own.

A broker may refuse, hang or forget. None of it may hold up the keeper, which hands over ids and
never waits; and nothing is lost with a message, for the rows are the queue.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from celery import current_app  # type: ignore[import-untyped]

from actions import tasks
from actions.outbox import Ring

TOGETHER = 20
"""Ids a message at most: few messages, but enough that several workers share what there is."""

SPREAD = 8
AGAIN_AFTER, AGAIN_AT_MOST = 5.0, 60.0
TRY_EVERY = 2.0
STUCK_AFTER = 3.0

log = logging.getLogger(__name__)


class Line(Protocol):
    """A way to a broker. Both may raise anything, or never return."""

    def send(self, ids: list[int]) -> None: ...
    def close(self) -> None: ...


class ToCelery:
    """A connection of our own to the broker of Celery's current app, made anew after a failure."""

    def __init__(self) -> None:
        self._producer = None

    def send(self, ids: list[int]) -> None:
        """Publish one message, or raise: one attempt to connect, one to publish."""
        if self._producer is None:
            line = current_app.connection_for_write()
            line.connect()  # else publishing would try to connect for ever
            self._producer = current_app.amqp.Producer(line)
        tasks.deliver.apply_async([ids], producer=self._producer, retry=False)

    def close(self) -> None:
        """Close it: the threads of a broker's connection would hold up the exit."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.connection.release()


type Rang = tuple[int, datetime, int]
"""An effect as it was when it became due: its id, since when, under which fence."""


class Rung:
    """For what was rung, and when to ring for it again; in memory alone, and only what is due.

    Nobody is called for what finds no place in its realm now.
    """

    def __init__(self) -> None:
        self._known: dict[Rang, tuple[float, float]] = {}

    def new(self, due: Sequence[Ring], now: float) -> list[int]:
        """Ids to ring for now: not rung before, or not taken up since, waiting twice as long each time."""
        ids = []
        known: dict[Rang, tuple[float, float]] = {}
        for one in due:
            this = one.id, one.run_at, one.fence
            at, wait = self._known.get(this, (now, AGAIN_AFTER))
            if at <= now and not one.full:
                ids.append(one.id)
                at, wait = now + wait, min(2 * wait, AGAIN_AT_MOST)
            known[this] = at, wait
        self._known = known
        return ids

    def forget(self) -> None:
        self._known = {}


class Bell:
    """Rings for what is due. `heard` says whether the broker takes what we send."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._rung = Rung()
        self._waiting: queue.Queue[list[int] | None] = queue.Queue(maxsize=100)
        # Until the first message was tried: a keeper that has just started leaves work to workers.
        self._answers = True
        self._told = False
        self._lost_some = False
        self._closing = threading.Event()
        self._sending_since: float | None = None
        # Not waited for at the end: what hangs in a broker's client cannot be ended.
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
        self._thread.start()

    @property
    def heard(self) -> bool:
        """Whether workers may be left to hear of it: the last message was taken, and soon."""
        since = self._sending_since
        stuck = since is not None and time.monotonic() - since > STUCK_AFTER
        return self._answers and not stuck

    def ring(self, due: Sequence[Ring]) -> None:
        """Ring for what is due and was not rung for yet. Returns at once, whatever the broker does."""
        if not self.heard or self._lost_some:
            self._lost_some = False
            self._rung.forget()
        if not self.heard:
            return
        ids = self._rung.new(due, time.monotonic())
        for message in split(ids):
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(message)

    def close(self, patience: float = 1.0) -> None:
        """Close the line to the broker, or leave it when that takes longer than `patience` seconds."""
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(patience)

    def _run(self) -> None:
        # The first message takes up to two seconds: it rings for nothing.
        message: list[int] | None = []
        while message is not None and not self._closing.is_set():
            self._send(message)
            message = self._waiting.get() if self._answers else self._later()
        with contextlib.suppress(Exception):
            self._line.close()

    def _later(self) -> list[int]:
        """Wait before the broker is tried again, with nothing: who could not be told is not told late."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        self._closing.wait(TRY_EVERY)
        return []

    def _send(self, ids: list[int]) -> None:
        self._sending_since = time.monotonic()
        try:
            self._line.send(ids)
        except Exception as error:
            self._lost(error)
        else:
            if self._told:
                log.warning("the broker takes messages again")
            self._answers, self._told = True, False
        finally:
            self._sending_since = None

    def _lost(self, error: Exception) -> None:
        self._answers, self._lost_some = False, True
        if not self._told:
            # Its text may hold the broker's address and login.
            log.warning("the broker: %s; the keeper delivers meanwhile", type(error).__name__)
            self._told = True
        with contextlib.suppress(Exception):
            self._line.close()


def split(ids: list[int]) -> list[list[int]]:
    """The messages to send: of `TOGETHER` ids at most, and shared by as many as may be listening."""
    size = min(TOGETHER, max(1, math.ceil(len(ids) / SPREAD)))
    return [ids[start : start + size] for start in range(0, len(ids), size)]
