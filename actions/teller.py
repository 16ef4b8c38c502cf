"""The teller: makes notices and tells them, beside the sweep, so that nobody's mail server delays it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
from django.db import DatabaseError, InterfaceError, connection

from actions import doors, telling
from actions.sweeping import AWAY, alone
from actions.tell import CHANNELS, tell
from actions.telling import Due

EVERY = 1.0
"""Seconds between looks for what happened and what is due."""

AT_ONCE = 8
"""How many are told at the same time, half of them by mail."""

EACH = 2
"""How many at one endpoint, so that one that hangs holds up no other."""

log = logging.getLogger(__name__)


class Teller:
    """A thread that looks, and a few that tell; `stop` waits a little for what is in hand.

    What is ended midway is told again by whoever comes next: it may be seen twice, and is not lost.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._pools = {mail: ThreadPoolExecutor(AT_ONCE // 2, "tell") for mail in (True, False)}
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)
        self._in_hand: dict[uuid.UUID, str] = {}

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take nothing more up, and wait for what is in hand, for `seconds` at most."""
        self._over.set()
        until = time.monotonic() + seconds
        self._thread.join(5)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        while self._in_hand and time.monotonic() < until:
            time.sleep(0.05)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.look()
            except (DatabaseError, InterfaceError, psycopg.Error) as error:
                log.warning("notices: %s", type(error).__name__)
                connection.close()
            self._over.wait(EVERY)
        connection.close()

    def look(self) -> None:
        """Make the notices of what happened, and take up what is due."""
        mail = doors.mail_server() is not None
        alone(lambda: telling.make(mail=mail))
        alone(lambda: telling.expire(CHANNELS.values()))
        for one in telling.due(AT_ONCE, EACH):
            if one.to or mail:
                self._take_up(one)

    def _take_up(self, one: Due) -> None:
        most = EACH if one.to else AT_ONCE
        if one.id not in self._in_hand and list(self._in_hand.values()).count(one.to) < most:
            self._in_hand[one.id] = one.to
            self._pools[not one.to].submit(self._tell, one.id)

    def _tell(self, notice: uuid.UUID) -> None:
        try:
            if not self._over.is_set():
                alone(tell, notice)
        except AWAY as error:
            log.warning("a notice: %s", type(error).__name__)
        finally:
            connection.close()
            self._in_hand.pop(notice, None)
