"""Operations brought to where a verb has something to do: rows moved as workers move them."""

from __future__ import annotations

import uuid

from actions import decide as deciding
from actions import finish, history, issue, undo, withdraw
from actions.answer import Answer
from tests.contracts.inside import Still, ban

_ALSO = {
    "executing": ", lease_until = now() + interval '1 hour'",
    "in_doubt": ", lease_until = NULL, doubt_until = now() + interval '1 hour'",
}
_CLEAR = ", lease_until = NULL, doubt_until = NULL"


def effects_of(still: Still, operation: int) -> list[int]:
    """Its effects, that in the second realm last."""
    ordered = (
        "SELECT e.id FROM effect e JOIN realm r ON r.id = e.realm_id WHERE e.operation_id = %s"
        " ORDER BY r.title = 'Second', e.id"
    )
    return [effect for (effect,) in still.rows(ordered, operation)]


def states_of(still: Still, operation: int) -> list[str]:
    """The states of its effects, that in the second realm last."""
    one = "SELECT state FROM effect WHERE id = %s"
    return [still.value(one, effect) for effect in effects_of(still, operation)]


def move(still: Still, effect: int, *states: str) -> None:
    """Move an effect through these states."""
    with still.database() as at:
        for state in states:
            also = _ALSO.get(state, _CLEAR)
            at.execute(f"UPDATE effect SET state = %s {also} WHERE id = %s", [state, effect])


def come_to(still: Still, operation: int, *ends: str) -> list[int]:
    """Its effects, in order, come to these ends, each as a worker would bring it there; then itself.

    `changed`, `so_already` and `not_known` are effects that succeeded, and what was found.
    """
    effects = effects_of(still, operation)
    with still.database() as at:
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", [operation])
    for effect, end in zip(effects, ends, strict=True):
        match end:
            case "parked":
                move(still, effect, "executing", "in_doubt", "parked")
            case "cancelled":
                move(still, effect, end)
            case "failed" | "in_doubt":
                move(still, effect, "executing", end)
            case found:
                move(still, effect, "executing", "succeeded")
                still.rows("UPDATE effect SET found = %s WHERE id = %s RETURNING 1", found, effect)
    if "in_doubt" not in ends:
        with still.database() as at:
            at.execute("UPDATE operation SET state = %s WHERE id = %s", [rolled(ends), operation])
    return effects


def rolled(ends: tuple[str, ...]) -> str:
    if "parked" in ends:
        return "parked"
    failed = ends.count("failed") + ends.count("cancelled")
    return "failed" if failed == len(ends) else "partial" if failed else "succeeded"


def ban_that(still: Still, name: str, *ends: str, by: str = "ana") -> tuple[int, list[int]]:
    """A ban whose effects came to these ends: its id, and theirs."""
    told = still.submit(ban(name), by)
    assert told.disposition == "created", told
    operation = int(told.operation["id"])
    return operation, come_to(still, operation, *ends)


def ref(still: Still, operation: int) -> str:
    return str(still.value("SELECT ref FROM operation WHERE id = %s", operation))


def new_key() -> str:
    return uuid.uuid4().hex


def finished(still: Still, operation: int, by: str = "ana", key: str = "") -> Answer:
    with still.acting("web"):
        return finish.finish(still.who(by), ref(still, operation), key or new_key(), "api")


def cancelled(still: Still, operation: int, by: str = "ana", key: str = "") -> Answer:
    with still.acting("web"):
        return withdraw.cancel(still.who(by), ref(still, operation), key or new_key(), "api")


def decided(
    still: Still,
    operation: int,
    effect: int,
    to: str,
    by: str = "ana",
    key: str = "",
    why: str = "I looked",
) -> Answer:
    with still.acting("web"):
        named = ref(still, operation)
        return deciding.decide(still.who(by), named, effect, to, why, key or new_key(), "api")


def undone(
    still: Still, operation: int, by: str = "ana", key: str = "", not_known: str = ""
) -> Answer:
    with still.acting("web"):
        (told,) = history.facts_of([operation])
        ask = undo.ask_of(told, "a test undoes", key or new_key(), "api", not_known=not_known)
        return issue.submit(still.who(by), ask)


def in_force(still: Still, operation: int) -> str:
    with still.acting("web"):
        (told,) = history.facts_of([operation])
        return history.now_of(told).in_force


def events(still: Still, operation: int, kind: str) -> list[dict[str, object]]:
    """The bodies of the log's events of one kind, in order."""
    rows = still.rows(
        "SELECT convert_from(body, 'UTF8')::jsonb -> 'body' FROM log_event"
        " WHERE operation_id = %s AND kind = %s ORDER BY number",
        operation,
        kind,
    )
    return [body for (body,) in rows]
