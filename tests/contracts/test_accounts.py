"""Accounts and secrets: what stands is compared, and only what was ours is given back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from actions import naming, plan, subjects
from actions.catalogue._base import Intent, Last, Relation
from actions.catalogue._ends import moment
from actions.errors import SubjectRefused
from actions.plan import RealmNow
from actions.registry import registry
from actions.subjects import RULES, Subject
from tests.contracts.directory import Set, directory
from tests.contracts.inside import Still, age
from tests.contracts.limits import protected

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def place(still: Still) -> Iterator[Set]:
    with directory(still) as made:
        yield made


def cut(at: datetime, **read: object) -> Intent:
    return Intent({"before": moment(at)}, read=read)


# Sessions.
@given(st.integers(-7_200_000, 7_200_000))
def test_a_cut_off_covers_what_is_earlier_or_at_most_a_minute_later(later: int) -> None:
    action = registry.action("revoke-sessions")
    asked = NOW + timedelta(milliseconds=later)
    enough = later <= 60_000
    relation = action.compare(cut(NOW), cut(asked), NOW)
    assert relation is (Relation.COVERED if enough else Relation.MORE)


def test_a_session_read_since_the_cut_off_makes_the_next_one_more() -> None:
    action = registry.action("revoke-sessions")
    asked = cut(NOW + timedelta(seconds=50))
    for newest, relation in (
        (None, Relation.COVERED),
        (moment(NOW - timedelta(seconds=1)), Relation.COVERED),
        (moment(NOW + timedelta(seconds=20)), Relation.MORE),
    ):
        assert action.compare(cut(NOW, newest=newest), asked, NOW) is relation, newest


def test_a_later_cut_off_holds_what_an_earlier_one_wanted() -> None:
    action = registry.action("revoke-sessions")
    early, late = cut(NOW).desired, cut(NOW + timedelta(hours=1)).desired
    assert action.holds(late, early) and not action.holds(early, late)


# Rotation.
@given(st.integers(0, 8 * 3600), st.booleans())
def test_a_rotation_is_enough_for_its_incident_for_four_hours(seconds: int, same: bool) -> None:
    action = registry.action("rotate-secret")
    asked = replace(action.resolve({}, NOW), incidents=frozenset({7}))
    standing = replace(
        asked, at=NOW - timedelta(seconds=seconds), incidents=frozenset({7 if same else 8})
    )
    expected = Relation.COVERED if same else Relation.MORE
    if seconds > 4 * 3600:
        expected = Relation.LAPSED
    assert action.compare(standing, asked, NOW) is expected


def test_raj_rotates_what_ana_rotated_and_is_told_the_version(still: Still, place: Set) -> None:
    name = f"{place.name}:app_rw"
    first = place.run("rotate-secret", name)
    told = still.submit(place.ask("rotate-secret", name), "raj")
    assert (told.disposition, told.operation["id"]) == ("existing", first)
    assert f"Already version 42, in place in {place.name}." in told.message
    assert f"secret {name}" in told.message
    assert place.place.versions["app_rw"] == 42


def test_an_old_rotation_is_stale_until_it_is_ordered_again(still: Still, place: Set) -> None:
    name = f"{place.name}:app_rw"
    first = place.run("rotate-secret", name)
    age(still, first, "4 hours 1 second")
    told = still.submit(place.ask("rotate-secret", name), "raj")
    assert (told.disposition, told.code, told.status) == ("stale", "too_long_ago", 412)
    again = {"seen": 1, "again": True, "reason": "it leaked anew"}
    second = place.run("rotate-secret", name, by="raj", **again)
    assert place.place.versions["app_rw"] == 43
    late = still.submit(place.ask("rotate-secret", name, **again), "ana")
    assert (late.disposition, late.operation["id"]) == ("existing", second)


def test_a_rotation_waits_out_its_overlap_before_the_old_value_is_retired(
    still: Still, place: Set
) -> None:
    told = still.submit(place.ask("rotate-secret", f"{place.name}:app_rw", {"overlap": "30m"}))
    steps = still.rows(
        "SELECT step, ord, after, state FROM effect WHERE operation_id = %s ORDER BY ord",
        told.operation["id"],
    )
    assert steps == [
        ("make", 0, 0, "ready"),
        ("prove", 1, 0, "blocked"),
        ("retire", 2, 1800, "blocked"),
    ]


# Suspending and restoring.
def test_a_suspension_blocks_then_cuts_and_is_given_back(still: Still, place: Set) -> None:
    alice = place.account("alice")
    operation = place.run("suspend-account", alice)
    assert place.at(alice).disabled and place.at(alice).cut
    lanes = still.rows(
        "SELECT step, lane FROM effect WHERE operation_id = %s ORDER BY ord", operation
    )
    assert lanes == [("block", "access"), ("cut", "sessions")]
    repeated = still.submit(place.ask("suspend-account", alice), "raj")
    assert (repeated.disposition, repeated.in_force) == ("existing", "yes")
    place.run("restore-account", alice)
    assert not place.at(alice).disabled


def test_an_account_that_others_disabled_stays_disabled(still: Still, place: Set) -> None:
    mallory = place.account("mallory", disabled=True)
    place.run("suspend-account", mallory)
    told = still.submit(place.ask("restore-account", mallory))
    assert (told.disposition, told.code) == ("refused", "not_ours")
    assert "disabled there before we suspended it" in told.message
    assert place.at(mallory).disabled
    place.run("restore-account", mallory, {"also_not_ours": True})
    assert not place.at(mallory).disabled


def test_an_account_that_we_never_suspended_is_not_ours_to_restore(
    still: Still, place: Set
) -> None:
    told = still.submit(place.ask("restore-account", place.account("bob", disabled=True)))
    assert (told.disposition, told.code) == ("refused", "not_ours")


def test_what_we_suspended_is_ours_though_it_was_suspended_again(still: Still, place: Set) -> None:
    alice = place.account("alice")
    place.run("suspend-account", alice)
    place.run("suspend-account", alice, seen=1, again=True, reason="to be sure")
    place.run("restore-account", alice)
    assert not place.at(alice).disabled


def test_what_we_gave_back_and_others_took_is_not_ours(still: Still, place: Set) -> None:
    alice = place.account("alice")
    place.run("suspend-account", alice)
    place.run("restore-account", alice)
    place.at(alice).disabled = True
    place.run("suspend-account", alice)
    told = still.submit(place.ask("restore-account", alice))
    assert (told.disposition, told.code) == ("refused", "not_ours")


def test_what_is_not_known_is_put_to_the_person() -> None:
    action = registry.action("restore-account")
    intent = action.resolve({}, NOW)
    last = Last({"disabled": True}, "succeeded", "not_known")
    assert not action.spares(intent, last)
    assert "not known" in action.warns(intent, last)
    assert not action.warns(intent, replace(last, found="changed"))


def test_a_system_that_cannot_block_is_not_said_to_have_suspended_anybody() -> None:
    action = registry.action("suspend-account")
    realm = RealmNow(str(uuid.UUID(int=1)), "app", "The app", "sql_sessions", 1, True, True)
    planned = plan.make(action, Subject("account", "app:#1", 1), action.resolve({}, NOW), [realm])
    assert planned.effects == ()


# Names.
def resolve(place: Set, typed: str, by: str = "ana", key: str = "") -> str:
    """The canonical name that was meant, while readings are being taken."""
    still = place.still
    asking = still.meanwhile(
        "web",
        lambda: naming.subject("account", typed, lambda: still.caller(by), key),
    )
    while asking._thread.is_alive():
        place.take_readings()
    subject = asking.result()
    assert subject.label == typed
    return str(subject.name)


def heeded(place: Set, account: str, key: str = "") -> str:
    """What somebody is told who acts on an account by its id, while readings are being taken."""
    still = place.still
    subject = Subject("account", account, RULES)
    asking = still.meanwhile("web", lambda: naming.heed(subject, still.caller, key))
    while asking._thread.is_alive():
        place.take_readings()
    try:
        asking.result()
    except SubjectRefused as refusal:
        return refusal.code
    return ""


def test_a_protected_account_is_not_reached_by_its_id_either(still: Still, place: Set) -> None:
    """Nobody ever typed its name, so nobody knew whose it is (contract §13)."""
    payroll, other = place.account("payroll"), place.account("alice")
    with protected(still, f"{place.name}:payroll", kind="account"):
        assert heeded(place, payroll) == heeded(place, other) == ""
        told = still.submit(place.ask("suspend-account", payroll))
        assert (told.disposition, told.code) == ("refused", "protected")
        assert still.submit(place.ask("suspend-account", other)).disposition == "created"


def test_what_may_be_protected_and_cannot_be_looked_up_is_refused(still: Still, place: Set) -> None:
    alice = place.account("alice")
    asked = place.ask("suspend-account", alice)
    place.place.away = True
    assert heeded(place, alice) == "", "nothing is listed there"
    with protected(still, f"{place.name}:payroll", kind="account"):
        assert heeded(place, alice) == "cannot_look"
        assert still.submit(asked).disposition == "created"
        assert heeded(place, alice, asked.key) == "", "what it led to is told all the same"


def test_a_name_is_whoever_has_it_now(still: Still, place: Set) -> None:
    first = place.account("alice")
    assert resolve(place, f"{place.name}:alice") == first
    del place.place.accounts[first.partition("#")[2]]
    second = place.account("alice")
    still.rows("UPDATE reading SET taken_at = taken_at - interval '6 s' RETURNING id")
    assert resolve(place, f"{place.name}:alice") == second


def test_an_old_look_is_not_gone_by(still: Still, place: Set) -> None:
    name = f"{place.name}:alice"
    place.account("alice")
    resolve(place, name)
    still.rows("UPDATE reading SET taken_at = taken_at - interval '6 s' RETURNING id")
    with still.acting("web"):  # nobody looks meanwhile
        try:
            found = naming.subject("account", name, lambda: still.caller("ana")).name
        except SubjectRefused as refusal:
            found = refusal.code
    assert found == "cannot_look"


def test_nobody_of_that_name_is_refused(place: Set) -> None:
    with pytest.raises(SubjectRefused, match="Nobody is called carol") as caught:
        resolve(place, f"{place.name}:carol")
    assert caught.value.code == "no_account"


def test_a_name_that_cannot_be_looked_up_is_refused_though_it_was_known(
    still: Still, place: Set
) -> None:
    place.account("alice")
    resolve(place, f"{place.name}:alice")
    still.rows("UPDATE reading SET taken_at = taken_at - interval '6 s' RETURNING id")
    place.place.away = True
    with pytest.raises(SubjectRefused, match="cannot look into") as caught:
        resolve(place, f"{place.name}:alice")
    assert (caught.value.code, caught.value.facts["status"]) == ("cannot_look", 503)


def test_a_request_sent_again_is_about_the_same_account_unlooked(still: Still, place: Set) -> None:
    alice = place.account("alice")
    typed = f"{place.name}:alice"
    assert resolve(place, typed) == alice
    asked = place.ask("suspend-account", alice)
    still.submit(asked)
    still.rows("UPDATE reading SET taken_at = taken_at - interval '6 s' RETURNING id")
    place.place.away = True
    with still.acting("web"):
        again = naming.subject("account", typed, still.caller, asked.key)
    assert again.name == alice


def test_somebody_without_a_right_on_the_realm_learns_nothing_of_its_names(
    still: Still, place: Set
) -> None:
    place.account("alice")
    still.rows("DELETE FROM realm_group_grant WHERE content_object_id = %s RETURNING id", place.id)
    with still.acting("web"), pytest.raises(SubjectRefused, match="that you may see"):
        naming.subject("account", f"{place.name}:alice", still.caller)
    assert not still.rows("SELECT id FROM reading WHERE realm_id = %s", place.id)


@pytest.mark.parametrize(
    "typed", ["db:#016", "db:#", "db", ":alice", "db: alice", "db:a\u202elice", "db:", 7]
)
def test_what_is_no_name_of_an_account_is_refused(typed: object) -> None:
    with pytest.raises(SubjectRefused) as caught:
        subjects.canonical("account", typed)
    assert caught.value.code == "bad_account"


def test_the_api_refuses_a_protected_account_by_its_id(still: Still, place: Set) -> None:
    payroll = place.account("payroll")
    token = still.new_caller(
        f"asker-{uuid.uuid4().hex[:8]}", "responders", scopes=["ask:suspend-account"]
    ).token
    client = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Bearer {token}"})
    body = {
        "action": "suspend-account",
        "subject": {"kind": "account", "name": payroll},
        "reason": "looks odd",
    }

    def post() -> Any:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return client.post("/api/v1/operations", body, "application/json", headers=key).json()

    with protected(still, f"{place.name}:payroll", kind="account"):
        asking = still.meanwhile("web", post)
        while asking._thread.is_alive():
            place.take_readings()
    assert asking.result().get("code") == "protected"
