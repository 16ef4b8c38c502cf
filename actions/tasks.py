"""Celery's doors, a line each: a message carries ids alone, and the database says what is done.

It may come twice, late, or never, for what is over or never was: that changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType

from celery import shared_task  # type: ignore[import-untyped]
from django.conf import settings
from django.db import close_old_connections, connection

from actions import deliver as delivering
from actions.sweeping import AWAY, alone

MOST = 100
BUDGET = min(3.0, settings.LEASE_SECONDS / 10)
"""Seconds after which a task takes up nothing more, so that a worker ends soon when told to."""

log = logging.getLogger(__name__)


_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Hand:
    """What this process has in hand: who tells it to end meanwhile is heard once it is done.

    Pool children are told by Celery, by the next run of the console, or by the kernel when their
    parent dies. Their own way to end is to drop everything, which leaves a call in doubt.
    """

    told = False

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """SIGTERM and SIGHUP only take effect at the end of it. For a main thread."""
        # Not once for the process: Celery's pool sets its own after all signals of ours.
        before = {number: signal.signal(number, self._tell) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self.told:
                os.kill(os.getpid(), signal.SIGTERM)

    def _tell(self, _signal: int, _frame: FrameType | None) -> None:
        self.told = True


hand = Hand()


def _deliver(ids: object) -> None:
    """Deliver these effects, as many as a few seconds allow; the keeper rings again for the rest."""
    if not isinstance(ids, list) or len(ids) > MOST or any(type(one) is not int for one in ids):
        log.warning("a message rings for something that is no list of ids")
        return
    begun = time.monotonic()
    name = f"worker {socket.gethostname()} {os.getpid()}"
    with hand.holding():
        close_old_connections()
        for effect in ids:
            if hand.told or time.monotonic() - begun > BUDGET:
                return
            try:
                alone(delivering.deliver, effect, name)
            except AWAY as error:
                log.warning("the database: %s", type(error).__name__)
                connection.close()
                return


deliver = shared_task(name="steadyhand.deliver")(_deliver)
