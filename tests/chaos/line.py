"""A TCP line to a server that can be cut, for whoever uses it, at once."""

from __future__ import annotations

import contextlib
import socket
import threading


class Line:
    """Listens on `port`, and passes on to the server's port; `cut` ends every connection."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._listening.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                try:
                    theirs = socket.create_connection(("127.0.0.1", self._server), timeout=5)
                except OSError:
                    ours.close()
                    continue
                theirs.settimeout(None)
                with self._lock:
                    self._open |= {ours, theirs}
                for pair in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while given := source.recv(65536):
                target.sendall(given)
        self._close({source, target})

    def _close(self, some: set[socket.socket]) -> None:
        with self._lock:
            self._open -= some
        for one in some:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut(self) -> None:
        with self._lock:
            some = set(self._open)
        self._close(some)

    def close(self) -> None:
        self._listening.close()
        self.cut()
