"""Finishing what is unfinished, and withdrawing what was not begun: each once, whoever presses it."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, transaction

from actions import act, deliver, outbox
from actions.errors import NotFound, Unauthenticated
from actions.issue import Who
from tests.contracts.inside import Still, ban, lift, tampering, without_groups
from tests.contracts.verbs import (
    ban_that,
    cancelled,
    come_to,
    events,
    finished,
    new_key,
    ref,
    states_of,
)


# Finish.
def test_only_what_failed_runs_again(still: Still, name: str, second_realm: str) -> None:
    operation, _ = ban_that(still, name, "changed", "failed")
    told = finished(still, operation, "raj")
    assert (told.disposition, told.changed, told.status) == ("resumed", True, 200)
    assert told.operation["state"] == "running"
    assert states_of(still, operation) == ["succeeded", "ready"]
    still.deliver(operation)
    assert still.state(operation) == "succeeded"


def test_what_was_cancelled_behind_a_failed_step_waits_for_it_again(
    still: Still, name: str, second_realm: str
) -> None:
    operation, (_, second) = ban_that(still, name, "failed", "cancelled")
    with tampering(still, "effect", "effect_intent_never_changes") as at:
        at.execute("UPDATE effect SET ord = 1 WHERE id = %s", [second])
    assert finished(still, operation).disposition == "resumed"
    assert states_of(still, operation) == ["ready", "blocked"]


def test_two_who_finish_at_once_meet(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    with still.acting("web"), transaction.atomic():
        first = finished(still, operation)
        second = still.meanwhile("web", lambda: finished(still, operation, "raj"))
        second.until_it_waits()
    told = second.result()
    assert (first.disposition, told.disposition) == ("resumed", "existing")
    assert (told.changed, "under way already" in told.message) == (False, True)
    assert still.value("SELECT attempts_before FROM effect WHERE operation_id = %s", operation) == 0


def test_the_same_key_finishes_once_and_is_told_so(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    key = new_key()
    assert finished(still, operation, key=key).disposition == "resumed"
    come_to(still, operation, "failed")
    again = finished(still, operation, key=key)
    assert (again.disposition, again.changed, again.replayed) == ("existing", False, True)
    assert still.state(operation) == "failed"
    assert still.value("SELECT count(*) FROM arrival WHERE operation_id = %s", operation) == 3


def test_a_key_that_stands_for_another_verb_is_refused(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    key = new_key()
    still.submit(ban(name, key=key))
    told = finished(still, operation, key=key)
    assert (told.disposition, told.status, told.changed) == ("key_reused", 422, False)
    other = new_key()
    assert finished(still, operation, key=other).disposition == "existing"
    assert cancelled(still, operation, key=other).disposition == "key_reused"


def test_the_same_key_sent_twice_at_once_finishes_once(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    key = new_key()
    with still.acting("web"), transaction.atomic():
        first = finished(still, operation, key=key)
        second = still.meanwhile("web", lambda: finished(still, operation, key=key))
        second.until_it_waits()
    assert (first.disposition, second.result().disposition) == ("resumed", "existing")
    assert second.result().replayed


def test_an_answer_lost_after_the_write_is_told_as_it_was_written(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation, _ = ban_that(still, name, "failed")
    whole, lost = act.history.facts_of, []

    def once(ids: list[int]) -> object:
        if not lost:
            lost.append(ids)
            raise OperationalError("the line is gone")
        return whole(ids)

    monkeypatch.setattr(act.history, "facts_of", once)
    told = finished(still, operation)
    assert lost
    assert (told.disposition, told.changed, told.status) == ("resumed", True, 200)
    came = still.rows(
        "SELECT disposition FROM arrival WHERE operation_id = %s ORDER BY at", operation
    )
    assert came == [("created",), ("resumed",)]


def test_only_the_newest_generation_is_finished(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    later = still.submit(lift(name, seen=1))
    told = finished(still, operation)
    assert (told.disposition, told.status) == ("conflict", 409)
    assert later.operation["ref"] in told.message
    still.deliver(later.operation["id"])
    told = finished(still, operation)
    assert (told.disposition, told.code, told.status) == ("stale", "moved", 412)
    assert states_of(still, operation) == ["failed"]


def test_who_lost_the_right_finishes_nothing(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    with without_groups(still, "ana"):
        told = finished(still, operation)
    assert (told.status, told.code, told.operation) == (404, "no_operation", None)
    told = finished(still, operation, "noor")
    assert (told.status, told.code) == (403, "may_not_ask")
    assert still.state(operation) == "failed"


def test_who_may_not_ask_a_realm_finishes_nothing_in_it(
    still: Still, name: str, second_realm: str
) -> None:
    operation, _ = ban_that(still, name, "changed", "failed")
    taken = still.rows(
        "DELETE FROM realm_group_grant WHERE content_object_id = %s"
        " RETURNING content_object_id, group_id, permission_id",
        second_realm,
    )
    assert taken
    told = finished(still, operation)
    assert (told.status, told.code) == (403, "may_not_ask_realm")
    assert states_of(still, operation) == ["succeeded", "failed"]


def test_a_realm_that_is_gone_is_not_set_going(still: Still, name: str, second_realm: str) -> None:
    operation, _ = ban_that(still, name, "changed", "failed")
    still.rows("UPDATE realm SET enabled = false WHERE id = %s RETURNING id", second_realm)
    told = finished(still, operation)
    assert (told.status, told.code) == (403, "no_realm")


def test_a_parked_operation_is_finished_only_where_something_failed(
    still: Still, name: str, second_realm: str
) -> None:
    operation, _ = ban_that(still, name, "parked", "changed")
    told = finished(still, operation)
    assert (told.disposition, told.code, told.status) == ("refused", "needs_decision", 409)


def test_finishing_leaves_what_is_parked_to_a_person(
    still: Still, name: str, second_realm: str
) -> None:
    operation, _ = ban_that(still, name, "parked", "failed")
    assert finished(still, operation).disposition == "resumed"
    assert (still.state(operation), states_of(still, operation)) == ("running", ["parked", "ready"])


def test_what_is_done_is_not_done_again(still: Still, operation: int) -> None:
    told = finished(still, operation)
    assert (told.disposition, told.changed) == ("existing", False)
    assert "Nothing is left to do" in told.message


def test_what_there_is_not_is_told_as_what_may_not_be_seen(still: Still) -> None:
    from actions import finish

    with still.acting("web"):
        with pytest.raises(NotFound, match="no such operation that you may see"):
            finish.finish(still.who(), "op_0000000000000", new_key(), "api")
        with pytest.raises(NotFound):
            finish.finish(Who(token_prefix="0" * 12), "op_0000000000000", new_key(), "api")


def test_nobody_we_know_finishes_nothing(still: Still, name: str) -> None:
    from actions import finish

    operation, _ = ban_that(still, name, "failed")
    with still.acting("web"), pytest.raises(Unauthenticated):
        named = ref(still, operation)
        finish.finish(Who(token_prefix="0" * 12, token_digest=b"x"), named, new_key(), "api")


# Cancel.
def test_what_was_not_begun_is_cancelled_and_never_sent(still: Still, name: str) -> None:
    operation, effect = still.issued(ban(name))
    told = cancelled(still, operation, "raj")
    assert (told.disposition, told.changed, told.operation["state"]) == (
        "cancelled",
        True,
        "cancelled",
    )
    with still.acting("worker"):
        assert not deliver.deliver(effect, "late")
    assert (states_of(still, operation), still.listed(name)) == (["cancelled"], False)
    (event,) = events(still, operation, "operation.cancelled")
    assert event["by"] == "raj"


def test_a_cancel_that_was_decided_before_it_was_taken_up_is_decided_again(
    still: Still, name: str
) -> None:
    operation, effect = still.issued(ban(name))
    with still.acting("worker"), transaction.atomic():
        assert outbox.claim(effect, "first")
        late = still.meanwhile("web", lambda: cancelled(still, operation))
        assert late.until_it_waits()
    told = late.result()
    assert (told.code, told.changed) == ("begun", False)
    assert still.state(operation) == "running"


def test_cancelling_twice_is_cancelling_once(still: Still, name: str) -> None:
    operation, _ = still.issued(ban(name))
    assert cancelled(still, operation).changed
    told = cancelled(still, operation, "raj")
    assert (told.disposition, told.changed, told.status) == ("existing", False, 200)


def test_what_has_begun_is_not_cancelled(still: Still, operation: int) -> None:
    told = cancelled(still, operation)
    assert (told.disposition, told.code, told.status) == ("refused", "begun", 409)
    assert "undone instead" in told.message
    assert still.state(operation) == "succeeded"


def test_who_asked_may_cancel_though_they_may_no_longer_ask(still: Still, name: str) -> None:
    operation, _ = still.issued(ban(name))
    with without_groups(still, "ana"):
        assert cancelled(still, operation).disposition == "cancelled"


def test_who_neither_asked_nor_may_ask_cancels_nothing(still: Still, name: str) -> None:
    operation, _ = still.issued(ban(name))
    told = cancelled(still, operation, "noor")
    assert (told.status, told.code) == (403, "may_not_ask")
    with without_groups(still, "raj"):
        assert cancelled(still, operation, "raj").status == 404
    assert still.state(operation) == "approved"


def test_the_lane_is_free_after_a_cancel(still: Still, name: str) -> None:
    operation, _ = still.issued(ban(name))
    cancelled(still, operation)
    again = still.submit(ban(name))
    assert (again.disposition, again.operation["generation"]) == ("created", 2)


def test_a_cancel_against_a_worker_wins_or_loses_whole(still: Still, networks: object) -> None:
    """Either cancelled and never sent, or taken up and run: never both, over many rounds."""
    won = lost = 0
    for _ in range(40):
        name = networks()  # type: ignore[operator]
        operation, effect = still.issued(ban(name))
        gate = threading.Barrier(2)

        def work(effect: int = effect, gate: threading.Barrier = gate) -> bool:
            gate.wait(10)
            return deliver.deliver(effect, "racing")

        worker = still.meanwhile("worker", work)
        gate.wait(10)
        told = cancelled(still, operation)
        sent = worker.result()
        tries = still.value("SELECT count(*) FROM attempt WHERE effect_id = %s", effect)
        assert sent is not told.changed
        if told.changed:
            won += 1
            assert (still.state(operation), tries, still.listed(name)) == ("cancelled", 0, False)
        else:
            lost += 1
            assert (told.code, tries, still.listed(name)) == ("begun", 1, True)
    assert won + lost == 40
