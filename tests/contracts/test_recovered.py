"""After a failover that may have lost commits: nothing is sent that was not read, and it is told."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from actions import ends, incidents, outbox, reconcile, remains, settle
from actions.catalogue._base import Step
from actions.connectors._base import Redo
from actions.connectors.blocklist import Blocklist
from actions.keeper import Keeper
from actions.models import Attempt
from actions.outcomes import Refused, Seen, Unknown
from actions.timelines import confirmed
from console import embedded
from tests.contracts.approving import decide, people, rule
from tests.contracts.inside import Still, ban, refused, tampering
from tests.contracts.scripted import CAPABILITY, YES, World, world
from tests.contracts.verbs import cancelled, decided, in_force

TWO = (Step("one", CAPABILITY, {"set": True}), Step("two", CAPABILITY, {"set": True}, ord=2))
SAID = ("--yes", "--by", "ana", "--reason", "the standby's own log says so")


ANOTHER = (
    "UPDATE timeline SET number = 1000 + id WHERE number = (SELECT number FROM timeline_now())"
)


@pytest.fixture(scope="module")
def alone() -> Iterator[Still]:
    """A database of its own: what may have been lost is looked for in all of it."""
    directory = Path(tempfile.mkdtemp(prefix="steadyhand-recovered-"))
    still = Still(directory / "home")
    still.close()  # a thread's connections are one for each role, whichever database they are to
    try:
        yield still
    finally:
        still.close()
        embedded.stop(directory / "home")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def _nothing_was_lost_before(alone: Still) -> None:
    alone.rows("UPDATE timeline SET since = NULL, until = NULL RETURNING id")


@pytest.fixture
def given(alone: Still) -> Iterator[World]:
    with world(alone, Redo.OBSERVED) as given:
        yield given
        fail_over(alone)
        recovered(alone, "--lag", "0s", *SAID)


def fail_over(still: Still) -> None:
    """The database is another from now on, as if a standby had been promoted; a keeper notices."""
    with still.database() as at:
        at.execute(ANOTHER)
    with still.acting("worker"):
        assert not confirmed()


def recovered(still: Still, *arguments: str, lease: float = 0.0) -> str:
    said = StringIO()
    with still.acting("owner"), override_settings(ROLE="owner", LEASE_SECONDS=lease):
        call_command("recovered", *arguments, stdout=said)
    return said.getvalue()


def go_on(given: World, effect: int) -> None:
    """A keeper takes it up, and looks at once where it would have to wait for the settle time."""
    given.due_now(effect)
    given.deliver(effect)
    if given.of(effect) == "in_doubt":
        given.set(effect, "doubt_until = now()")
        given.reconcile()


def events(still: Still, kind: str) -> list[dict[str, object]]:
    rows = still.rows(
        "SELECT convert_from(body, 'UTF8') FROM log_event WHERE kind = %s ORDER BY id", kind
    )
    return [json.loads(row)["body"] for (row,) in rows]


def test_nothing_is_taken_up_after_a_failover_until_somebody_says_how_much_was_lost(
    given: World, name: str
) -> None:
    _, effect = given.one(name)
    fail_over(given.still)
    assert not given.deliver(effect)
    assert (given.of(effect), given.system.calls) == ("ready", [])
    with given.still.database("worker") as at:
        insert = (
            "INSERT INTO attempt (id, effect_id, number, fence, worker, claimed_at, outcome, found,"
            " message, late) VALUES (gen_random_uuid(), %s, 9, 9, '', now(), '', '', '', false)"
        )
        assert refused(at, insert, effect) == ("23514", "attempt_not_before_recovery")
    recovered(given.still, "--lag", "0s", *SAID)
    assert given.deliver(effect)
    assert given.of(effect) == "succeeded"


def test_a_keeper_takes_nothing_back_and_settles_no_doubt_before_that(
    given: World, networks: Callable[[], str]
) -> None:
    """That a call began may be missing, and so may be that it was made again."""
    (_, held), (_, doubted) = given.one(networks()), given.one(networks())
    given.claim(held)
    given.settle(given.claim(doubted), Unknown("no answer"))
    fail_over(given.still)
    given.set(held, "lease_until = now() - interval '1 second'")
    given.set(doubted, "doubt_until = now() - interval '1 second'")
    with given.still.acting("worker"):
        Keeper().sweep()
    given.reconcile()
    assert (given.of(held), given.of(doubted)) == ("executing", "in_doubt")
    recovered(given.still, "--lag", "30s", *SAID)
    for effect in (held, doubted):
        given.set(effect, "doubt_until = now()")
    given.reconcile()


def test_what_may_have_been_sent_is_found_to_be_there_and_not_sent_again(
    given: World, name: str
) -> None:
    """The database knows it as due: that it was taken up and called is among what was lost."""
    operation, effect = given.one(name)
    fail_over(given.still)
    assert "1 ready, observed" in recovered(given.still, "--lag", "30s", *SAID)
    assert given.state(operation) == "running"
    go_on(given, effect)
    assert (given.of(effect), given.system.calls) == ("succeeded", [])
    assert given.state(operation) == "succeeded"
    assert len(given.system.reads) == 1
    tell = {"by": "ana", "state": "ready", "step": "one"}
    assert events(given.still, "effect.forgotten")[-1].items() >= tell.items()


def test_what_is_read_not_to_be_there_is_sent(given: World, name: str) -> None:
    given.system.looks[:] = [Seen.NO, Seen.YES]
    _, effect = given.one(name)
    fail_over(given.still)
    recovered(given.still, "--lag", "30s", *SAID)
    go_on(given, effect)
    assert given.of(effect) == "ready"
    go_on(given, effect)
    assert (given.of(effect), len(given.system.calls)) == ("succeeded", 1)


def test_what_was_taken_up_and_not_known_to_be_called_is_in_doubt(given: World, name: str) -> None:
    """That the call began is written down after the claim, and may be lost alone."""
    _, effect = given.one(name)
    given.claim(effect)
    fail_over(given.still)
    recovered(given.still, "--lag", "30s", *SAID)
    assert given.of(effect) == "in_doubt"
    given.set(effect, "doubt_until = now()")
    given.reconcile()
    assert (given.of(effect), given.system.calls) == ("succeeded", [])


def test_who_called_before_the_failover_still_tells_how_it_went(given: World, name: str) -> None:
    _, effect = given.one(name)
    attempt = given.claim(effect)
    fail_over(given.still)
    recovered(given.still, "--lag", "30s", *SAID)
    given.settle(attempt, YES)
    assert given.of(effect) == "succeeded"


def test_a_doubt_waits_until_nobody_who_called_before_can_call_any_more(
    given: World, name: str
) -> None:
    _, effect = given.one(name)
    given.claim(effect)
    fail_over(given.still)
    recovered(given.still, "--lag", "30s", *SAID, lease=600.0)
    assert given.of(effect, "doubt_until > now() + interval '500 seconds'")
    given.set(effect, "doubt_until = now()")
    given.reconcile()


def test_a_step_that_waited_is_read_before_it_is_sent_too(alone: Still, name: str) -> None:
    with world(alone, Redo.OBSERVED, shape=TWO) as given:
        operation = given.ask(name)
        first, second = given.effects(operation)
        fail_over(alone)
        assert "1 blocked, observed" in recovered(alone, "--lag", "30s", *SAID)
        assert given.of(second) == "blocked"
        go_on(given, first)
        assert given.states(operation) == ["succeeded", "ready"]
        go_on(given, second)
        assert (given.states(operation), given.system.calls) == (["succeeded"] * 2, [])


def test_what_failed_shortly_before_is_read_when_it_is_set_going_again(
    given: World, name: str
) -> None:
    operation, effect = given.one(name)
    given.settle(given.claim(effect), Refused("no"))
    fail_over(given.still)
    assert "1 failed, observed" in recovered(given.still, "--lag", "30s", *SAID)
    assert given.of(effect) == "failed"
    again = given.ask(name)
    assert again == operation
    go_on(given, effect)
    assert (given.of(effect), given.system.calls) == ("succeeded", [])


def test_what_can_neither_be_read_nor_sent_twice_is_put_to_a_person(
    alone: Still, name: str
) -> None:
    with world(alone, Redo.NEVER) as given:
        operation, effect = given.one(name)
        ref = alone.value("SELECT ref FROM operation WHERE id = %s", operation)
        fail_over(alone)
        assert f"{ref}: it cannot be read" in recovered(alone, "--lag", "30s", *SAID)
        go_on(given, effect)
        assert (given.of(effect), given.state(operation)) == ("parked", "parked")


def waiting(given: World, name: str, **more: Any) -> tuple[int, int]:
    """What waits for approval here, and was approved and sent in what a failover lost."""
    operation, effect = given.one(name)
    assert (given.state(operation), given.of(effect)) == ("awaiting_approval", "held")
    fail_over(given.still)
    assert "1 held, observed" in recovered(given.still, "--lag", "30s", *SAID, **more)
    assert in_force(given.still, operation) == "unknown"
    return operation, effect


def expire(still: Still, operation: int) -> None:
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET approve_by = now() WHERE id = %s", [operation])
    with still.acting("worker"):
        assert outbox.expire_unapproved()
    assert still.state(operation) == "expired"


def decline(still: Still, operation: int) -> None:
    told = decide(still, operation, "bo", "decline")
    assert told.disposition == "declined"
    assert "may have been sent before the failover" in told.message


def withdraw(still: Still, operation: int) -> None:
    told = cancelled(still, operation)
    assert told.disposition == "cancelled"
    assert "may have been sent before the failover" in told.message
    assert "may have been sent before the failover" in cancelled(still, operation).message


@pytest.mark.parametrize("over", [expire, decline, withdraw])
@pytest.mark.parametrize(
    ("looks", "is_so"), [(Seen.YES, "yes"), (Seen.NO, "no")], ids=["yes", "no"]
)
def test_what_waited_for_approval_and_is_never_let_go_is_read_and_not_sent(
    given: World, name: str, over: Callable[[Still, int], None], looks: Seen, is_so: str
) -> None:
    people(given.still)
    given.system.looks[:] = [looks]
    with rule(given.still, "test-work"):
        operation, effect = waiting(given, name)
        over(given.still, operation)
    assert (given.of(effect), in_force(given.still, operation)) == ("in_doubt", "unknown")
    given.set(effect, "doubt_until = now()")
    given.reconcile()
    state = "succeeded" if is_so == "yes" else "failed"
    assert (given.of(effect), in_force(given.still, operation)) == (state, is_so)
    assert (given.system.calls, len(given.system.reads)) == ([], 1)


def test_nobody_reads_it_before_those_who_may_have_called_it_are_through(
    given: World, name: str
) -> None:
    people(given.still)
    with rule(given.still, "test-work"):
        operation, effect = waiting(given, name, lease=600.0)
        expire(given.still, operation)
    assert given.of(effect, "doubt_until > now() + interval '500 seconds'")
    given.set(effect, "doubt_until = now()")
    given.reconcile()


def test_of_steps_that_waited_one_is_read_and_a_person_looks_at_the_rest(
    alone: Still, name: str
) -> None:
    people(alone)
    with world(alone, Redo.OBSERVED, shape=TWO) as given, rule(alone, "test-work"):
        operation = given.ask(name)
        fail_over(alone)
        assert "2 held, observed" in recovered(alone, "--lag", "30s", *SAID)
        expire(alone, operation)
        assert given.states(operation) == ["in_doubt", "parked"]
        first, second = given.effects(operation)
        given.set(first, "doubt_until = now()")
        given.reconcile()
        # Its operation is over: a person says what is so, and nothing is sent again.
        assert decided(alone, operation, second, "ready").code == "conflict"
        assert decided(alone, operation, second, "succeeded").disposition == "decided"
        assert (given.states(operation), given.system.calls) == (["succeeded"] * 2, [])


def test_a_step_behind_one_that_failed_is_read_and_not_sent(alone: Still, name: str) -> None:
    with world(alone, Redo.OBSERVED, shape=TWO) as given:
        operation = given.ask(name)
        first, second = given.effects(operation)
        fail_over(alone)
        recovered(alone, "--lag", "30s", *SAID)
        given.system.looks[:] = [Seen.NO]
        go_on(given, first)
        given.system.says += [Refused("no")]
        go_on(given, first)
        assert given.states(operation) == ["failed", "in_doubt"]
        given.set(second, "doubt_until = now()")
        given.reconcile()
        assert given.states(operation) == ["failed", "failed"]
        assert (given.state(operation), len(given.system.calls)) == ("failed", 1)
        # Asked for again, both are sent in their order.
        given.system.looks[:] = [Seen.YES]
        assert given.ask(name) == operation
        for effect in (first, second):
            go_on(given, effect)
        assert given.states(operation) == ["succeeded", "succeeded"]


def test_a_ban_that_expired_and_is_in_force_is_lifted_in_its_time_and_shown_until_then(
    alone: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(alone)
    monkeypatch.setattr(Blocklist, "observe", lambda *_: Seen.YES)
    with alone.acting("web"):
        incident, _ = incidents.open_incident(alone.caller(), "a flood", uuid.uuid4().hex)
    with rule(alone, "ban-network"):
        operation, effect = alone.issued(ban(name, incident=incident.number))
        fail_over(alone)
        recovered(alone, "--lag", "30s", *SAID)
        alone.rows(
            "INSERT INTO blocklist_entry (list, network, blocked, generation, set_by, changed_at)"
            " SELECT settings ->> 'list', %s::cidr, true, 1, 'in what was lost', now()"
            "   FROM realm_version v JOIN effect e ON e.realm_id = v.realm_id WHERE e.id = %s"
            " RETURNING 1",
            name,
            effect,
        )
        expire(alone, operation)
        alone.rows("UPDATE effect SET doubt_until = now() WHERE id = %s RETURNING 1", effect)
        with alone.acting("worker"):
            reconcile.reconcile_due()
    assert (alone.state(operation), alone.effects(operation)) == ("expired", ["succeeded"])
    with alone.acting("web"):
        groups = remains.left(incident.id, alone.caller()).groups
    assert [told["id"] for told in groups["in_force"]] == [operation]
    with tampering(alone, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [operation])
    with alone.acting("worker"):
        assert ends.end_due()
    lifts = alone.rows("SELECT id FROM operation WHERE because = 'end of @1'")
    assert len(lifts) == 1
    alone.deliver(lifts[0][0])
    assert not alone.listed(name)


def test_what_was_asked_for_afterwards_was_not_sent_before(alone: Still, name: str) -> None:
    """Not what is due, nor what waits for it."""
    with world(alone, Redo.NEVER, shape=TWO) as given:
        fail_over(alone)
        _, effect = given.one(name)
        assert "0 are read" in recovered(alone, "--lag", "30s", *SAID)
        go_on(given, effect)
        assert (given.of(effect), len(given.system.calls)) == ("succeeded", 1)


def test_what_was_lost_altogether_and_is_asked_for_again_is_read_first(
    given: World, name: str
) -> None:
    """Who asked is not known here any more, and its effect has the key of the one that was sent."""
    fail_over(given.still)
    recovered(given.still, "--lag", "30s", *SAID)
    operation, effect = given.one(name)
    go_on(given, effect)
    assert (given.state(operation), given.system.calls) == ("succeeded", [])


def test_said_twice_it_is_done_once_and_said_with_an_earlier_time_it_finds_the_rest(
    given: World, name: str
) -> None:
    _, effect = given.one(name)
    fail_over(given.still)
    said = recovered(given.still, "--lag", "30s", *SAID)
    assert "1 are read" in said and "Sending goes on." in said
    told = len(events(given.still, "database.recovered"))
    for lag in ("30s", "60s"):
        again = recovered(given.still, "--lag", lag, *SAID)
        assert "0 are read" in again and "Nothing was held." in again
    assert len(events(given.still, "database.recovered")) == told
    assert given.of(effect, "attempts") == 1


def test_without_yes_it_says_what_it_would_do_and_nothing_changes(given: World, name: str) -> None:
    _, effect = given.one(name)
    fail_over(given.still)
    said = recovered(given.still, "--lag", "30s")
    assert "1 would be read" in said and "Nothing was changed." in said
    assert given.of(effect, "attempts") == 0
    assert not given.deliver(effect)


def test_it_is_logged_who_said_how_much_was_lost_and_how_they_know(given: World) -> None:
    fail_over(given.still)
    recovered(given.still, "--lag", "30s", *SAID)
    told = events(given.still, "database.recovered")[-1]
    assert (told["by"], told["reason"]) == ("ana", SAID[-1])
    assert {"since", "until", "effects"} < set(told)
    assert events(given.still, "database.failed_over")[-1]["held"] is True


def test_where_every_commit_waits_for_the_standby_things_go_on_by_themselves(
    given: World, name: str
) -> None:
    with given.still.database() as at:
        at.execute(ANOTHER)
    with override_settings(FAILOVER_LOSES_NOTHING=True), given.still.acting("worker"):
        assert confirmed()
    assert events(given.still, "database.failed_over")[-1]["held"] is False
    _, effect = given.one(name)
    assert given.deliver(effect)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--lag", "soon", *SAID), "a number of s, m or h"),
        (("--lag", "-30s", *SAID), "expected one argument|a number of"),
        (("--lag", "90000000s", *SAID), "a day at most|a number of"),
        (("--since", "yesterday", *SAID), "a moment with its offset"),
        (("--since", "2026-11-24T14:00:00", *SAID), "a moment with its offset"),
        (("--since", "2999-01-01T00:00:00Z", *SAID), "yet to come"),
        (("--lag", "30s", "--since", "2026-11-24T14:00:00Z", *SAID), "not allowed with"),
        (SAID, "required"),
        (("--lag", "30s", "--yes", "--by", "nobody", "--reason", "so"), "--by"),
        (("--lag", "30s", "--yes", "--by", "runbook", "--reason", "so"), "--by"),
        (("--lag", "30s", "--yes", "--by", "ana", "--reason", "  "), "--reason"),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(
    given: World, arguments: tuple[str, ...], why: str
) -> None:
    fail_over(given.still)
    with pytest.raises(CommandError, match=why):
        recovered(given.still, *arguments)
    with given.still.acting("worker"):
        assert not confirmed()


def test_a_lag_is_counted_from_a_failover_and_refused_where_none_was_noticed(alone: Still) -> None:
    with alone.database() as at:
        at.execute("UPDATE timeline SET since = NULL, until = NULL, confirmed_at = now()")
    with pytest.raises(CommandError, match="No failover was noticed"):
        recovered(alone, "--lag", "30s", *SAID)
    assert "Nothing was held." in recovered(alone, "--since", "2026-01-01T00:00:00Z", *SAID)


def test_who_is_not_the_owner_may_not_say(given: World) -> None:
    with pytest.raises(CommandError, match="STEADYHAND_ROLE=owner"), given.still.acting("owner"):
        call_command("recovered", "--lag", "30s", stdout=StringIO())


def forgotten(attempt: Attempt) -> Attempt:
    """An attempt that held the effect under the same fence, in a life that the database forgot."""
    return Attempt(
        id=uuid.uuid4(), effect_id=attempt.effect_id, number=attempt.number, fence=attempt.fence
    )


def test_who_was_given_a_fence_that_the_database_forgot_settles_nothing(
    given: World, name: str
) -> None:
    _, effect = given.one(name)
    attempt = given.claim(effect)
    assert not given.settle(forgotten(attempt), Refused("no"))
    assert given.of(effect) == "executing"
    given.set(effect, "state = 'in_doubt', lease_until = NULL, doubt_until = now()")
    given.settle(forgotten(attempt), Refused("no"))
    assert given.of(effect) == "in_doubt"
    assert settle.FORGOTTEN not in given.still.rows("SELECT outcome FROM attempt")[0]


@pytest.mark.parametrize("redo", [Redo.OBSERVED, Redo.NATURAL])
def test_who_was_given_a_fence_that_the_database_forgot_does_not_call(
    alone: Still, name: str, redo: Redo
) -> None:
    with world(alone, redo) as given:
        _, effect = given.one(name)
        attempt = given.claim(effect)
        with alone.acting("worker"):
            assert outbox.intend(forgotten(attempt), attempt.effect, 1.0) is None
            assert outbox.intend(attempt, attempt.effect, 1.0) is not None
