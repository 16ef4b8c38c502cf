"""How people want to be told, and for admins, whom nobody could tell."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from actions import database
from actions.errors import Refusal
from actions.heard import CHOSEN, WORDS, Kind
from actions.models import NoticeAddress, NoticeChoice
from actions.tell import code as code_of

_PLAIN = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_{|}~'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
LONGEST = 254

_SAID = {
    "too_soon": "Wait a minute, then send it again. Nothing was sent now.",
    "too_many": "Ten codes were sent since yesterday. Try again tomorrow, or ask an admin.",
    "no_address": "Confirm an address first. Nothing was sent.",
}


@dataclass(frozen=True, slots=True)
class Hearing:
    """How one person is told: where, whether that is confirmed, and of what."""

    email: str
    confirmed: bool
    asked_at: datetime | None
    wants: Mapping[Kind, bool]


def of(caller: UUID) -> Hearing:
    """How this person is told now."""
    given = NoticeAddress.objects.filter(caller_id=caller).first()
    chosen = dict(
        NoticeChoice.objects.filter(caller_id=caller, channel="email").values_list("kind", "wanted")
    )
    wants = {
        kind: WORDS[kind].always or bool(chosen.get(kind, WORDS[kind].at_first)) for kind in CHOSEN
    }
    if given is None:
        return Hearing("", False, None, wants)
    return Hearing(given.email, given.confirmed_at is not None, given.asked_at, wants)


def mail_is_set() -> bool:
    """Whether there is a mail server at all."""
    return bool(settings.MAIL["url"])


def give_address(caller: UUID, email: str) -> bool:
    """Have a code sent there; nothing else is, until it is confirmed. False when it is confirmed already.

    Raises Refusal `bad_address`, `too_soon`, `too_many`.
    """
    email = email.strip()
    if len(email) > LONGEST or not _PLAIN.fullmatch(email):
        raise Refusal("bad_address", "Give an address such as ana@example.org.")
    asking = "SELECT ask_notice_address(%(caller)s::uuid, %(email)s::text)"
    return _done(asking, caller, email=email) != "confirmed"


def confirm(caller: UUID, code: str) -> bool:
    """Confirm the address by the code that was sent there. False when that was done before.

    Raises Refusal `bad_code`.
    """
    # Counted before it is compared: many at once are not more tries.
    tried = database.one("SELECT * FROM try_notice_code(%(caller)s::uuid)", {"caller": caller})
    given = "".join(code.split()).upper().replace("-", "")
    if tried["email"] is not None:
        right = code_of(caller, tried["email"], tried["asked_at"]).replace("-", "")
        if hmac.compare_digest(given.encode(), right.encode()) and (
            said := database.value(
                "SELECT confirm_notice_address(%(caller)s::uuid, %(at)s)",
                {"caller": caller, "at": tried["asked_at"]},
            )
        ):
            return bool(said == "confirmed")
    raise Refusal(
        "bad_code",
        "That is not the code, or it is good no longer: after an hour or five tries, have another sent.",
    )


def choose(caller: UUID, wants: Mapping[Kind, bool]) -> None:
    """Be told of these kinds, or not; the rest stays. What is always told cannot be chosen."""
    with transaction.atomic(), connection.cursor() as cursor:
        for kind, wanted in wants.items():
            if kind in CHOSEN and not WORDS[kind].always:
                cursor.execute("SELECT choose_notice(%s, %s, %s)", [caller, str(kind), wanted])


def test(caller: UUID) -> None:
    """Have a test sent to one's own address. Raises Refusal `too_soon`, `no_address`."""
    _done("SELECT test_notice(%(caller)s::uuid)", caller)


def _done(sql: str, caller: UUID, **given: str) -> str:
    said = str(database.value(sql, {"caller": caller, **given}))
    if said in _SAID:
        raise Refusal(said, _SAID[said])
    return said


@dataclass(frozen=True, slots=True)
class Lost:
    """A notice that was given up: when, of what, by which way, to whom, and why."""

    at: datetime
    kind: str
    ref: str
    channel: str
    to: str
    tries: int
    why: str


_LOST = """
SELECT n.settled_at AS at, h.kind, coalesce(o.ref, '') AS ref, n.channel,
       coalesce(c.username, p.name) AS "to", n.tries, n.message AS why
  FROM notice n JOIN happening h ON h.id = n.happening_id LEFT JOIN operation o ON o.id = h.operation_id
  LEFT JOIN caller c ON c.id = n.person_id LEFT JOIN endpoint p ON p.id = n.endpoint_id
 WHERE n.state = 'failed' AND n.settled_at > clock_timestamp() - interval '30 days'
 ORDER BY n.settled_at DESC LIMIT 100
"""


