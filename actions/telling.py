"""The outbox of notices: what is to be told now, taken up by one process at a time, settled once.

As with effects (`outbox`, `settle`): by the database's clock, under a lease and a rising fence, the
beginning written down before what cannot be taken back. No operation's row is touched or waited for.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from actions import database, states
from actions.channels._base import CALL_SECONDS, Channel, NotHeld, Repeat
from actions.models import Notice
from actions.outcomes import Applied, Outcome, Refused, RetryLater, Unknown
from actions.states import NoticeState

LEASE = timedelta(seconds=max(settings.LEASE_SECONDS, 2 * CALL_SECONDS))
LONGEST_WAIT = 900.0
GIVES_UP_AFTER = timedelta(days=1)
LATE_AFTER = timedelta(minutes=10)

_STATES = ", ".join(f"'{state}'" for state in sorted(states.NOTICE_DUE))
_GONE = "The process that was sending it did not come back."


def make(*, mail: bool) -> int:
    """Look what happened, and make the notices of it; how many things there were."""
    return int(database.value("SELECT make_notices(%(mail)s::boolean)", {"mail": mail}))


class Due(NamedTuple):
    """A notice whose time has come; `to` is its endpoint's id, or "" for a mail."""

    id: uuid.UUID
    to: str


# Few of each endpoint: however much is due at one that hangs, the others are seen.
_DUE = f"""
(SELECT n.id, '' AS "to" FROM notice n
  WHERE n.endpoint_id IS NULL AND n.state IN ({_STATES}) AND n.run_at <= statement_timestamp()
  ORDER BY n.run_at LIMIT %(most)s)
UNION ALL
SELECT d.id, p.id::text FROM endpoint p CROSS JOIN LATERAL (
  SELECT n.id FROM notice n
   WHERE n.endpoint_id = p.id AND n.state IN ({_STATES}) AND n.run_at <= statement_timestamp()
   ORDER BY n.run_at LIMIT %(each)s) d
"""


def due(most: int, each: int) -> list[Due]:
    """What is to be told now, the longest due first: `most` mails, and `each` of every endpoint."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"most": most, "each": each})
        return [Due(*row) for row in cursor.fetchall()]


def claim(notice: uuid.UUID) -> Notice | None:
    """Take one up; None when somebody else did."""
    taken = Notice.objects.filter(
        id=notice, state__in=sorted(states.NOTICE_DUE), run_at__lte=Now()
    ).update(
        state=NoticeState.EXECUTING,
        fence=F("fence") + 1,
        tries=F("tries") + 1,
        lease_until=Now() + LEASE,
        began_at=None,
    )
    if not taken:
        return None
    return Notice.objects.select_related("happening", "endpoint").get(id=notice)


def begin(held: Notice) -> None:
    """Write down that it begins to be sent now. Raises NotHeld, when it must not."""
    written = _mine(held).filter(lease_until__gt=Now() + timedelta(seconds=1))
    if not written.update(began_at=Now(), calls=F("calls") + 1):
        raise NotHeld


def settle(held: Notice, outcome: Outcome, channel: type[Channel]) -> bool:
    """Record what a try came to. False when somebody else holds it by now.

    Where its lease ran out meanwhile and nobody took it up, the word that it was taken ends the doubt.
    """
    if _mine(held).update(**_change(held, outcome, channel)):
        return True
    doubted = Notice.objects.filter(id=held.id, state=NoticeState.IN_DOUBT, fence=held.fence)
    if isinstance(outcome, Applied):
        return bool(doubted.update(state=NoticeState.SUCCEEDED, settled_at=Now(), message=""))
    return False


def cancel(held: Notice, why: str) -> None:
    """Nobody is to hear it any more: it is never sent after this."""
    _mine(held).update(**_settled(NoticeState.CANCELLED, why))


def expire(channels: Collection[type[Channel]]) -> int:
    """Take back what was claimed and not settled in time; how many."""
    over = Notice.objects.filter(state=NoticeState.EXECUTING, lease_until__lt=Now())
    moved = 0
    known = {channel.name: channel for channel in channels}
    for notice in over.order_by("lease_until")[:100]:
        came_to: Outcome = Unknown(_GONE) if notice.began_at else RetryLater(_GONE)
        change = _change(notice, came_to, known[notice.channel])
        still = _mine(notice).filter(lease_until__lt=Now(), began_at=notice.began_at)
        moved += still.update(**change)
    return moved


def _mine(held: Notice) -> QuerySet[Notice]:
    return Notice.objects.filter(id=held.id, state=NoticeState.EXECUTING, fence=held.fence)


def _change(held: Notice, outcome: Outcome, channel: type[Channel]) -> dict[str, object]:
    match outcome:
        case Applied():
            return _settled(NoticeState.SUCCEEDED, "")
        case Refused():
            return _settled(NoticeState.FAILED, outcome.message)
        case RetryLater():
            if _old(held):
                return _settled(NoticeState.FAILED, f"{outcome.message} Given up after a day.")
            wait = max(outcome.after or 0.0, jitter(held.tries))
            # What was in doubt before stays so: an earlier call may have arrived.
            state = NoticeState.IN_DOUBT if held.doubts else NoticeState.READY
            return _again(state, wait, outcome.message)
        case Unknown():
            doubts = held.doubts + 1
            if doubts >= channel.most_doubts or _old(held):
                said = f"{outcome.message} It may have arrived; it is not sent again."
                return _settled(NoticeState.FAILED, said) | {"doubts": doubts}
            wait = doubt_wait(doubts) if channel.repeat is Repeat.SEEN else jitter(held.tries)
            return _again(NoticeState.IN_DOUBT, wait, outcome.message) | {"doubts": doubts}


def _settled(state: NoticeState, message: str) -> dict[str, object]:
    return {"state": state, "lease_until": None, "settled_at": Now(), "message": message[:300]}


def _again(state: NoticeState, wait: float, message: str) -> dict[str, object]:
    at = Now() + timedelta(seconds=wait)
    return {"state": state, "lease_until": None, "run_at": at, "message": message[:300]}


def _old(held: Notice) -> bool:
    given = {"id": held.id, "most": GIVES_UP_AFTER}
    sql = "SELECT made_at < clock_timestamp() - %(most)s FROM notice WHERE id = %(id)s"
    return bool(database.value(sql, given))


def jitter(tries: int) -> float:
    """Seconds until the next try: full jitter inside bounds."""
    return random.uniform(0, min(LONGEST_WAIT, 2.0 ** min(tries, 20)))  # noqa: S311 - jitter


def doubt_wait(doubts: int) -> float:
    """Seconds until what may be seen twice is sent again: minutes, for it may well have arrived."""
    return random.uniform(0.5, 1) * 60 * 4.0 ** (doubts - 1)  # noqa: S311 - jitter
