"""The keeper: the sweep that moves all that is due, again and again; several may run at once."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from actions import break_glass, database, ends, outbox, reconcile, timelines, values
from actions.bell import Bell
from actions.hands import Hands
from actions.models import Heartbeat
from actions.outbox import Ring
from actions.reader import Reader
from actions.sweeping import Beside, alone
from actions.teller import Teller

EVERY = 0.1
"""Seconds between sweeps that found nothing to do."""

SELDOM = 1.0
"""Seconds between looks for what is rarely there: leases that ran out, ends, stuck roll-ups."""

WINDOW = 300
"""How much of what is due in each realm one sweep looks at; more is not rung for at a time."""

GOODBYE = 25.0
"""Seconds that what is in hand may take once the keeper was told to stop."""

SHORT_GOODBYE = 3.0
"""Seconds for what is being told: it is told again by another keeper, and may be seen twice."""

log = logging.getLogger(__name__)


class Keeper:
    """One keeper process. `stop` may be set from a signal handler: the effects in hand are finished.

    `bell` rings workers; without one, or while nobody can hear it, the keeper delivers everything
    by itself, and otherwise what they left lying.
    """

    def __init__(self, bell: Bell | None = None) -> None:
        self._bell = bell
        self.name = f"keeper {socket.gethostname()} {os.getpid()}"
        self.stop = threading.Event()
        self.hands = Hands(settings.KEEPER_HANDS, self.name)
        self._clock = ends.Clock()
        self._seldom_at = float("-inf")
        self._confirmed = False
        self._born = False

    def run(self) -> None:
        """Sweep until told to stop; a database that is away is waited for."""
        # They wait for outside systems: one that is silent is not to hold up what others are due.
        beside = Reader(), Beside(reconcile.reconcile_due, EVERY)
        for one in beside:
            one.start()
        teller = Teller()
        teller.start()
        while not self.stop.is_set():
            try:
                busy = self.sweep()
            except (DatabaseError, InterfaceError, psycopg.Error) as error:
                self._lost(error)
                busy = False
            if not busy:
                self.stop.wait(EVERY)
        for one in beside:
            one.stop()
        teller.stop(SHORT_GOODBYE)
        self.hands.close(GOODBYE)
        self._say_goodbye()

    def sweep(self) -> bool:
        """One pass over all that is due; True when there is more to deliver at once."""
        if time.monotonic() - self._seldom_at >= SELDOM:
            self._seldom_at = (
                time.monotonic()
            )  # first: if it fails, deliver before it is tried again
            self._seldom()
        if not self._confirmed:
            self.hands.settle(EVERY)
            return False
        ours = self._ours()
        self.hands.take(ours)
        ended = self.hands.settle(EVERY)
        return bool(ours) and ended > 0

    def _ours(self) -> list[Ring]:
        """What is due and ours to deliver, once the bell was rung for all that is due."""
        due = outbox.due(WINDOW)
        if self._bell is not None:
            self._bell.ring(due)
        if self._bell is None or not self._bell.heard:
            return [one for one in due if not one.full]
        # The last first: workers that are merely busy come from the other end.
        return [one for one in reversed(due) if one.overdue and not one.full]

    def _seldom(self) -> None:
        # Before the first word of ours in this life of the database: the last one tells when the other ended.
        self._confirmed = timelines.confirmed()
        self._beat()
        ends.hold_if_jumped(self._clock)
        if not self._confirmed:
            return
        for step in _SELDOM_STEPS:
            alone(step)

    def _beat(self) -> None:
        if not self._born:
            Heartbeat.objects.filter(role="keeper", at__lt=Now() - ends.OVERDUE_AFTER).delete()
            Heartbeat.objects.update_or_create(
                process=self.name, defaults={"role": "keeper", "started_at": Now(), "at": Now()}
            )
            self._born = True
        Heartbeat.objects.filter(process=self.name).update(at=Now())

    def _lost(self, error: Exception) -> None:
        log.warning("the database: %s", type(error).__name__, exc_info=error)
        connection.close()
        self._born = False
        # It may come back as another: nothing is done there before that was looked at.
        self._seldom_at = float("-inf")
        self.stop.wait(0.5)

    def _say_goodbye(self) -> None:
        try:
            Heartbeat.objects.filter(process=self.name).delete()
        except (DatabaseError, InterfaceError) as error:
            log.warning("no goodbye: %s", type(error).__name__)


def forget_counts() -> None:
    """Forget what was counted and is of no more use."""
    database.value("SELECT forget_counts()", {})


_SELDOM_STEPS: tuple[Callable[[], object], ...] = (
    outbox.expire_leases,
    # Before ends: what waits past its own end, or was not begun in time, is not ended but over.
    outbox.expire_unapproved,
    outbox.expire_unbegun,
    ends.end_due,
    break_glass.end_due,
    outbox.roll_up_unseen,
    values.erase_due,
    forget_counts,
)


def main(bell: Bell | None = None) -> None:
    """Run a keeper in this process until SIGTERM or SIGINT."""
    keeper = Keeper(bell)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        keeper.stop.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    keeper.run()
    if bell is not None:
        bell.close()
    logging.shutdown()
    # Python would wait for every thread, also for one that hangs in a call of a connector.
    os._exit(0)
