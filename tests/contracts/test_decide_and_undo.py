"""What cannot be known is decided by a person; what we changed is undone, and nothing else."""

from __future__ import annotations

import json
import uuid

import pytest
from django.db import transaction

from actions import database
from actions.errors import ParamsRefused, Refusal
from tests.contracts.inside import Still, ban, lift, refused, without_groups
from tests.contracts.verbs import (
    ban_that,
    cancelled,
    come_to,
    decided,
    effects_of,
    events,
    finished,
    in_force,
    move,
    new_key,
    undone,
)


# Decide.
@pytest.mark.parametrize(
    ("to", "disposition", "state"),
    [
        ("succeeded", "decided", "succeeded"),
        ("failed", "decided", "failed"),
        ("ready", "resumed", "running"),
    ],
)
def test_a_person_decides_and_sees_what_it_comes_to(
    still: Still, name: str, to: str, disposition: str, state: str
) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    told = decided(still, operation, effect, to, "raj", why="I asked the firewall")
    assert (told.disposition, told.changed, told.operation["state"]) == (disposition, True, state)
    assert still.effects(operation) == [to]
    (event,) = events(still, operation, "effect.decided")
    assert (event["by"], event["reason"], event["from"], event["to"], event["effect"]) == (
        "raj",
        "I asked the firewall",
        "parked",
        to,
        effect,
    )
    moved = events(still, operation, "operation.moved")
    assert [m["to"] for m in moved][-1] == state


