"""The keeper's own hands: a few threads that deliver, so that one slow system holds up no other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from uuid import UUID

from django.db import connection

from actions import deliver
from actions.outbox import Ring
from actions.sweeping import AWAY, alone

AHEAD = 4
"""How many effects a hand may have before it, so that none is idle between two sweeps."""


class Hands:
    """Delivers effects in `count` threads, half of them at most in one realm.

    Each effect is in one hand of ours at most; between processes the claim decides.
    """

    def __init__(self, count: int, worker: str) -> None:
        self.worker = worker
        self._most = count * AHEAD
        self._most_in_one = max(1, self._most // 2)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="hand")
        self._held: dict[int, tuple[Future[bool], UUID]] = {}

    def take(self, due: Iterable[Ring]) -> None:
        """Deliver as many of these as there is room for."""
        for one in due:
            if len(self._held) >= self._most:
                return
            if one.id not in self._held and self._in(one.realm) < self._most_in_one:
                self._held[one.id] = self._pool.submit(self._deliver, one.id), one.realm

    def _in(self, realm: UUID) -> int:
        return sum(where == realm for _, where in self._held.values())

    def _deliver(self, effect: int) -> bool:
        try:
            return alone(deliver.deliver, effect, self.worker) is True
        except AWAY:
            connection.close()
            raise

    def settle(self, seconds: float) -> int:
        """Wait up to `seconds` until something ends; how many ended. Raises what is in AWAY."""
        futures = [future for future, _ in self._held.values()]
        if futures:
            wait(futures, seconds, FIRST_COMPLETED)
        ended = {id: future for id, (future, _) in self._held.items() if future.done()}
        for effect in ended:
            del self._held[effect]
        for future in ended.values():
            future.result()
        return len(ended)

    def close(self, seconds: float) -> None:
        """Let what was begun come to its end, for `seconds` at most, and begin nothing more."""
        deadline = time.monotonic() + seconds
        self._pool.shutdown(wait=False, cancel_futures=True)
        begun = [future for future, _ in self._held.values() if not future.cancelled()]
        wait(begun, max(0.0, deadline - time.monotonic()))
