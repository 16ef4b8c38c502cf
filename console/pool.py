"""Celery's pool of processes, with queues that outlive a child which dies holding one of their locks."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from billiard.pool import Pool  # type: ignore[import-untyped]
from celery.concurrency.prefork import TaskPool  # type: ignore[import-untyped]


class Lock:
    """A lock between processes that the kernel takes back when its holder dies (`fcntl(2)`, F_SETLKW).

    A child that waits for work holds the lock of the queue. billiard's own is a semaphore: after a
    SIGKILL nobody ever lets go of it, and the worker is up and takes nothing up, for good.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("steadyhand-pool-lock")

    def acquire(self) -> bool:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class LastingPool(Pool):  # type: ignore[misc]
    """billiard's pool for brokers that are asked rather than waited for, such as pgmq."""

    def _setup_queues(self) -> Any:
        super()._setup_queues()
        for queue in (self._inqueue, self._outqueue):
            queue._rlock, queue._wlock = Lock(), Lock()


def use() -> None:
    """Have Celery's prefork pool use it, in this process."""
    TaskPool.BlockingPool = LastingPool