def test_what_is_to_be_tried_again_is_tried_again(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    still.rows("UPDATE effect SET attempts = 5 WHERE id = %s RETURNING 1", effect)
    decided(still, operation, effect, "ready")
    assert still.value("SELECT attempts_before FROM effect WHERE id = %s", effect) == 5
    still.deliver(operation)
    assert (still.state(operation), still.listed(name)) == ("succeeded", True)


@pytest.mark.parametrize(
    ("to", "other", "state"),
    [
        ("succeeded", "failed", "partial"),
        ("failed", "changed", "partial"),
        ("succeeded", "parked", "parked"),
        ("succeeded", "in_doubt", "running"),
    ],
)
def test_it_comes_to_what_all_its_effects_come_to(
    still: Still, name: str, second_realm: str, to: str, other: str, state: str
) -> None:
    operation, (effect, _) = ban_that(still, name, "parked", other)
    assert decided(still, operation, effect, to).operation["state"] == state


def test_what_waits_behind_it_is_left_to_whoever_rolls_it_up(
    still: Still, name: str, second_realm: str
) -> None:
    told = still.submit(ban(name))
    operation = int(told.operation["id"])
    first, second = effects_of(still, operation)
    with still.database() as at:
        at.execute("ALTER TABLE effect DISABLE TRIGGER effect_moves_legally")
        at.execute("UPDATE effect SET state = 'blocked' WHERE id = %s", [second])
        at.execute("ALTER TABLE effect ENABLE ALWAYS TRIGGER effect_moves_legally")
        at.execute("UPDATE operation SET state = 'running' WHERE id = %s", [operation])
        move(still, first, "executing", "in_doubt", "parked")
        at.execute("UPDATE operation SET state = 'parked' WHERE id = %s", [operation])
    assert decided(still, operation, first, "succeeded").operation["state"] == "running"


def test_the_second_to_decide_is_told_who_decided(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    with still.acting("web"), transaction.atomic():
        first = decided(still, operation, effect, "succeeded")
        second = still.meanwhile("web", lambda: decided(still, operation, effect, "failed", "raj"))
        second.until_it_waits()
    told = second.result()
    assert (first.disposition, told.disposition, told.changed) == ("decided", "existing", False)
    assert "ana decided this already: it is in place" in told.message
    assert still.effects(operation) == ["succeeded"]
    assert len(events(still, operation, "effect.decided")) == 1


def test_the_second_effect_decided_meanwhile_is_decided_again(
    still: Still, name: str, second_realm: str
) -> None:
    # The operation is parked before and after: only the effect itself tells that somebody was first.
    operation, (effect, _) = ban_that(still, name, "parked", "parked")
    with still.acting("web"), transaction.atomic():
        decided(still, operation, effect, "succeeded")
        second = still.meanwhile("web", lambda: decided(still, operation, effect, "failed", "raj"))
        second.until_it_waits()
    assert second.result().disposition == "existing"
    assert still.state(operation) == "parked"


def test_the_same_key_decides_once(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    key = new_key()
    decided(still, operation, effect, "ready", key=key)
    come_to(still, operation, "parked")
    again = decided(still, operation, effect, "ready", key=key)
    assert (again.disposition, again.replayed) == ("existing", True)
    assert still.effects(operation) == ["parked"]
    other = decided(still, operation, effect, "failed", key=key)
    assert (other.disposition, other.status) == ("key_reused", 422)


def test_a_machine_decides_nothing(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    told = decided(still, operation, effect, "succeeded", "runbook")
    assert (told.status, told.code, told.changed) == (403, "not_a_person", False)
    assert still.effects(operation) == ["parked"]


def test_who_may_not_ask_for_the_action_decides_nothing(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    assert decided(still, operation, effect, "succeeded", "noor").status == 403
    with without_groups(still, "ana"):
        assert decided(still, operation, effect, "succeeded").status == 404
    assert still.effects(operation) == ["parked"]


@pytest.mark.parametrize(("to", "why"), [("succeeded", " "), ("cancelled", "I looked")])
def test_a_decision_has_a_reason_and_one_of_three_ends(
    still: Still, name: str, to: str, why: str
) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    with pytest.raises(ParamsRefused):
        decided(still, operation, effect, to, why=why)


def test_only_what_is_parked_and_belongs_to_it_is_decided(
    still: Still, operation: int, networks: object
) -> None:
    (effect,) = effects_of(still, operation)
    told = decided(still, operation, effect, "failed")
    assert (told.status, told.code) == (409, "not_parked")
    _, (other,) = ban_that(still, networks(), "parked")  # type: ignore[operator]
    told = decided(still, operation, other, "failed")
    assert (told.status, told.code) == (404, "no_effect")
    assert still.value("SELECT state FROM effect WHERE id = %s", other) == "parked"


def test_after_a_later_generation_it_is_only_said_what_it_was(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    later = still.submit(lift(name))
    told = decided(still, operation, effect, "ready")
    assert (told.status, told.code) == (409, "conflict")
    assert later.operation["ref"] in told.message
    told = decided(still, operation, effect, "succeeded")
    assert (told.disposition, told.operation["state"]) == ("decided", "succeeded")
    assert still.state(later.operation["id"]) == "approved"


def test_a_decision_about_what_was_superseded_leaves_it_superseded(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "in_doubt")
    still.submit(lift(name, seen=1))
    move(still, effect, "parked")
    told = decided(still, operation, effect, "failed")
    assert (told.disposition, told.operation["state"]) == ("decided", "superseded")
    assert still.effects(operation) == ["failed"]


ACT = (
    "SELECT * FROM act(gen_random_uuid(), %s, %s, '\\x00', 1, 'api', NULL, NULL, %s, '', %s, %s, %s, true,"
    " %s, %s, %s, '', %s)"
)


@pytest.mark.parametrize(
    ("disposition", "verb", "to", "change"),
    [
        ("decided", "decide", "succeeded", {"reason": " "}),
        ("decided", "decide", "succeeded", {"by": "raj"}),
        ("decided", "decide", "succeeded", {"to": "failed"}),
        ("decided", "decide", "succeeded", {"caller": "runbook"}),
        ("decided", "decide", "ready", {}),
        ("resumed", "decide", "succeeded", {}),
        ("cancelled", "finish", None, {}),
        ("created", "finish", None, {}),
    ],
)
def test_the_web_process_cannot_tell_a_verb_falsely(
    still: Still, name: str, disposition: str, verb: str, to: str, change: dict[str, str]
) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    by = still.caller(change.get("caller", "ana"))
    body = {"caller": str(by), "by": change.get("caller", "ana"), "reason": "seen", "to": to}
    body |= {key: value for key, value in change.items() if key != "caller"}
    params = (by, uuid.uuid4().hex, disposition, operation, "parked", 1, verb, effect, to)
    with still.database(role="web") as at:
        assert refused(at, ACT, *params, json.dumps(body))[0] == "SH003"
    assert still.effects(operation) == ["parked"]


def test_the_web_process_cannot_finish_an_older_generation(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    still.made(lift(name, seen=1))
    body = json.dumps({"caller": str(still.caller()), "by": "ana"})
    params = (still.caller(), uuid.uuid4().hex, "resumed", operation, "failed", 2)
    with still.database(role="web") as at:
        assert refused(at, ACT, *params, "finish", None, None, body)[0] == "SH003"


def test_the_web_process_cannot_finish_in_the_name_of_the_console(still: Still, name: str) -> None:
    # Whose rights no worker asks for.
    operation, _ = ban_that(still, name, "failed")
    console = still.value("SELECT id FROM caller WHERE kind = 'console'")
    body = json.dumps({"caller": str(console), "by": "console"})
    params = (console, uuid.uuid4().hex, "resumed", operation, "failed", 1)
    with still.database(role="web") as at:
        assert refused(at, ACT, *params, "finish", None, None, body)[0] == "SH003"
    assert still.effects(operation) == ["failed"]


# Undo.
def test_an_undo_takes_back_what_we_changed_and_leaves_what_was_so_already(
    still: Still, name: str, second_realm: str
) -> None:
    operation, effects = ban_that(still, name, "changed", "so_already")
    told = undone(still, operation, "raj")
    assert (told.disposition, told.changed, told.status) == ("created", True, 201)
    undo_id = told.operation["id"]
    rows = "SELECT realm_id FROM effect WHERE operation_id = %s"
    touched = still.rows(rows, undo_id)
    assert touched == still.rows("SELECT realm_id FROM effect WHERE id = %s", effects[0])
    still.deliver(undo_id)
    assert (still.state(undo_id), in_force(still, operation)) == ("succeeded", "no")
    undoes = "SELECT undoes_id, action, generation FROM operation WHERE id = %s"
    assert still.rows(undoes, undo_id) == [(operation, "lift-ban", 2)]


def test_two_who_undo_at_once_make_one_undo(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "changed")
    with still.acting("web"), transaction.atomic():
        first = undone(still, operation)
        second = still.meanwhile("web", lambda: undone(still, operation, "raj"))
        second.until_it_waits()
    told = second.result()
    assert (first.disposition, told.disposition, told.changed) == ("created", "existing", False)
    assert told.operation["ref"] == first.operation["ref"]
    assert "undone already" in told.message
    assert still.value("SELECT count(*) FROM operation WHERE undoes_id = %s", operation) == 1


def test_the_same_key_undoes_once(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "changed")
    key = new_key()
    first = undone(still, operation, key=key)
    again = undone(still, operation, key=key)
    assert (again.disposition, again.replayed) == ("existing", True)
    assert again.operation["ref"] == first.operation["ref"]
    other = undone(still, operation, key=key, not_known="leave")
    assert other.disposition == "key_reused"


@pytest.mark.parametrize(
    ("say", "realms"), [("include", 2), ("leave", 1), ("", 0)], ids=["include", "leave", "unsaid"]
)
@pytest.mark.parametrize("unclear", ["not_known", "parked"])
def test_what_is_not_known_is_put_to_the_person(
    still: Still, name: str, second_realm: str, unclear: str, say: str, realms: int
) -> None:
    operation, _ = ban_that(still, name, "changed", unclear)
    told = undone(still, operation, not_known=say)
    if not say:
        assert (told.disposition, told.code, told.status) == ("refused", "must_say", 409)
        assert "Second" in told.message
        return
    assert told.disposition == "created"
    count = "SELECT count(*) FROM effect WHERE operation_id = %s"
    assert still.value(count, told.operation["id"]) == realms


@pytest.mark.parametrize("found", ["so_already", "failed"])
def test_where_we_changed_nothing_there_is_nothing_to_undo(
    still: Still, name: str, found: str
) -> None:
    operation, _ = ban_that(still, name, found)
    told = undone(still, operation)
    assert (told.disposition, told.code, told.status) == ("refused", "nothing_to_undo", 409)


def test_only_the_newest_generation_is_undone(still: Still, name: str) -> None:
    operation = still.made(ban(name))
    later = still.made(lift(name))
    told = undone(still, operation)
    assert (told.disposition, told.code, told.status) == ("stale", "moved", 412)
    assert told.operation["id"] == later


def test_what_is_not_settled_is_not_undone(still: Still, name: str) -> None:
    operation, _ = still.issued(ban(name))
    told = undone(still, operation)
    assert (told.disposition, told.code, told.status) == ("refused", "not_settled", 409)


def test_an_undo_that_was_cancelled_may_be_asked_for_again(still: Still, name: str) -> None:
    operation = still.made(ban(name))
    first = undone(still, operation)
    assert cancelled(still, first.operation["id"]).changed
    again = undone(still, operation)
    assert (again.disposition, again.operation["generation"]) == ("created", 3)


def test_an_undo_that_failed_is_finished_by_the_next_who_asks(still: Still, name: str) -> None:
    operation = still.made(ban(name))
    first = undone(still, operation)
    come_to(still, first.operation["id"], "failed")
    again = undone(still, operation, "raj")
    assert (again.disposition, again.operation["id"]) == ("resumed", first.operation["id"])


def test_undoing_a_lift_bans_until_the_ban_would_have_ended(still: Still, name: str) -> None:
    banned = still.made(ban(name))
    lifted = still.made(lift(name))
    told = undone(still, lifted)
    assert (told.disposition, told.operation["action"]) == ("created", "ban-network")
    ends = "SELECT ends_at FROM operation WHERE id = %s"
    assert still.value(ends, told.operation["id"]) == still.value(ends, banned)


def test_who_may_not_ask_for_the_opposite_undoes_nothing(still: Still, operation: int) -> None:
    assert undone(still, operation, "noor").status == 403
    with without_groups(still, "ana"):
        assert undone(still, operation).status == 404
    assert finished(still, operation).disposition == "existing"


def test_an_action_without_a_way_back_says_so(
    still: Still, operation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actions.catalogue.ban_network import BanNetwork

    monkeypatch.setattr(BanNetwork, "inverse", None)
    with pytest.raises(Refusal, match="There is no way back") as no:
        undone(still, operation)
    assert (no.value.code, no.value.facts["status"]) == ("no_inverse", 409)


def test_an_undo_of_another_lane_is_refused_by_the_database(
    still: Still, operation: int, networks: object
) -> None:
    from actions.compare import decide
    from actions.issue import _ISSUE, _look, _params

    asked = ban(networks())  # type: ignore[operator]
    with still.acting("web"):
        seen = _look(still.who(), asked)
        made = decide(asked, seen, asked.fingerprint())
        params = _params(asked, seen, made, uuid.uuid4(), asked.fingerprint())
        with pytest.raises(Exception, match="stays on the lane"):
            database.one(_ISSUE, {**params, "undoes": operation})
