"""Clients that ask, ask again, and write down on the disk what they sent and what they were told."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.console_process import Api

DEFINITE = {400, 401, 403, 404, 409, 412, 422, 429}
"""Statuses that say that nothing was made by this call; what else fails is not known."""

SENT_AGAIN = 25
"""How often one key is sent until somebody answers for it."""


class History:
    """The lines of all clients, each on the disk before its caller goes on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._lock = threading.Lock()
        self.lines: list[dict[str, Any]] = []
        self.refs: set[str] = set()  # of operations that somebody was told of

    def write(self, **line: Any) -> None:
        line["at"] = time.time()
        with self._lock:
            self.lines.append(line)
            if line.get("ref"):
                self.refs.add(line["ref"])
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())


class Client:
    """One caller with a token, who keeps asking under one key until told something definite."""

    def __init__(self, name: str, api: Api, history: History) -> None:
        self.name, self.history = name, history
        self._headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
        self._address = api.http.base_url.host, api.http.base_url.port
        self._own = threading.local()

    def _post(self, body: object, key: str) -> tuple[int, dict[str, Any]]:
        """Plain and on a line per thread: there are many, and the machine has other things to do."""
        line = getattr(self._own, "line", None)
        if line is None:
            line = self._own.line = http.client.HTTPConnection(*self._address, timeout=15)
        try:
            headers = {**self._headers, "Idempotency-Key": key}
            line.request("POST", "/api/v1/operations", json.dumps(body), headers)
            told = line.getresponse()
            content = told.read()
            readable = told.status in {200, 201, *DEFINITE}
            return told.status, json.loads(content) if readable else {}
        except BaseException:
            line.close()
            raise

    def ask(self, intent: str, phase: int, key: str, seen: int | None, again: bool) -> None:
        """`again`: send it once more after it was answered, as who does not trust the answer."""
        for number in range(SENT_AGAIN):
            if self._once(intent, phase, key, seen, number) != "unknown":
                break
            time.sleep(min(4.0, 0.5 * (number + 1)))
        if again:
            self._once(intent, phase, key, seen, -1)

    def _once(self, intent: str, phase: int, key: str, seen: int | None, number: int) -> str:
        named = {"client": self.name, "key": key, "intent": intent, "phase": phase, "try": number}
        self.history.write(**named, kind="invoke")
        begun = time.time()
        body = {
            "action": "lift-ban" if phase % 2 else "ban-network",
            "subject": {"kind": "network", "name": intent},
            "params": {} if phase % 2 else {"for": "24h"},
            "reason": "chaos",
            **({} if seen is None else {"seen": seen}),
        }
        try:
            status, answer = self._post(body, key)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.history.write(**named, kind="unknown", why=type(error).__name__)
            return "unknown"
        kind = {200: "ok", 201: "ok"}.get(status) or ("fail" if status in DEFINITE else "unknown")
        operation = answer.get("operation") or {}
        self.history.write(
            **named,
            kind=kind,
            begun=begun,
            status=status,
            ref=operation.get("ref") if kind == "ok" else None,
            disposition=answer.get("disposition"),
            in_force=answer.get("in_force"),
        )
        return kind


class Crowd:
    """Many intents at once; each is a ban, mostly a lift, sometimes a ban again, by several clients."""

    def __init__(self, clients: Sequence[Client], seed: int) -> None:
        self.clients, self.seed = clients, seed
        self.stop = threading.Event()
        self.intents = 0
        self.full = False  # so much is under way that nothing new is asked for
        self._lock = threading.Lock()

    def run(self, at_once: int, pause: float) -> None:
        """Until told to stop."""
        with ThreadPoolExecutor(at_once * 3) as asking, ThreadPoolExecutor(at_once) as intents:
            for _ in range(at_once):
                intents.submit(self._go_on, asking, pause)

    def _go_on(self, asking: ThreadPoolExecutor, pause: float) -> None:
        while not self.stop.is_set():
            if self.full:
                self.stop.wait(1)
                continue
            with self._lock:
                number = self.intents
                self.intents += 1
            self._intent(asking, number)
            self.stop.wait(pause)

    def _intent(self, asking: ThreadPoolExecutor, number: int) -> None:
        chance = random.Random(f"{self.seed}:{number}")
        name = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
        phases = chance.choice((1, 2, 2, 3))
        for phase in range(phases):
            some = chance.sample(self.clients, chance.choice((1, 2, 3)))
            seen = phase if phase else None
            waiting = [
                asking.submit(
                    client.ask,
                    name,
                    phase,
                    f"chaos-{self.seed}-{number}-{phase}-{client.name}",
                    seen,
                    chance.random() < 0.3,
                )
                for client in some
            ]
            for one in waiting:
                one.result()
            # Mostly it is in place before it is lifted; sometimes it is still under way.
            self.stop.wait(chance.choice((0, 1, 6, 10)))
