"""A light HTTP load: keep-alive connections on raw sockets, in one thread that waits for any."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

_SPOT_CHECK = 50
"""Every so many answers, the body is read as JSON and its disposition counted too."""


@dataclass
class Sent:
    """What came of a load: how many were answered, with which statuses, at what cost to us."""

    seconds: float = 0.0
    cpu: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    dispositions: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        return self.statuses.total()

    @property
    def rate(self) -> float:
        return self.done / self.seconds


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def head(port: int, token: str) -> bytes:
    """The start of a POST of an operation; key, length and body follow."""
    return (
        "POST /api/v1/operations HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nIdempotency-Key: "
    ).encode()


def post(start: bytes, key: str, network: str) -> bytes:
    """A whole request: ban `network` for a day."""
    body = (
        f'{{"action":"ban-network","subject":{{"kind":"network","name":"{network}"}},'
        '"params":{"for":"24h"},"reason":"credential stuffing against the login"}'
    )
    return start + f"{key}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def whole(received: bytes) -> tuple[int, bytes] | None:
    """Status and body once all of the answer is there."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = received.lower().find(b"content-length:", 0, end)
    length = int(received[at + 15 : received.find(b"\r", at)])
    body = received[end + 4 :]
    return (int(received[9:12]), body) if len(body) >= length else None


def ask(connection: socket.socket, request: bytes) -> tuple[int, bytes]:
    """One request and its answer."""
    connection.sendall(request)
    received = b""
    while (answer := whole(received)) is None:
        received += connection.recv(65536) or _closed()
    return answer


def _closed() -> bytes:
    raise ConnectionError("the console closed the connection")


def run(port: int, clients: int, seconds: float, make: Callable[[], bytes]) -> Sent:
    """Keep `clients` requests of `make` under way for `seconds`, then wait for the last answers."""
    sent = Sent()
    received: dict[socket.socket, bytes] = {}
    begun, cpu = time.monotonic(), time.process_time()
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            connection = connect(port)
            selector.register(connection, selectors.EVENT_READ)
            received[connection] = b""
            connection.sendall(make())
        while received:
            for key, _ in selector.select():
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                received[connection] += connection.recv(65536) or _closed()
                answer = whole(received[connection])
                if answer is None:
                    continue
                _count(sent, *answer)
                if time.monotonic() - begun < seconds:
                    received[connection] = b""
                    connection.sendall(make())
                else:
                    selector.unregister(connection)
                    connection.close()
                    del received[connection]
    sent.seconds, sent.cpu = time.monotonic() - begun, time.process_time() - cpu
    return sent


def _count(sent: Sent, status: int, body: bytes) -> None:
    sent.statuses[status] += 1
    if sent.done % _SPOT_CHECK == 0:
        sent.dispositions[json.loads(body).get("disposition")] += 1
