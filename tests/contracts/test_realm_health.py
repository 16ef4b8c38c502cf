"""A system that does not answer is left alone, and tried by one at a time; others notice nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actions import bell, deliver, health, outbox, reader
from actions.connectors._base import Redo, Unreadable
from actions.hands import Hands
from actions.outcomes import Outcome, Refused, RetryLater, Seen, Unknown
from tests.contracts.inside import Still, without_groups
from tests.contracts.scripted import YES, World, world
from tests.contracts.test_account_pages import Person, text

Names = Callable[[], str]
BUSY = RetryLater("busy")
LOST = Unknown("no answer")


@pytest.fixture
def given(still: Still) -> Iterator[World]:
    """A system that is left alone after three calls for nothing."""
    with world(still, Redo.NATURAL) as made:
        made.system.sick_after = 3
        yield made


def ready(given: World, networks: Names, count: int) -> list[int]:
    return [given.one(networks())[1] for _ in range(count)]


def realm(given: World, column: str) -> Any:
    found = given.still.rows(
        f"SELECT {column} FROM realm_health WHERE realm_id = %s", given.realms[0]
    )
    return found[0][0] if found else None


def paused(given: World) -> bool:
    return realm(given, "paused_at") is not None


def silence(given: World, networks: Names, *said: Outcome | Exception) -> None:
    """It lets three calls down, in an effect each."""
    given.system.says[:] = said or (BUSY, LOST, TimeoutError())
    for effect in ready(given, networks, len(given.system.says)):
        assert given.deliver(effect)
    assert paused(given)


def rested(given: World, seconds: float = 60) -> None:
    """It has been left alone for so long, and may be tried."""
    given.still.rows(
        "UPDATE realm_health SET paused_at = paused_at - make_interval(secs => %s), try_at = now(),"
        " probe_until = CASE WHEN probe IS NOT NULL THEN now() + interval '1 minute' END"
        " WHERE realm_id = %s RETURNING 1",
        seconds,
        given.realms[0],
    )


def due(given: World) -> list[outbox.Ring]:
    with given.still.acting("worker"):
        return [ring for ring in outbox.due(100) if str(ring.realm) == given.realms[0]]


def events(given: World) -> list[str]:
    return [
        kind
        for (kind,) in given.still.rows(
            "SELECT e.kind FROM log_event e JOIN realm m ON m.id = %s WHERE e.kind LIKE 'realm.%%'"
            " AND convert_from(e.body, 'UTF8')::jsonb -> 'body' ->> 'realm' = m.name ORDER BY e.id",
            given.realms[0],
        )
    ]


def together(given: World, effects: list[int], do: Callable[[int], Any]) -> list[Any]:
    """Do it for each effect, each in a process's session of its own, at the same time."""
    begun = [given.still.meanwhile("worker", lambda e=effect: do(e)) for effect in effects]
    return [one.result() for one in begun]


def test_after_three_calls_for_nothing_nobody_calls_and_nothing_is_spent(
    given: World, networks: Names
) -> None:
    waiting = ready(given, networks, 2)
    silence(given, networks)
    assert [given.deliver(effect) for effect in waiting] == [False, False]
    assert len(given.system.calls) == 3 and due(given) == []
    assert [(given.of(e), given.of(e, "attempts")) for e in waiting] == [("ready", 0)] * 2
    assert events(given) == ["realm.paused"]


def test_any_answer_is_a_sign_of_health_also_a_no(given: World, networks: Names) -> None:
    given.system.says[:] = [BUSY, LOST, Refused("no"), BUSY, LOST]
    for effect in ready(given, networks, 5):
        given.deliver(effect)
    assert not paused(given) and realm(given, "failures") == 2


