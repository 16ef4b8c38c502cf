"""What asks twice waits for a second person, or for somebody who goes alone (contract §13)."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from actions import ends, finish, issue
from actions.answer import Answer
from actions.ask import Ask
from tests.contracts.approving import alone, decide, facts, people, rule, without_rules
from tests.contracts.inside import Still, age, ban, lift, refused
from tests.contracts.limits import protected, seated
from tests.contracts.test_limits import address_of, by_hand, kept, told
from tests.contracts.verbs import ban_that


@pytest.fixture(autouse=True)
def second_person(still: Still) -> Iterator[str]:
    """One of approvers is named for what is protected, whatever other tests left; the rule's id."""
    people(still)
    with rule(still, "", protected=True) as ours:
        yield ours


@pytest.fixture
def twice(still: Still, name: str) -> Iterator[str]:
    """A network that Raj, who is signed in, works from: it asks twice."""
    with seated(still, "raj", address_of(name)):
        yield name


def sure(name: str, **more: object) -> Ask:
    """A ban whose subject was typed to confirm it."""
    return replace(ban(name, **more), confirm=address_of(name))


def asked(still: Still, name: str, by: str = "ana") -> int:
    answer = told(still, sure(name), by)
    assert (answer.disposition, answer.changed) == ("created", True), answer
    return int(answer.operation["id"])


def nobody_named(still: Still) -> contextlib.AbstractContextManager[None]:
    """No rule names a second person for what is protected, meanwhile."""
    return without_rules(still, "protected")


def approved(still: Still, operation: int, by: str = "li") -> Answer:
    answer = decide(still, operation, by)
    assert answer.disposition == "approved", answer
    return answer


def test_every_console_begins_with_somebody_to_agree(still: Still, second_person: str) -> None:
    named = (
        "SELECT g.name, r.count FROM approval_rule r JOIN auth_group g ON g.id = r.group_id"
        " WHERE r.protected AND r.enabled AND r.id <> %s"
    )
    assert still.rows(named, second_person) == [("approvers", 1)]


def test_a_responders_address_waits_for_a_second_person_and_then_runs(
    still: Still, twice: str
) -> None:
    unsure = told(still, ban(twice))
    assert (unsure.status, unsure.code) == (403, "type_to_confirm")
    assert f"type {address_of(twice)} " in unsure.message
    operation = asked(still, twice)
    assert (still.state(operation), still.effects(operation)) == ("awaiting_approval", ["held"])
    still.deliver(operation)
    assert not still.listed(twice)
    approved(still, operation)
    still.deliver(operation)
    assert (still.state(operation), still.listed(twice)) == ("succeeded", True)
    assert told(still, lift(twice, seen=1)).operation["state"] == "approved", "nobody for a lift"


def test_another_rule_that_applies_is_enough(still: Still, twice: str) -> None:
    with rule(still, group="admins"):
        operation = asked(still, twice)
    assert [need["group"] for need in facts(still, operation)["approvals"]] == ["admins"]


def test_without_anybody_to_agree_nothing_is_asked_for(still: Still, twice: str) -> None:
    with nobody_named(still):
        answer = told(still, sure(twice))
        assert (answer.status, answer.code) == (403, "protected_ask_twice")
        assert "manage.py approval_rule add --protected" in answer.message
        assert by_hand(still, twice) == ("SH005", "effect_asks_twice")
    assert told(still, sure(twice)).operation["state"] == "awaiting_approval"


def test_who_goes_alone_needs_nobody_but_types_it(still: Still, twice: str) -> None:
    with nobody_named(still), alone(still):
        assert told(still, ban(twice), "gil").code == "type_to_confirm"
        operation = asked(still, twice, "gil")
        still.deliver(operation)
    assert still.listed(twice)


def test_what_an_admin_closed_lets_nothing_run_that_asks_twice(still: Still, twice: str) -> None:
    with nobody_named(still), alone(still) as opened:
        operation = asked(still, twice, "gil")
        ada = still.caller("ada")
        assert still.value("SELECT close_break_glass(%s, %s)", opened, ada) == "closed"
        still.deliver(operation)
    assert (still.state(operation), still.listed(twice)) == ("failed", False)


@pytest.mark.parametrize("level", ["never", "ask_twice"])
def test_what_is_protected_meanwhile_does_not_run(still: Still, name: str, level: str) -> None:
    operation, _ = still.issued(ban(name))
    with protected(still, name, level):
        still.deliver(operation)
        assert (still.state(operation), still.listed(name)) == ("failed", False)
        ref = still.value("SELECT ref FROM operation WHERE id = %s", operation)
        with still.acting("web"):
            no = finish.finish(still.who(), ref, uuid.uuid4().hex, "api")
        # What was never agreed to is asked for anew, under what is asked for now.
        assert no.code == ("protected" if level == "never" else "needs_approval")


