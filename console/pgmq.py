"""kombu's pgmq transport, made to fail soon, to look up often, and to leave no threads behind."""

from __future__ import annotations

from typing import Any

import psycopg
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import pgmq as kombus

LOOK_UP_EVERY = 0.2
"""Seconds. Celery asks for 2, and learns of a signal only in between."""


class Transport(kombus.Transport):
    """As kombu's, but a server that is away is found out at once, and waiting is done in short."""

    def establish_connection(self) -> Any:
        """Connect. Raises psycopg's errors."""
        # Else the pool is waited for, and what it tries meanwhile goes on after we gave up.
        psycopg.connect(self.client.transport_options["conn_string"]).close()  # type: ignore[union-attr]
        try:
            return super().establish_connection()  # type: ignore[no-untyped-call]
        except Exception:
            client, self._pgmq_client = self._pgmq_client, None
            if client is not None:
                client.close()
            raise

    def drain_events(self, connection: Any, timeout: float | None = None) -> Any:  # type: ignore[override]
        """Wait for messages for `timeout` seconds, or less. Raises `TimeoutError` without any."""
        soon = min(timeout or LOOK_UP_EVERY, LOOK_UP_EVERY)
        return super().drain_events(connection, timeout=soon)  # type: ignore[no-untyped-call]


def use() -> None:
    """Have `pgmq://` mean this transport, in this process."""
    TRANSPORT_ALIASES["pgmq"] = f"{__name__}:Transport"
