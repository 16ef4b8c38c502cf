"""Keep a ban that might have cut off who asked for it: they are still there, on a new connection."""

from __future__ import annotations

from datetime import datetime

from actions import database
from actions.act import Case, Verb, act
from actions.answer import Answer
from actions.ask import Decision
from actions.issue import Who
from actions.standing import Facts
from actions.states import OperationState

# A list is in force at a firewall once that has pulled it: until then nobody is cut off by it yet. Who
# pulled thrice within the hour is one that pulls; people only look.
_NOT_PULLED = """
SELECT coalesce(string_agg(x.consumer, ', ' ORDER BY x.consumer), '') FROM (
  SELECT p.consumer, max(p.at) AS last FROM pull p LEFT JOIN caller c ON c.id = p.caller_id
    JOIN blocklist_entry e ON e.list = p.list AND e.blocked AND e.network = %(name)s::cidr
   WHERE p.at > clock_timestamp() - interval '1 hour' AND (c.id IS NULL OR c.kind <> 'person')
   GROUP BY p.consumer HAVING count(*) > 2) x
 WHERE x.last < %(since)s::timestamptz
"""


def keep(who: Who, ref: str, key: str, via: str, *, proven: bool) -> Answer:
    """Let a ban stand until the end that was asked for. `proven`: this came on a new connection.

    Raises NotFound, Unauthenticated and NotRecorded.
    """
    return act(who, Verb("keep", ref, key, via), lambda case: judge(case, proven))


def judge(case: Case, proven: bool) -> Decision:
    """What whoever may ask for it is told."""
    told = case.told
    if told.get("kept_at"):
        return Decision("existing", "", "It is kept already, until the end that was asked for.")
    if no := why_not(told, case.seen.now, own=case.own):
        return no
    if not proven:
        return _no(
            "new_connection",
            "This did not come by a new connection, so it does not show that you can still come in.",
        )
    return Decision("kept", "", "It is kept, until the end that was asked for.")


def why_not(told: Facts, now: datetime, *, own: bool) -> Decision | None:
    """Why there is nothing to keep, or not yet, or no more."""
    if not told.get("keep_for"):
        return _no("nothing_to_keep", "It ends when it was asked to, and needs nobody to keep it.")
    if not own:
        return _no("not_yours", "Only who asked for it can say that it did not cut them off.", 403)
    if not told["keep_by"]:
        return _no("not_in_force", "It waits for approval: the time to keep it begins after that.")
    if told["ended_at"] or datetime.fromisoformat(told["keep_by"]) <= now:
        return _no("too_late", "The time to keep it is over: it ends, or has ended.")
    if told["state"] != OperationState.SUCCEEDED:
        return _no(
            "not_in_force", "It is not in place everywhere yet, so nothing can be shown yet."
        )
    if behind := waits_for(told):
        return _no(
            "not_in_force", f"It is not in force yet at {behind}, which has yet to pull the list."
        )
    return None


def waits_for(told: Facts) -> str:
    """Which firewalls have yet to pull the list that it is on, by name; "" when none has."""
    return str(
        database.value(_NOT_PULLED, {"name": told["name"], "since": told["settled_at"]}) or ""
    )


def _no(code: str, what: str, status: int = 409) -> Decision:
    return Decision("refused", code, f"{what} Nothing changed.", status)
