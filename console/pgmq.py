"""kombu's pgmq transport, made to fail soon, to look up often, and to leave no threads behind."""

from __future__ import annotations

from typing import Any

import psycopg
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import pgmq as kombus
from pgmq import PGMQueue
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from console import limits

LOOK_UP_EVERY = 0.2
"""Seconds. Celery asks for 2, and learns of a signal only in between."""


class Transport(kombus.Transport):
    """As kombu's, but a server that is away is found out at once, and waiting is done in short."""

    def establish_connection(self) -> Any:
        """Connect. Raises psycopg's errors."""
        # Else the pool is waited for, and what it tries meanwhile goes on after we gave up.
        psycopg.connect(self._whole).close()
        try:
            return super().establish_connection()  # type: ignore[no-untyped-call]
        except Exception:
            client, self._pgmq_client = self._pgmq_client, None
            if client is not None:
                client.close()
            raise

    @property
    def _whole(self) -> str:
        options = limits.as_options(limits.known_everywhere(limits.QUEUE))
        return make_conninfo(self.client.transport_options["conn_string"], options=options)  # type: ignore[union-attr]

    def _create_pgmq_client(self) -> Any:
        # As pgmq makes one itself, it keeps of where the server is only host, port and login.
        options = self.client.transport_options  # type: ignore[union-attr]
        pool = ConnectionPool(
            self._whole,
            min_size=1,
            max_size=options["pool_size"],
            timeout=options["pool_timeout"],
            kwargs={"autocommit": True},
            configure=_limited,
            open=True,
        )
        client = PGMQueue(
            conn_string=options["conn_string"],
            vt=options["visibility_timeout"],
            init_extension=False,
            pool=pool,
        )
        client._own_pool = True  # it is closed with it
        return client

    def _get_notify_waiter(self) -> Any:
        if self._notify_waiter is None:
            self._notify_waiter = kombus._NotifyWaiter(self._whole)
        return self._notify_waiter

    def drain_events(self, connection: Any, timeout: float | None = None) -> Any:  # type: ignore[override]
        """Wait for messages for `timeout` seconds, or less. Raises `TimeoutError` without any."""
        soon = min(timeout or LOOK_UP_EVERY, LOOK_UP_EVERY)
        return super().drain_events(connection, timeout=soon)  # type: ignore[no-untyped-call]


def _limited(connection: psycopg.Connection[Any]) -> None:
    limits.limit(connection, limits.QUEUE)
    connection.autocommit = False


def use() -> None:
    """Have `pgmq://` mean this transport, in this process."""
    TRANSPORT_ALIASES["pgmq"] = f"{__name__}:Transport"
