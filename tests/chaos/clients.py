"""Clients that ask, ask again, and write down on the disk what they sent and what they were told."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx

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

    def write(self, **line: Any) -> None:
        line["at"] = time.time()
        with self._lock:
            self.lines.append(line)
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())


class Client:
    """One caller with a token, who keeps asking under one key until told something definite."""

    def __init__(self, name: str, api: Api, history: History) -> None:
        self.name, self.history = name, history
        self.http = httpx.Client(
            base_url=str(api.http.base_url), headers=api.http.headers, timeout=15
        )

    def ask(self, intent: str, phase: int, key: str, seen: int | None, again: bool) -> None:
        """`again`: send it once more after it was answered, as who does not trust the answer."""
        for number in range(SENT_AGAIN):
            if self._once(intent, phase, key, seen, number) != "unknown":
                break
            time.sleep(min(2.0, 0.2 * (number + 1)))
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
            told = self.http.post("/api/v1/operations", json=body, headers={"Idempotency-Key": key})
            answer = told.json() if told.status_code in {200, 201, *DEFINITE} else {}
        except (httpx.HTTPError, ValueError) as error:
            self.history.write(**named, kind="unknown", why=type(error).__name__)
            return "unknown"
        kind = {200: "ok", 201: "ok"}.get(told.status_code) or (
            "fail" if told.status_code in DEFINITE else "unknown"
        )
        operation = answer.get("operation") or {}
        self.history.write(
            **named,
            kind=kind,
            begun=begun,
            status=told.status_code,
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
        self._lock = threading.Lock()

    def run(self, at_once: int, pause: float, most: int) -> None:
        """Until told to stop, or for `most` intents."""
        with ThreadPoolExecutor(at_once * 3) as asking, ThreadPoolExecutor(at_once) as intents:
            for _ in range(at_once):
                intents.submit(self._go_on, asking, pause, most)

    def _go_on(self, asking: ThreadPoolExecutor, pause: float, most: int) -> None:
        while not self.stop.is_set():
            with self._lock:
                number = self.intents
                if number >= most:
                    return
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
