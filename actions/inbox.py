"""What waits for approval, for each who looks: what is for them, and why the rest is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from actions import database, history
from actions.approve import No, objections
from actions.models import Approval, Operation
from actions.policy import Sight, in_sight
from actions.standing import Facts
from actions.states import OperationState

MOST = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits, the soonest over first, up to MOST; `total` is of all."""

    listed: list[Facts]
    total: int


def waiting(sees: Sight) -> Waiting:
    """What waits of all that the viewer may see."""
    rows = _awaiting(sees)
    ids = list(rows.order_by("approve_by", "id").values_list("id", flat=True)[: MOST + 1])
    total = len(ids) if len(ids) <= MOST else rows.count()
    return Waiting(history.facts_of(ids[:MOST]), total)


@dataclass(frozen=True, slots=True)
class Inbox:
    """What waits for one person: theirs to decide, decided by them, asked by them, or neither.

    `others` has with each operation why they may not decide on it. `total` counts all that waits.
    """

    mine: list[Facts]
    decided: list[Facts]
    asked: list[Facts]
    others: list[tuple[Facts, No]]
    total: int


def of(caller: UUID, sees: Sight) -> Inbox:
    """The inbox of one person. What is theirs to decide comes first, however much else waits."""
    mine = _open_to(caller, sees)
    found = waiting(sees)
    named = {told["id"] for told in mine}
    rest = [told for told in found.listed if told["id"] not in named]
    why = objections([told["id"] for told in rest], caller)
    decided = [told for told in rest if _by(told, caller)]
    asked = [told for told in rest if told["requested_by_id"] == str(caller)]
    known = {told["id"] for told in (*decided, *asked)}
    others = [
        (told, no) for told in rest if told["id"] not in known and (no := why.get(told["id"]))
    ]
    return Inbox(mine, decided, asked, others, found.total)


def _by(told: Facts, caller: UUID) -> bool:
    return any(decision["by_id"] == str(caller) for decision in told["decisions"])


_MINE = f"""
SELECT coalesce(array_agg(w.id ORDER BY w.approve_by, w.id), '{{}}') FROM (
  SELECT o.id, o.approve_by FROM operation o JOIN subject s ON s.id = o.subject_id
   WHERE o.state = 'awaiting_approval' AND {in_sight("s.kind", "s.name", "o.action")}
     AND approval_objection(o.id, %(caller)s::uuid, o.plan_digest) IS NULL
     AND NOT EXISTS (SELECT FROM approval a
                      WHERE a.operation_id = o.id AND a.caller_id = %(caller)s::uuid)
   ORDER BY o.approve_by, o.id LIMIT %(most)s::int) w
"""  # noqa: S608 - our own constants


def _open_to(caller: UUID, sees: Sight) -> list[Facts]:
    asked = {"caller": caller, **sees.params(), "most": MOST}
    return history.facts_of(list(database.value(_MINE, asked)))


def counted(caller: UUID, sees: Sight) -> tuple[int, int]:
    """How many wait for this person, and how many wait at all, of those they may see."""
    total = waiting_count(sees)
    asked = {"caller": caller, **sees.params(), "most": MOST}
    return (len(database.value(_MINE, asked)) if total else 0), total


def waiting_count(sees: Sight) -> int:
    """How many operations wait, of those that the viewer may see."""
    return _awaiting(sees).count()


def _awaiting(sees: Sight) -> QuerySet[Operation]:
    rows = Operation.objects.filter(state=OperationState.AWAITING_APPROVAL, approve_by__gt=Now())
    return history.in_sight(rows, sees)


def decided_last(sees: Sight, most: int = 50) -> list[Facts]:
    """The operations decided on last, newest first; they are kept for ever."""
    decided = Approval.objects.filter(operation=OuterRef("id"))
    rows = history.in_sight(Operation.objects.filter(Exists(decided)), sees).exclude(
        state=OperationState.AWAITING_APPROVAL
    )
    return history.facts_of(list(rows.order_by("-id").values_list("id", flat=True)[:most]))


_WHO = """
SELECT o.id, ARRAY(SELECT c.username::text FROM caller c
   WHERE EXISTS (SELECT FROM jsonb_array_elements(o.approvals) n JOIN caller_groups m
                    ON m.group_id = (n ->> 'id')::int AND m.caller_id = c.id)
     AND NOT EXISTS (SELECT FROM approval a WHERE a.operation_id = o.id AND a.caller_id = c.id)
     AND approval_objection(o.id, c.id, o.plan_digest) IS NULL
   ORDER BY c.username)
  FROM operation o WHERE o.id = ANY(%(ids)s::bigint[])
"""


def who_can(told: Iterable[Facts]) -> dict[int, list[str]]:
    """The people who can decide on each of these now, by the operations' ids."""
    with connection.cursor() as cursor:
        cursor.execute(_WHO, {"ids": [facts["id"] for facts in told]})
        return dict(cursor.fetchall())