def test_what_never_reached_the_system_says_nothing_of_it(
    given: World, networks: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(effect: object) -> None:
        raise RuntimeError("no key")

    with monkeypatch.context() as patched:
        patched.setattr(deliver, "_ready", broken)
        for effect in ready(given, networks, 4):
            given.deliver(effect)
    assert not paused(given)


def test_another_realm_notices_nothing(still: Still, networks: Names) -> None:
    with world(still, Redo.NATURAL) as sick, world(still, Redo.NATURAL) as well:
        effects = ready(well, networks, 2)
        with_two = dict(zip(("a", "b"), effects, strict=True))
        assert well.deliver(with_two["a"])
        still.rows(_SILENT, sick.realms[0])
        assert well.deliver(with_two["b"]) and well.of(with_two["b"]) == "succeeded"


_SILENT = (
    "INSERT INTO realm_health (realm_id, failures, paused_at, try_at, rest, rested, message)"
    " VALUES (%s, 9, now(), now() + interval '1 hour', 60, 0, 'silent') RETURNING 1"
)


def test_once_its_rest_is_over_one_tries_and_its_success_sets_all_going(
    given: World, networks: Names
) -> None:
    waiting = ready(given, networks, 4)
    silence(given, networks)
    rested(given)
    assert len(due(given)) == 1, "it is rung for once"

    def claim(effect: int) -> object:
        return outbox.claim(effect, "test")

    claimed = [a for a in together(given, waiting, claim) if a is not None]
    assert len(claimed) == 1 and due(given) == []
    left = [effect for effect in waiting if effect != claimed[0].effect_id]
    assert [given.of(effect, "attempts") for effect in left] == [0, 0, 0]
    with given.still.acting("worker"):
        health.heard(given.system, claimed[0].effect.realm_id, claimed[0].id, YES, asked=True)
    assert not paused(given) and events(given) == ["realm.paused", "realm.resumed"]
    assert all(given.deliver(effect) for effect in left)
    assert realm(given, "rested > 55")


def test_each_try_for_nothing_doubles_the_rest_and_a_system_that_asks_for_more_gets_it(
    given: World, networks: Names
) -> None:
    silence(given, networks)
    rests = []
    for said in (BUSY, LOST, RetryLater("come later", after=100.0)):
        rested(given)
        given.system.says[:] = [said]
        assert given.deliver(given.one(networks())[1])
        rests.append(round(realm(given, "extract(epoch FROM try_at - now())::float")))
    assert rests == [4, 8, 100]
    given.still.rows(
        "UPDATE realm_health SET rest = 60 WHERE realm_id = %s RETURNING 1", given.realms[0]
    )
    rested(given)
    given.system.says[:] = [BUSY]
    assert given.deliver(given.one(networks())[1])
    assert round(realm(given, "extract(epoch FROM try_at - now())::float")) == 60


def test_a_system_that_says_when_to_come_again_is_not_asked_before_by_anybody(
    given: World, networks: Names
) -> None:
    waiting = ready(given, networks, 1)
    silence(given, networks, RetryLater("not now", after=30.0))
    assert round(realm(given, "extract(epoch FROM try_at - now())::float")) == 30
    assert not given.deliver(waiting[0])


def test_who_tries_and_never_comes_back_does_not_keep_the_next_from_trying(
    given: World, networks: Names
) -> None:
    waiting = ready(given, networks, 2)
    silence(given, networks)
    rested(given)
    lost = given.claim(waiting[0])
    assert not given.deliver(waiting[1])
    over = "UPDATE realm_health SET probe_until = now() WHERE realm_id = %s RETURNING 1"
    given.still.rows(over, given.realms[0])
    assert given.deliver(waiting[1]) and not paused(given)
    with given.still.acting("worker"):
        health.heard(given.system, lost.effect.realm_id, lost.id, LOST, asked=True)
    assert not paused(given)


def test_who_tries_without_asking_lets_the_next_try_at_once(
    given: World, networks: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = ready(given, networks, 2)
    silence(given, networks)
    rested(given)
    with monkeypatch.context() as patched:
        patched.setattr(deliver, "objection", lambda effect: "It is no longer the plan.")
        assert given.deliver(waiting[0])
    assert paused(given) and given.deliver(waiting[1]) and not paused(given)


def test_an_answer_to_a_call_from_before_neither_ends_nor_lengthens_its_rest(
    given: World, networks: Names
) -> None:
    early = given.claim(ready(given, networks, 1)[0])
    silence(given, networks)
    before = realm(given, "try_at")
    for said in (LOST, YES):
        with given.still.acting("worker"):
            health.heard(given.system, early.effect.realm_id, early.id, said, asked=True)
    assert paused(given) and realm(given, "try_at") == before


def test_the_time_for_which_its_realm_was_left_alone_is_not_spent_on_an_effect(
    given: World, networks: Names
) -> None:
    given.system.says[:] = [BUSY]
    _, effect = given.one(networks())
    given.deliver(effect)
    silence(given, networks, BUSY, LOST)
    rested(given, 20 * 60)
    given.set(effect, "going_since = going_since - interval '21 minutes', run_at = now()")
    given.system.says[:] = [BUSY]
    assert given.deliver(effect)
    assert given.of(effect) == "ready", "a try of its own is left, and 14 minutes"
    rested(given, 0)
    assert given.deliver(given.one(networks())[1]) and not paused(given)
    given.set(effect, "going_since = going_since - interval '15 minutes', run_at = now()")
    given.system.says[:] = [BUSY]
    assert given.deliver(effect) and given.of(effect) == "failed", "but its own time is"


# As many at the same time as it bears, and no more.
def test_no_more_are_under_way_in_a_realm_than_it_bears_and_the_others_spend_nothing(
    given: World, networks: Names
) -> None:
    given.system.at_once = 2
    waiting = ready(given, networks, 6)

    def claim(effect: int) -> object:
        return outbox.claim(effect, "test")

    claimed = [a for a in together(given, waiting, claim) if a is not None]
    states = sorted((given.of(e), given.of(e, "attempts")) for e in waiting)
    assert states == [("executing", 1)] * len(claimed) + [("ready", 0)] * (6 - len(claimed))
    assert 1 <= len(claimed) <= 2, "two at most; of two who want one place, one may give up"
    left = [effect for effect in waiting if given.of(effect) == "ready"]
    for effect in left:
        with given.still.acting("worker"):
            outbox.claim(effect, "test")
    under_way = [effect for effect in waiting if given.of(effect) == "executing"]
    assert len(under_way) == 2
    rings = due(given)
    assert rings and all(ring.full for ring in rings)
    assert bell.Rung().new(rings, 0.0) == [], "nobody is rung for what finds no place"
    for effect in under_way:
        given.set(effect, "state = 'succeeded', lease_until = NULL")
    assert [ring.full for ring in due(given)] == [False] * 4
    assert sum(given.deliver(effect) for effect in left) == 4


def test_two_who_want_the_same_place_do_not_both_get_it(given: World, networks: Names) -> None:
    given.system.at_once = 1
    first, second = ready(given, networks, 2)
    with given.still.database() as at, at.transaction(force_rollback=True):
        at.execute(
            "UPDATE effect SET state = 'executing', place = 1, lease_until = now() WHERE id = %s",
            [first],
        )
        other = given.still.meanwhile("worker", lambda: outbox.claim(second, "test"))
        assert other.until_it_waits(), "the database decides, once the first is through"
        at.execute("UPDATE effect SET state = 'ready', lease_until = NULL WHERE id = %s", [first])
    assert other.result() is not None


def test_hands_leave_what_is_full(given: World) -> None:
    one = outbox.Ring(1, None, 0, True, uuid.UUID(given.realms[0]), full=True)  # type: ignore[arg-type]
    hands = Hands(1, "test")
    from actions.keeper import Keeper

    keeper = Keeper()
    with given.still.acting("worker"):
        assert one.id not in {ring.id for ring in keeper._ours()}
    hands.close(1)


# Looks.
def test_doubts_in_a_realm_that_is_left_alone_are_looked_at_by_one_look_a_rest(
    still: Still, networks: Names
) -> None:
    with world(still, Redo.OBSERVED) as given:
        given.system.sick_after = 3
        given.system.looks[:] = [Seen.UNREADABLE]
        given.system.says[:] = [LOST] * 9
        effects = ready(given, networks, 9)
        claimed = [given.claim(effect) for effect in effects[3:8]]
        for effect in effects[:3]:
            given.deliver(effect)
        for attempt in claimed:
            given.settle(attempt, LOST)
        assert paused(given)

        def look() -> int:
            for effect in effects[:8]:
                given.set(effect, "doubt_until = now()")
            given.reconcile()
            return len(given.system.reads)

        assert [look(), look()] == [1, 1], "eight doubts, two passes, one look"
        over = "UPDATE realm_health SET unread_until = now() WHERE realm_id = %s RETURNING 1"
        still.rows(over, given.realms[0])
        assert look() == 2
        given.system.looks[:] = [Seen.YES]
        still.rows(over, given.realms[0])
        assert look() == 10, "once it can be read, all are"
        assert [given.of(effect) for effect in effects[:8]] == ["succeeded"] * 8


def test_pages_that_ask_for_looks_at_a_silent_system_get_one_a_rest(
    given: World, networks: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def silent(self: object, capability: str, kind: str, subject: str) -> None:
        asked.append(subject)
        raise Unreadable("silent")

    monkeypatch.setattr(given.system, "read", silent)
    silence(given, networks)
    row = (
        "INSERT INTO reading (realm_id, kind, name, capability, asked_at, message)"
        " SELECT %s, 'network', %s || n, 'test.set', now(), '' FROM generate_series(1, 5) n RETURNING id"
    )
    given.still.rows(row, given.realms[0], f"{networks()} ")
    with given.still.acting("worker"):
        reader.read_realm(given.realms[0])
    assert len(asked) == 1
    messages = given.still.rows("SELECT message FROM reading WHERE realm_id = %s", given.realms[0])
    assert sum("looked at again at" in message for (message,) in messages) == 4


# What people see.
def test_the_board_and_the_operation_say_that_its_system_does_not_answer(
    given: World, networks: Names
) -> None:
    ana = Person(given.still, "ana")
    operation, _ = given.one(networks())
    ref = given.still.value("SELECT ref FROM operation WHERE id = %s", operation)
    assert "does not answer" not in text(ana.get(f"/operations/{ref}"))
    assert "None left alone" in text(ana.get("/"))
    silence(given, networks)
    assert "Its system does not answer: tried again at" in text(ana.get(f"/operations/{ref}"))
    assert "Scripted does not answer since" in text(ana.get("/"))
    with without_groups(given.still, "ana"):
        assert "does not answer" not in text(ana.get("/")), "who may not see it is not told"
