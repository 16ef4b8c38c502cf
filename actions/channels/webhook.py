"""Signed webhooks by the Standard Webhooks specification: the id stays, so that a receiver drops repeats."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Collection, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from actions.channels._base import CALL_SECONDS, Answers, Begin, Channel, Repeat, Told
from actions.connectors import _http
from actions.connectors._http import Answer, Lost, NotSent, Reach
from actions.outcomes import Applied, Found, Outcome, Refused, RetryLater, Unknown

PREFIX = "whsec_"

# Answers that say "not now": an overload, a time-out, or a receiver that is being set up.
_LATER = frozenset({408, 409, 423, 425, 429})
_LONGEST_ASKED = 3600.0


def new_secret() -> str:
    """A signing secret as the specification writes it: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 over id, time and body (Standard Webhooks, "Signature scheme")."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def payload(told: Told) -> bytes:
    """`type`, `timestamp` and `data`: what happened, and where to look."""
    data = {"ref": told.ref, "action": told.action, "subject_kind": told.subject, "url": told.url}
    body = {
        "type": f"operation.{told.kind}" if told.ref else f"console.{told.kind}",
        "timestamp": told.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {name: value for name, value in data.items() if value},
    }  # fmt: skip
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


class Webhook(Channel):
    """One URL, signed with each secret that is in use: one, or two while it is being replaced."""

    name = "webhook"
    title = "signed webhook"
    repeat = Repeat.DROPPED
    most_doubts = 100
    answers = Answers(
        identifies="What happened, and the endpoint: one row for both, by a unique constraint.",
        recorded="In the table notice, before anything is sent; its id is the webhook-id.",
        retry="The same body under the same webhook-id, signed anew, for a day at most.",
        duplicates=(
            "The call: an answer that was lost is followed by another call. A receiver that keeps"
            " webhook-ids for a day acts on it once."
        ),
    )

    def __init__(self, url: str, signing: Collection[str], reach: Reach) -> None:
        self._url = url
        self._secrets = signing
        self._reach = reach

    def send(self, told: Told, begin: Begin) -> Outcome:
        body, id, now = payload(told), f"msg_{told.id.replace('-', '')}", int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Steadyhand",
            "webhook-id": id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signature(s, id, now, body) for s in self._secrets),
        }
        return call(self._url, body, headers, self._reach, begin)


def call(url: str, body: bytes, headers: Mapping[str, str], reach: Reach, begin: Begin) -> Outcome:
    """POST once, and what it came to. The answer's words are not kept: they may hold anything."""
    try:
        told = _http.post(url, body, headers, reach, seconds=CALL_SECONDS, begin=begin)
    except NotSent as error:
        return RetryLater(str(error)) if error.later else Refused(str(error))
    except Lost as error:
        return Unknown(str(error))
    return _outcome(told)


def _outcome(told: Answer) -> Outcome:
    if 200 <= told.status < 300:
        return Applied(Found.CHANGED)
    if 300 <= told.status < 400:
        return Refused(f"It answered {told.status}, a redirect, which is not followed.")
    if told.status in _LATER:
        return RetryLater(f"It answered {told.status}.", _asked(told))
    if told.status >= 500:  # what is behind it may have taken it
        return Unknown(f"It answered {told.status}.")
    return Refused(f"It answered {told.status}.")


def _asked(told: Answer) -> float | None:
    """Seconds that it asks us to wait (RFC 9110 §10.2.3), an hour at most."""
    said = told.headers.get("retry-after", "")
    if said.isdecimal():
        return min(float(said[:9]), _LONGEST_ASKED)
    try:
        wait = parsedate_to_datetime(said).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, wait), _LONGEST_ASKED)
