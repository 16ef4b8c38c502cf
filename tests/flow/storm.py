"""Many requests at the same moment, each on a connection of its own."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Post:
    """One POST of an operation: who (a token), under which key, what."""

    token: str
    body: dict[str, Any]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    if_match: int | None = None


@dataclass(frozen=True)
class Told:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def ref(self) -> str:
        return str(self.body["operation"]["ref"])


def ban(name: str, length: str = "24h", reason: str = "a storm") -> dict[str, Any]:
    subject = {"kind": "network", "name": name}
    return {
        "action": "ban-network",
        "subject": subject,
        "params": {"for": length},
        "reason": reason,
    }


def all_at_once(url: str, posts: Sequence[Post]) -> list[Told]:
    """Send all of them at the same moment; the answers in the order of `posts`."""
    answers: list[Told | BaseException | None] = [None] * len(posts)
    gate = threading.Barrier(len(posts))

    def run(number: int) -> None:
        try:
            answers[number] = send(url, posts[number], gate)
        except BaseException as error:
            gate.abort()
            answers[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(posts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [a for a in answers if not isinstance(a, Told)]
    assert not failed, failed[:3]
    return [a for a in answers if isinstance(a, Told)]


def send(url: str, post: Post, gate: threading.Barrier | None = None) -> Told:
    line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    line.connect()
    if gate is not None:
        gate.wait(30)
    headers = {
        "Authorization": f"Bearer {post.token}",
        "Content-Type": "application/json",
        "Idempotency-Key": post.key,
    }
    if post.if_match is not None:
        headers["If-Match"] = f'"{post.if_match}"'
    line.request("POST", "/api/v1/operations", json.dumps(post.body), headers)
    response = line.getresponse()
    body = json.loads(response.read())
    line.close()
    return Told(response.status, {k.lower(): v for k, v in response.getheaders()}, body)
