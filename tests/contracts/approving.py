"""Operations that wait for approval, and the people who decide on them: on a database where nothing runs."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from actions import approve, break_glass, history
from actions.answer import Answer
from tests.contracts.inside import Still

APPROVERS = ("li", "bo", "cy")
"""People who may approve, and are of the group that must."""


def people(still: Still) -> None:
    """Have everybody there whom these tests speak of, once."""
    groups = {
        "bo": ("approvers",),
        "cy": ("approvers",),
        "pat": ("responders", "approvers"),
        "kim": ("responders", "approvers"),
        "gil": ("responders", "approvers", "break-glass"),
        "ada": ("admins",),
    }
    for name, theirs in groups.items():
        if name not in still._callers:
            still.new_caller(name, *theirs, kind="person")
            still._callers[name] = still.value("SELECT id FROM caller WHERE username = %s", name)


@contextlib.contextmanager
def rule(still: Still, action: str = "ban-network", **columns: Any) -> Iterator[str]:
    """A rule in force meanwhile: one of approvers, unless `columns` say otherwise; its id."""
    group = columns.pop("group", "approvers")
    made = {"action": action, "count": 1, "minutes": 30, "enabled": True, **columns}
    names, marks = ", ".join(made), ", ".join(["%s"] * len(made))
    id = still.value(
        f"INSERT INTO approval_rule (id, group_id, {names}) SELECT gen_random_uuid(), g.id, {marks}"
        " FROM auth_group g WHERE g.name = %s RETURNING id",
        *made.values(),
        group,
    )
    try:
        yield str(id)
    finally:
        still.rows("UPDATE approval_rule SET enabled = false WHERE id = %s RETURNING 1", id)


@contextlib.contextmanager
def without_rules(still: Still, which: str) -> Iterator[None]:
    """None of these rules is in force meanwhile; those that were are again."""
    stop = f"UPDATE approval_rule SET enabled = false WHERE enabled AND {which} RETURNING id"
    held = [row[0] for row in still.rows(stop)]
    try:
        yield
    finally:
        still.rows("UPDATE approval_rule SET enabled = true WHERE id = ANY(%s) RETURNING 1", held)


def facts(still: Still, operation: int) -> dict[str, Any]:
    with still.acting("web"):
        return history.facts_of([operation])[0]


def decide(
    still: Still, operation: int, by: str, do: str = "approve", *, digest: str = "", key: str = ""
) -> Answer:
    """What somebody is told who decides, by the plan that is there unless `digest` is given."""
    told = facts(still, operation)
    does = {"approve": approve.approve, "decline": approve.decline}[do]
    given = (f"{by} looked", digest or told["digest"], key or uuid.uuid4().hex)
    with still.acting("web"):
        return does(still.who(by), told["ref"], *given, "browser")


def decisions(still: Still, operation: int) -> list[tuple[str, str]]:
    """Who decided what, in order."""
    return still.rows(
        "SELECT c.username, a.decision FROM approval a JOIN caller c ON c.id = a.caller_id"
        " WHERE a.operation_id = %s ORDER BY a.at",
        operation,
    )


@contextlib.contextmanager
def alone(still: Still, name: str = "gil") -> Iterator[uuid.UUID]:
    """Somebody of the sealed group goes alone meanwhile."""
    with still.acting("web"):
        opened, _ = break_glass.open_it(still.caller(name), "nobody else is awake")
    try:
        yield opened.id
    finally:
        with still.acting("web"):
            break_glass.close(opened.id, still.caller(name))


INSERT = """
INSERT INTO approval (id, operation_id, caller_id, decision, reason, plan_digest, at)
SELECT gen_random_uuid(), o.id, %s, %s, 'plain SQL', {digest}, now() FROM operation o WHERE o.id = %s
"""
"""A decision written past every function of ours."""


def insert(digest: str = "o.plan_digest") -> str:
    return INSERT.format(digest=digest)
