"""Asking: each constraint, check and lock on a request's way, told apart from those that hide it.

Two sessions meet on schedules, never by chance: one holds its transaction open, the other waits
for a lock (`pg_stat_activity` says so) or is through, then the first commits.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import psycopg
import pytest
from django.db import OperationalError, transaction

from actions import issue, prepare, settle
from actions.ask import Ask, Decision
from actions.compare import decide
from actions.errors import Unauthenticated
from actions.incidents import open_incident
from actions.issue import Answer, Who
from actions.models import Draft
from actions.outcomes import Applied, Found
from tests.contracts.inside import Still, ask, ban, lift, new_key, without_groups

Names = Callable[[], str]


def generations(still: Still, name: str) -> list[int]:
    rows = still.rows(
        "SELECT o.generation FROM operation o JOIN subject s ON s.id = o.subject_id"
        " WHERE s.name = %s ORDER BY o.generation",
        name,
    )
    return [generation for (generation,) in rows]


# Two at once.
def test_one_key_sent_for_two_subjects_at_once_stands_for_one(
    still: Still, networks: Names
) -> None:
    key, who = new_key(), still.who()
    one, other = ban(networks(), key=key), ban(networks(), key=key)
    with still.acting("web"), transaction.atomic():
        first = issue.submit(who, one)
        second = still.meanwhile("web", lambda: issue.submit(who, other))
        second.until_it_waits()
    assert first.disposition == "created"
    assert second.result().disposition == "key_reused"
    assert still.value("SELECT count(*) FROM request WHERE key = %s", key) == 1
    assert generations(still, other.subject.name) == []


def test_a_generation_is_given_once_even_when_the_first_to_take_it_is_over(
    still: Still, name: str
) -> None:
    # The lane is free again at once, so that the index on live operations lets the second in.
    who = still.who()
    with still.acting("owner") as at, transaction.atomic():
        first = issue.submit(who, ban(name))
        second = still.meanwhile("web", lambda: issue.submit(who, ban(name)))
        second.until_it_waits()
        with at.cursor() as cursor:
            cursor.execute(
                "UPDATE operation SET state = 'cancelled' WHERE id = %s", [first.operation["id"]]
            )
    assert second.result().disposition == "created"
    assert generations(still, name) == [1, 2]


def test_a_subject_is_made_once(still: Still, name: str) -> None:
    who = still.who()
    with still.acting("web"), transaction.atomic():
        issue.submit(who, ban(name))
        second = still.meanwhile("web", lambda: issue.submit(still.who("raj"), ban(name)))
        second.until_it_waits()
    assert second.result().disposition == "existing"
    assert still.value("SELECT count(*) FROM subject WHERE name = %s", name) == 1
    assert generations(still, name) == [1]


def test_whoever_waits_for_the_lane_decides_on_what_it_came_to(still: Still, name: str) -> None:
    # Looked at while it ran, a lift would conflict; by the time of writing, the ban has settled.
    operation, effect = still.issued(ban(name))
    with still.acting("worker"):
        attempt = outbox_claim(effect)
    with still.acting("worker"), transaction.atomic():
        settle.settle(attempt, Applied(Found.CHANGED), verified=True, settle_seconds=0)
        second = still.meanwhile("web", lambda: issue.submit(still.who("raj"), lift(name)))
        second.until_it_waits()
    assert second.result().disposition == "created"
    assert still.value("SELECT arrival_count FROM operation WHERE id = %s", operation) == 1


def outbox_claim(effect: int):  # type: ignore[no-untyped-def]
    from actions import outbox

    attempt = outbox.claim(effect, "test")
    assert attempt is not None
    return attempt


def test_two_who_order_it_again_from_one_generation_meet(still: Still, name: str) -> None:
    still.made(ban(name))
    again = {"seen": 1, "again": True, "reason": "the list was wiped"}
    with still.acting("web"), transaction.atomic():
        first = issue.submit(still.who(), ban(name, **again))
        second = still.meanwhile("web", lambda: issue.submit(still.who("raj"), ban(name, **again)))
        second.until_it_waits()
    told = second.result()
    assert (first.disposition, told.disposition) == ("created", "existing")
    assert told.operation["ref"] == first.operation["ref"]
    assert generations(still, name) == [1, 2]


def test_an_incident_is_opened_once_per_key(still: Still) -> None:
    key, ana = new_key(), still.caller()
    with still.acting("web"), transaction.atomic():
        first, made = open_incident(ana, "a flood", key)
        second = still.meanwhile("web", lambda: open_incident(ana, "a flood", key))
        second.until_it_waits()
    incident, also_made = second.result()
    assert (made, also_made, incident.number) == (True, False, first.number)


# Decided, then moved: nothing is written.
def decided(still: Still, asked: Ask, by: str = "ana") -> tuple[Decision, Callable[[], object]]:
    """What is decided now, and the writing of it, to be done later; None when it had moved."""
    fingerprint = asked.fingerprint()
    with still.acting("web"):
        seen = issue._look(still.who(by), asked)
        decision = decide(asked, seen, fingerprint)

    def write() -> object:
        with still.acting("web"):
            return issue._write(asked, seen, decision, uuid.uuid4(), fingerprint)

    return decision, write


def test_a_decision_is_not_written_once_the_state_that_it_rests_on_has_moved(
    still: Still, name: str
) -> None:
    operation, _ = still.issued(ban(name))
    decision, write = decided(still, lift(name), "raj")
    assert decision.disposition == "conflict"
    still.deliver(operation)
    assert write() is None
    assert still.value("SELECT arrival_count FROM operation WHERE id = %s", operation) == 1


def test_a_decision_is_not_written_once_a_later_generation_is_there(
    still: Still, name: str
) -> None:
    # The ban's own row has not changed since: only that a lift came after it.
    operation = still.made(ban(name))
    decision, write = decided(still, ban(name), "raj")
    assert decision.disposition == "existing"
    still.made(lift(name))
    assert write() is None
    assert still.value("SELECT arrival_count FROM operation WHERE id = %s", operation) == 1


def test_a_decision_is_not_written_once_its_key_names_an_operation(still: Still, name: str) -> None:
    asked = ban(name)
    with without_groups(still, "ana"):
        assert still.submit(asked).disposition == "refused"
        decision, write = decided(still, asked)
        assert decision.disposition == "refused"
    assert still.submit(asked).disposition == "created"
    assert write() is None


# A later generation takes the lane.
def test_what_a_superseded_operation_had_not_sent_is_never_sent(still: Still, name: str) -> None:
    operation, _ = still.issued(ban(name))
    assert still.submit(lift(name, seen=1)).disposition == "created"
    assert (still.state(operation), still.effects(operation)) == ("superseded", ["cancelled"])


def test_a_later_operation_of_the_lane_waits_in_the_realm_that_is_still_busy(
    still: Still, name: str
) -> None:
    from actions import outbox

    _, busy = still.issued(ban(name))
    with still.acting("worker"):
        outbox_claim(busy)
    later, waiting = still.issued(lift(name, seen=1))
    with still.acting("worker"):
        assert outbox.claim(waiting, "test") is None
        assert waiting not in {one.id for one in outbox.due(1000)}
    assert still.effects(later) == ["ready"]


# Who asks.
def stored_token(still: Still, digest: bytes, begins: str, revoked: str | None) -> str:
    prefix = uuid.uuid4().hex[:12]
    with still.database() as at:
        at.execute(
            "INSERT INTO api_token (id, prefix, digest, name, caller_id, owner_id, scopes,"
            " created_at, expires_at, revoked_at) VALUES (gen_random_uuid(), %s, %s, 'test', %s, %s,"
            " '{ask:ban-network}', now() + %s, now() + %s + interval '1 hour', now() + %s)",
            [prefix, digest, still.caller("runbook"), still.caller(), begins, begins, revoked],
        )
    return prefix


@pytest.mark.parametrize(
    ("begins", "revoked", "shown", "known"),
    [
        ("-1 minute", None, b"d" * 32, True),
        ("-1 minute", None, b"e" * 32, False),
        ("-1 minute", None, b"", False),
        ("-61 minutes", None, b"d" * 32, False),
        ("-1 minute", "-1 second", b"d" * 32, False),
    ],
    ids=["live", "another secret", "no secret", "over", "withdrawn"],
)
def test_a_token_is_known_by_its_digest_while_it_lives(
    still: Still, name: str, begins: str, revoked: str | None, shown: bytes, known: bool
) -> None:
    prefix = stored_token(still, b"d" * 32, begins, revoked)
    who = Who(token_prefix=prefix, token_digest=shown)
    with still.acting("web"):
        if known:
            assert issue.submit(who, ban(name)).disposition == "created"
            return
        with pytest.raises(Unauthenticated):
            issue.submit(who, ban(name))
    assert generations(still, name) == []


def test_a_closed_account_asks_for_nothing(still: Still, name: str) -> None:
    with still.database() as at:
        at.execute("UPDATE caller SET is_active = false WHERE username = 'raj'")
        try:
            with still.acting("web"), pytest.raises(Unauthenticated):
                issue.submit(still.who("raj"), ban(name))
        finally:
            at.execute("UPDATE caller SET is_active = true WHERE username = 'raj'")


def test_rights_are_asked_for_before_anything_is_made(still: Still, name: str) -> None:
    told = still.submit(ban(name), "noor")
    assert (told.disposition, told.code) == ("refused", "may_not_ask")
    assert generations(still, name) == []


# The answer was lost.
def lose(answers: int) -> Callable[..., object]:
    """`issue._write`, whose first answers are lost on the line after the commit."""
    write, left = issue._write, [answers]

    def losing(*given: object) -> object:
        written = write(*given)  # type: ignore[arg-type]
        if left[0]:
            left[0] -= 1
            error = OperationalError("the line was lost")
            error.while_writing = True  # type: ignore[attr-defined]
            raise error
        return written

    return losing


def arrivals(still: Still, key: str) -> list[str]:
    rows = still.rows(
        "SELECT a.disposition FROM arrival a JOIN request r ON r.id = a.request_id"
        " WHERE r.key = %s ORDER BY a.at",
        key,
    )
    return [disposition for (disposition,) in rows]


def test_a_write_whose_answer_was_lost_is_found_and_not_written_again(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ban(name)
    monkeypatch.setattr(issue, "_write", lose(1))
    told = still.submit(asked)
    assert (told.disposition, told.status, told.changed) == ("created", 201, True)
    assert arrivals(still, asked.key) == ["created"]
    assert told.operation["arrivals"] == 1


def test_a_write_that_was_lost_under_way_and_lands_later_is_told_once(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first try is still under way, on a line that was lost; the second waits for its key.
    asked, arrival = ban(name), uuid.uuid4()
    monkeypatch.setattr(issue.uuid, "uuid4", lambda: arrival)
    with still.acting("web"), transaction.atomic():
        assert issue.submit(still.who(), asked).disposition == "created"
        second = still.meanwhile("web", lambda: issue.submit(still.who(), asked))
        assert second.until_it_waits()
    told: Answer = second.result()
    assert (told.disposition, told.status) == ("created", 201)
    assert arrivals(still, asked.key) == ["created"]


def test_asking_goes_on_after_a_transaction_was_undone_on_the_same_line(
    still: Still, networks: Names
) -> None:
    # psycopg drops all that is prepared on a line when a transaction on it is rolled back.
    with still.acting("web") as at:
        for _ in range(8):
            assert issue.submit(still.who(), ban(networks())).disposition == "created"
            with transaction.atomic():
                for _ in range(8):
                    with at.cursor() as cursor:
                        cursor.execute("SELECT id FROM subject WHERE id = %s", [1])
                transaction.set_rollback(True)


# Drafts.
def test_a_draft_remembers_its_first_showing(still: Still, name: str) -> None:
    asked = ban(name, key=new_key())
    with still.acting("web"):
        draft = prepare.prepare(still.who(), asked).draft
        first = prepare.show(draft)
        again = prepare.show(Draft.objects.get(id=draft.id))
    assert again == first


def test_a_confirmed_draft_makes_what_was_previewed_once(still: Still, name: str) -> None:
    with still.acting("web"):
        prepared = prepare.prepare(still.who(), ban(name, key=new_key()))
        asked = prepare.ask_of(prepared.draft, "api")
        first, second = (issue.submit(still.who(), asked) for _ in range(2))
    assert (first.disposition, second.disposition) == ("created", "existing")
    digest = still.value("SELECT plan_digest FROM operation WHERE id = %s", first.operation["id"])
    assert digest == bytes(prepared.draft.plan_digest)


def test_the_same_key_is_told_the_same_after_everything_has_moved_on(
    still: Still, name: str
) -> None:
    asked = ask("ban-network", name, {"for": "1h"})
    operation = still.made(asked)
    still.made(lift(name))
    with without_groups(still, "ana"):
        told = still.submit(asked)
    assert (told.disposition, told.operation["id"], told.in_force) == ("existing", operation, "no")
    assert (told.changed, told.replayed) == (False, True)


def test_another_constraint_than_the_arrivals_is_never_taken_for_a_lost_answer(
    still: Still, name: str
) -> None:
    twice = "duplicate effects"
    effect = {"realm": str(still.value("SELECT id FROM realm LIMIT 1")), "realm_version": 1}
    effect |= {"step": "deny", "ord": 0, "capability": "network.deny", "redo": "natural"}
    with still.database() as at, pytest.raises(psycopg.errors.UniqueViolation) as caught:
        at.execute(ISSUE, issue_params(still, name, twice, [effect | {"desired": {}}] * 2))
    assert caught.value.diag.constraint_name == "effect_key_once"
    assert generations(still, name) == []


ISSUE = issue._ISSUE


def issue_params(still: Still, name: str, key: str, effects: list[object]) -> dict[str, object]:
    """What `issue` is given to make a ban of `name` with these effects."""
    asked = ban(name, key=f"{key}-{uuid.uuid4().hex}")
    with still.acting("web"):
        seen = issue._look(still.who(), asked)
        decision = decide(asked, seen, asked.fingerprint())
        params = issue._params(asked, seen, decision, uuid.uuid4(), asked.fingerprint())
    return {**params, "effects": issue.dumps(effects)}