def lost() -> list[Lost]:
    """What was given up in the last 30 days, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(_LOST)
        return [Lost(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Untold:
    """Something that nobody could be told of."""

    at: datetime
    kind: str
    ref: str


_UNTOLD = """
SELECT h.at, h.kind, coalesce(o.ref, '') AS ref
  FROM happening h LEFT JOIN operation o ON o.id = h.operation_id
 WHERE h.told = 0 AND h.made_at > clock_timestamp() - interval '30 days' ORDER BY h.made_at DESC LIMIT 100
"""


def untold() -> list[Untold]:
    """What nobody was there to be told of in the last 30 days, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(_UNTOLD)
        return [Untold(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many notices of one kind one person was not sent, for they were too many at once."""

    kind: str
    to: str
    count: int
    last: datetime


_DROPPED = """
SELECT h.kind, c.username AS "to", count(*), max(n.made_at) AS last
  FROM notice n JOIN happening h ON h.id = n.happening_id JOIN caller c ON c.id = n.person_id
 WHERE n.state = 'cancelled' AND n.fence = 0 AND n.made_at > clock_timestamp() - interval '1 day'
 GROUP BY 1, 2 ORDER BY 4 DESC LIMIT 100
"""


def dropped() -> list[Dropped]:
    """What was too much for somebody in the last day, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(_DROPPED)
        return [Dropped(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to tell: a channel and where; how many wait there for 10 minutes, and why."""

    channel: str
    to: str
    late: int
    since: datetime
    why: str


_LATE = """
SELECT n.channel, coalesce(p.name, '') AS "to", count(*) AS late, min(n.made_at) AS since,
       (array_agg(n.message ORDER BY n.run_at DESC) FILTER (WHERE n.message <> ''))[1] AS why
  FROM notice n LEFT JOIN endpoint p ON p.id = n.endpoint_id
 WHERE n.state IN ('in_doubt', 'ready') AND n.made_at < clock_timestamp() - interval '10 minutes'
 GROUP BY 1, 2 ORDER BY 1, 2
"""


def late() -> list[Way]:
    """The ways by which something has waited to be told for 10 minutes."""
    with connection.cursor() as cursor:
        cursor.execute(_LATE)
        return [
            Way(channel, to, late, since, why or "")
            for channel, to, late, since, why in cursor.fetchall()
        ]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What admins see on the board: notices that wait, were given up, were too many, or had no one."""

    late: int = 0
    lost: int = 0
    dropped: int = 0
    untold: int = 0


_TROUBLE = """
SELECT (SELECT count(*) FROM notice WHERE state IN ('in_doubt', 'ready')
           AND made_at < clock_timestamp() - interval '10 minutes') AS late,
       (SELECT count(*) FROM notice WHERE state = 'failed'
           AND settled_at > clock_timestamp() - interval '1 day') AS lost,
       (SELECT count(*) FROM notice WHERE state = 'cancelled' AND fence = 0
           AND made_at > clock_timestamp() - interval '1 day') AS dropped,
       (SELECT count(*) FROM happening WHERE told = 0
           AND made_at > clock_timestamp() - interval '1 day') AS untold
"""


def trouble() -> Trouble:
    """What is not well with being heard, in the last day."""
    return Trouble(**database.one(_TROUBLE, {}))


def administers(caller: UUID) -> bool:
    """Whether this caller is an admin of the console."""
    return bool(database.value("SELECT administers(%(caller)s::uuid)", {"caller": caller}))


_MAY_HEAR = """
WITH acting AS (SELECT id FROM auth_permission WHERE codename IN ('ask_entry', 'approve_entry'))
SELECT EXISTS (SELECT FROM entry_group_grant g JOIN caller_groups m ON m.group_id = g.group_id
                WHERE m.caller_id = %(caller)s::uuid AND g.permission_id IN (SELECT id FROM acting))
    OR EXISTS (SELECT FROM entry_user_grant g
                WHERE g.user_id = %(caller)s::uuid AND g.permission_id IN (SELECT id FROM acting))
"""


def may_hear(caller: UUID) -> bool:
    """Whether there is anything that this caller could be told of."""
    return bool(database.value(_MAY_HEAR, {"caller": caller})) or administers(caller)
