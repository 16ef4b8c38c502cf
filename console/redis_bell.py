"""kombu's Redis transport without its account of what is not acknowledged: a message only rings."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombus


class Taken(virtual.QoS):
    """What this process has in hand, known to it alone.

    kombu's own asks the server at every acknowledgement, and forgets the message only after that: one
    in hand while the server dies keeps its place among those that may be taken, so that a worker took
    nothing more. What is lost with a worker is rung again by the sweep.
    """

    restore_at_shutdown = False

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Let it go, whatever is asked."""
        self.ack(delivery_tag)  # type: ignore[no-untyped-call]


class Channel(kombus.Channel):
    """As kombu's, but for what it keeps account of."""

    QoS: type[virtual.QoS] = Taken  # type: ignore[assignment]


class Transport(kombus.Transport):
    """As kombu's, but for its channels."""

    Channel: type[Any] = Channel


def use() -> None:
    """Have `redis://` and `rediss://` mean this transport, in this process."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
