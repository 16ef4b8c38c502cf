"""A block list that firewalls pull: one row per list and network, set to blocked or not.

The rows live in the console's own database but are an outside system to the rest of the code:
they are written by a connection of their own, in a transaction of their own, and may be ahead of
or behind what the console has settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import psycopg

from actions.connectors._base import Call, Connector, Facts, Offer, Redo
from actions.outcomes import Applied, Found, Outcome, Refused

# The row that wins is the one of the latest generation: a late or resumed call of an older one
# matches nothing, and cannot undo what came after it.
_SET = """
INSERT INTO blocklist_entry AS entry (list, network, blocked, generation, set_by, changed_at)
VALUES (%(list)s, %(network)s, %(blocked)s, %(generation)s, %(key)s, clock_timestamp())
ON CONFLICT ON CONSTRAINT blocklist_entry_once DO UPDATE
   SET blocked = excluded.blocked, generation = excluded.generation, set_by = excluded.set_by,
       changed_at = CASE WHEN entry.blocked = excluded.blocked
                         THEN entry.changed_at ELSE excluded.changed_at END
 WHERE entry.generation < excluded.generation
    OR (entry.generation = excluded.generation AND entry.set_by = excluded.set_by)
RETURNING old.blocked, old.set_by
"""
_GET = "SELECT blocked FROM blocklist_entry WHERE list = %(list)s AND network = %(network)s"


class Blocklist(Connector):
    name = "blocklist"
    title = "Block list for firewalls"
    offers: ClassVar[Mapping[str, Offer]] = {
        "network.deny": Offer(redo=Redo.NATURAL, settle=0, timeout=5)
    }
    already: ClassVar[Mapping[str, str]] = {
        "same state": "the row of the network already says blocked, or not blocked, as asked",
    }

    _held: psycopg.Connection[Any] | None = None

    def _connection(self) -> psycopg.Connection[Any]:
        if self._held is None or self._held.closed:
            self._held = self.database()
        return self._held

    def _row(self, call: Call) -> dict[str, object]:
        return {
            "list": self.settings["list"],
            "network": call.subject,
            "blocked": bool(call.desired["blocked"]),
            "generation": call.generation,
            "key": call.key,
        }

    def apply(self, call: Call) -> Outcome:
        row = self._connection().execute(_SET, self._row(call)).fetchone()
        if row is None:
            return Refused("The list holds a later word on this network; it was left alone.")
        blocked_before, set_by_before = row
        if set_by_before == call.key:
            return Applied(Found.NOT_KNOWN, "This entry had been written before, under this key.")
        if bool(blocked_before) == call.desired["blocked"]:
            return Applied(Found.SO_ALREADY, "The list said so already.")
        return Applied(Found.CHANGED)

    def read(self, capability: str, kind: str, subject: str) -> Facts:
        row = self._connection().execute(_GET, {"list": self.settings["list"], "network": subject})
        found = row.fetchone()
        return {"blocked": bool(found and found[0])}

    @classmethod
    def words(cls, capability: str, facts: Facts) -> str:
        return "blocked" if facts["blocked"] else "not blocked"
