"""kombu's pgmq transport, made to look up sooner: a worker that is told to end ends soon."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import pgmq as kombus

LOOK_UP_EVERY = 0.2
"""Seconds. Celery asks for 2, and learns of a signal only in between."""


class Transport(kombus.Transport):
    """As kombu's, but it waits for messages a shorter while at a time."""

    def drain_events(self, connection: Any, **given: Any) -> Any:
        """Wait for messages as long as asked, or less. Raises `TimeoutError` without any."""
        given["timeout"] = min(given.get("timeout") or LOOK_UP_EVERY, LOOK_UP_EVERY)
        return super().drain_events(connection, **given)  # type: ignore[no-untyped-call]


def use() -> None:
    """Have `pgmq://` mean this transport, in this process."""
    TRANSPORT_ALIASES["pgmq"] = f"{__name__}:Transport"
