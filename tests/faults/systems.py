"""Connectors to the downstream of the fault tests, one of each redo class.

Processes of the console load them because `STEADYHAND_CONNECTORS` names this module.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from actions.connectors._base import Call, Connector, Facts, Offer, Redo, Unreadable
from actions.outcomes import Applied, Found, Outcome, Refused, RetryLater, Seen, Unknown
from tests.faults.downstream import LATE

TIMEOUT = float(os.environ.get("DOWNSTREAM_TIMEOUT", "1"))
SETTLE = float(os.environ.get("DOWNSTREAM_SETTLE", LATE + 1.0))


class _Downstream(Connector):
    already: ClassVar[Mapping[str, str]] = {"none": "it answers the same either way"}

    def _post(self, path: str, call: Call) -> tuple[int, dict[str, Any]]:
        content = {
            "realm": self.settings["realm"],
            "redo": self.offers[call.capability].redo,
            "key": call.key,
            "subject": call.subject,
            "value": call.desired["blocked"],
        }
        line = http.client.HTTPConnection(
            "127.0.0.1", int(str(self.settings["port"])), timeout=TIMEOUT
        )
        try:
            line.request("POST", path, json.dumps(content))
            answer = line.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            line.close()

    def apply(self, call: Call) -> Outcome:
        status, _ = self._post("/apply", call)
        match status:
            case 200:
                return Applied(Found.NOT_KNOWN)
            case 429 | 503:
                return RetryLater(f"It answered {status}.")
            case 403:
                return Refused("It refused.")
        return Unknown(f"It answered {status}.")

    def observe(self, call: Call) -> Seen:
        try:
            status, told = self._post("/seen", call)
        except OSError:
            return Seen.UNREADABLE
        if status != 200:
            return Seen.UNREADABLE
        return Seen.YES if told["seen"] else Seen.NO

    def read(self, capability: str, kind: str, subject: str) -> Facts:
        raise Unreadable("it is asked by our key")


class Natural(_Downstream):
    name = "down-natural"
    title = "Sets a state"
    offers: ClassVar[Mapping[str, Offer]] = {
        "network.deny": Offer(Redo.NATURAL, settle=SETTLE, timeout=TIMEOUT)
    }


class Keyed(_Downstream):
    name = "down-keyed"
    title = "Drops repeats of a key"
    offers: ClassVar[Mapping[str, Offer]] = {
        "network.deny": Offer(Redo.KEYED, settle=SETTLE, timeout=TIMEOUT, keeps=600)
    }


class Observed(_Downstream):
    name = "down-observed"
    title = "Can be asked"
    offers: ClassVar[Mapping[str, Offer]] = {
        "network.deny": Offer(Redo.OBSERVED, settle=SETTLE, timeout=TIMEOUT)
    }


class Never(_Downstream):
    name = "down-never"
    title = "Neither"
    offers: ClassVar[Mapping[str, Offer]] = {
        "network.deny": Offer(Redo.NEVER, settle=SETTLE, timeout=TIMEOUT)
    }
