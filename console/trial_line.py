"""A TCP line to an outside system that stops after so many answers: cut off, or silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Line:
    """Passes connections on to `target`, counting what the system answers, piece by piece.

    At the piece `at` it calls `then` before passing it on; None: never. `then` decides by its answer
    whether the line goes on (True), is cut (False), or is silent from then on (None).
    """

    def __init__(
        self,
        target: tuple[str, int],
        at: int | None = None,
        then: Callable[[], bool | None] = lambda: True,
    ) -> None:
        self.target, self.at, self.then = target, at, then
        self.pieces = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in list(self._open):
            _shut(end)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target, timeout=10)
                server.settimeout(None)
                self._open |= {client, server}
                for pass_on in (self._outwards, self._inwards):
                    threading.Thread(target=pass_on, args=(client, server), daemon=True).start()

    def _outwards(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        _shut(server)

    def _inwards(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                self.pieces += 1
                goes_on = self.then() if self.pieces == self.at else True
                if goes_on is None:
                    return  # both ends stay open, and nothing comes any more
                if not goes_on:
                    _shut(server)
                    break
                client.sendall(data)
        _shut(client)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