def test_what_is_never_acted_on_by_now_does_not_run_though_it_is_approved(
    still: Still, twice: str
) -> None:
    operation = asked(still, twice)
    with protected(still, twice):
        approved(still, operation)
        still.deliver(operation)
        assert (still.state(operation), still.listed(twice)) == ("failed", False)


def test_what_failed_and_asks_twice_by_now_goes_on_only_if_somebody_agrees(
    still: Still, name: str
) -> None:
    operation, _ = ban_that(still, name, "failed")
    with protected(still, name, "ask_twice"):
        with nobody_named(still):
            assert facts(still, operation)["may_go_on"] is False
            assert told(still, sure(name)).code == "protected_ask_twice"
        again = told(still, sure(name))
        assert (again.disposition, again.operation["state"]) == ("created", "awaiting_approval")


def test_what_begins_to_ask_twice_between_the_look_and_the_write_waits(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as held:

        def meanwhile(at: str) -> None:
            if at == "issue.decided" and not still.rows(_SEATS, address_of(name)):
                held.enter_context(seated(still, "raj", address_of(name)))

        monkeypatch.setattr(issue, "point", meanwhile)
        assert told(still, sure(name)).operation["state"] == "awaiting_approval"


_SEATS = "SELECT FROM seat WHERE address = %s::inet"


def test_plain_sql_lets_nothing_run_that_asks_twice(still: Still, twice: str) -> None:
    operation = asked(still, twice)
    assert by_hand(still, twice) == ("SH005", "effect_asks_twice")
    with still.database() as at:
        free = "UPDATE effect SET state = 'ready' WHERE operation_id = %s"
        assert refused(at, free, operation) == ("SH003", "effect_held_until_approved")
        go = "UPDATE operation SET state = 'approved', approved_at = now() WHERE id = %s"
        assert refused(at, go, operation) == ("SH003", "operation_approved_by_enough")


# A ban of one's own address, which somebody else works from, too.
def own(still: Still, name: str) -> int:
    answer = told(still, sure(name, length="15m"), address=address_of(name))
    assert answer.operation["state"] == "awaiting_approval", answer
    assert (answer.operation["keep_for"], answer.operation["keep_by"]) == (300, None)
    return int(answer.operation["id"])


def moment(still: Still, operation: int, column: str) -> datetime:
    at = still.value(f"SELECT {column} FROM operation WHERE id = %s", operation)
    assert isinstance(at, datetime), column
    return at


def test_the_time_to_keep_it_counts_from_the_approval(still: Still, twice: str) -> None:
    operation = own(still, twice)
    assert facts(still, operation)["keep_by"] is None
    early = kept(still, facts(still, operation)["ref"])
    assert (early.code, "after that" in early.message) == ("not_in_force", True)
    age(still, operation, "10 minutes")
    approved(still, operation)
    keep_by, approved_at = (moment(still, operation, c) for c in ("keep_by", "approved_at"))
    assert keep_by - approved_at == timedelta(minutes=5)
    still.deliver(operation)
    with still.acting("worker"):
        ends.end_due()
    assert still.listed(twice), "it has its whole time yet"


def test_nobody_sets_or_moves_the_time_to_keep_it(still: Still, twice: str) -> None:
    operation = own(still, twice)
    late = "keep_by = now() + interval '1 day'"
    with still.database() as at:
        for change in (late, f"{late}, state = 'approved'", "keep_for = NULL", "keep_for = 86400"):
            no = refused(at, f"UPDATE operation SET {change} WHERE id = %s", operation)
            assert (no[0], no[1].endswith("_never_changes")) == ("SH003", True), change
    approved(still, operation)
    with still.database() as at:
        no = refused(at, f"UPDATE operation SET {late} WHERE id = %s", operation)
        assert no == ("SH003", "operation_keep_by_never_changes")


def test_what_waits_and_may_end_any_moment_is_not_enough_for_anybody_else(
    still: Still, name: str
) -> None:
    with seated(still, "li", address_of(name)):
        mine = own(still, name)
        hers = told(still, sure(name, length="15m"), "raj")
        assert (hers.disposition, hers.operation["keep_for"]) == ("created", None)
    assert still.state(mine) == "superseded"
