"""An outside system in a process of its own, which keeps its own ledger and breaks as it is told.

`python -m tests.faults.downstream DIRECTORY` writes its port to DIRECTORY/port, and a line to
DIRECTORY/ledger, flushed to the disk, for every change that it really made. `POST /told` says how the
next calls in a realm go, one word a call; then they go well. `key` alone tells repeats of a change.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LATE = 2.0
"""Seconds until a call that was told `late` takes effect; `late 0.5` says them."""


class Downstream:
    """What is so in each realm, and the ledger of how it came to be."""

    def __init__(self, directory: Path) -> None:
        self._ledger = (directory / "ledger").open("a")
        self._lock = threading.Lock()
        self._state: dict[tuple[str, str], object] = {}
        self._keys: set[tuple[str, str]] = set()
        self._told: dict[str, list[str]] = defaultdict(list)

    def tell(self, realm: str, words: list[str]) -> None:
        with self._lock:
            self._told[realm] = words

    def next_word(self, realm: str) -> str:
        with self._lock:
            told = self._told[realm]
            if not told:
                return "well"
            return told[0] if told[0].startswith("always ") else told.pop(0)

    def apply(self, call: Mapping[str, Any]) -> None:
        """Make the change. A `natural` one that is so already is none, nor is a `keyed` repeat."""
        realm, key = call["realm"], call["key"]
        with self._lock:
            subject = (realm, call["subject"])
            if call["redo"] == "natural" and self._state.get(subject) == call["value"]:
                return
            if call["redo"] == "keyed" and (realm, key) in self._keys:
                return
            self._keys.add((realm, key))
            self._state[subject] = call["value"]
            self._ledger.write(json.dumps({**call, "at": time.time()}) + "\n")
            self._ledger.flush()
            os.fsync(self._ledger.fileno())

    def seen(self, call: Mapping[str, Any]) -> object:
        with self._lock:
            if call["redo"] == "observed":
                return (call["realm"], call["key"]) in self._keys
            return self._state.get((call["realm"], call["subject"])) == call["value"]


class _Handler(BaseHTTPRequestHandler):
    downstream: Downstream

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/told":
            self.downstream.tell(given["realm"], given["words"])
            return self._answer(200, {})
        word = self.downstream.next_word(given["realm"]).removeprefix("always ")
        if self.path == "/seen":
            if word in {"hang", "unreadable"}:
                return self._hang() if word == "hang" else self._answer(503, {})
            return self._answer(200, {"seen": self.downstream.seen(given)})
        return self._apply(given, word)

    def _apply(self, call: Mapping[str, Any], word: str) -> None:
        before = {"429": 429, "503": 503, "refuse": 403}
        if word in before:
            return self._answer(before[word], {})
        if word == "reset":
            return self._reset()
        if word == "hang":
            return self._hang()
        if word.startswith("late"):
            seconds = float(word.removeprefix("late") or LATE)
            threading.Timer(seconds, self.downstream.apply, [call]).start()
            return self._hang()
        self.downstream.apply(call)
        if word == "drop":
            return self._reset()
        if word == "hang after":
            return self._hang()
        return self._answer(500 if word == "500" else 200, {})

    def _answer(self, status: int, body: Mapping[str, object]) -> None:
        content = json.dumps(dict(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _hang(self) -> None:
        """Say nothing, for longer than anybody waits."""
        self.close_connection = True
        time.sleep(30)

    def log_message(self, format: str, *args: object) -> None:
        """It keeps a ledger, and says nothing else."""

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            self.close_connection = True  # whoever asked is gone, or was sent away


def main() -> None:
    directory = Path(sys.argv[1])
    _Handler.downstream = Downstream(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    draft = directory / "port.new"
    draft.write_text(str(server.server_port))
    draft.rename(directory / "port")
    server.serve_forever()


if __name__ == "__main__":
    main()
