"""Where two parts meet: an undo and a second lane, drift and what gives back, a finish and erasure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actions import values
from actions.errors import Refusal
from tests.contracts.directory import Set, directory
from tests.contracts.inside import Still
from tests.contracts.test_readings import look, repeat
from tests.contracts.verbs import finished, move, ref, undone


@pytest.fixture
def place(still: Still) -> Iterator[Set]:
    with directory(still) as made:
        yield made


# Undo, of an operation that touches two lanes.
def test_undoing_a_suspension_does_not_let_in_whom_others_had_disabled(
    still: Still, place: Set
) -> None:
    mallory = place.account("mallory", disabled=True)
    suspended = place.run("suspend-account", mallory)
    told = undone(still, suspended)
    assert (told.disposition, told.code) == ("refused", "nothing_to_undo")
    assert place.at(mallory).disabled


def test_nobody_is_asked_what_to_do_about_a_cut_that_no_undo_can_take_back(
    still: Still, place: Set
) -> None:
    mallory = place.account("mallory", disabled=True)
    suspended = place.run("suspend-account", mallory)
    still.rows(
        "UPDATE effect SET found = 'not_known' WHERE operation_id = %s AND step = 'cut' RETURNING 1",
        suspended,
    )
    for said in ("", "include"):
        assert undone(still, suspended, not_known=said).code == "nothing_to_undo"
    assert place.at(mallory).disabled


# Drift, of what gives back.
def test_a_restoration_asked_again_leaves_disabled_whom_others_disabled_since(
    still: Still, place: Set
) -> None:
    place.place.read = True
    alice = place.account("alice")
    place.run("suspend-account", alice)
    place.run("restore-account", alice)
    place.at(alice).disabled = True
    told = repeat(still, place.ask("restore-account", alice))
    assert (told.disposition, told.code) == ("refused", "not_ours")
    assert "disabled by somebody else" in told.message
    also = repeat(still, place.ask("restore-account", alice, {"also_not_ours": True}))
    assert also.disposition == "created"
    place.finish(also.operation["id"])
    assert not place.at(alice).disabled


def test_a_suspension_that_others_took_back_is_made_again_by_who_repeats_it(
    still: Still, place: Set
) -> None:
    place.place.read = True
    alice = place.account("alice")
    place.run("suspend-account", alice)
    place.at(alice).disabled = False
    told = repeat(still, place.ask("suspend-account", alice))
    assert (told.disposition, told.operation["because"]) == ("created", "drift of @1")
    place.finish(told.operation["id"])
    assert place.at(alice).disabled
    assert repeat(still, place.ask("suspend-account", alice)).disposition == "existing"
    assert look(still) >= 0


# A value that is erased, of what is not finished.
def test_a_failed_rotation_whose_value_is_erased_is_asked_for_anew_not_finished(
    still: Still, place: Set
) -> None:
    name = f"{place.name}:broken"
    first = place.run("rotate-secret", name)
    assert still.state(first) == "failed"
    erase(still, first)
    told = finished(still, first)
    assert (told.disposition, told.code) == ("refused", "erased")
    told = still.submit(place.ask("rotate-secret", name))
    assert (told.disposition, told.operation["generation"]) == ("created", 2)


def test_a_failed_rotation_whose_value_is_there_is_finished(still: Still, place: Set) -> None:
    name = f"{place.name}:broken"
    first = place.run("rotate-secret", name)
    told = still.submit(place.ask("rotate-secret", name))
    assert (told.disposition, told.operation["id"]) == ("resumed", first)


def test_a_value_is_kept_while_a_person_has_to_decide(still: Still, place: Set) -> None:
    told = still.submit(place.ask("rotate-secret", f"{place.name}:app_rw"))
    operation = int(told.operation["id"])
    still.deliver(operation)
    prove = still.value(
        "SELECT id FROM effect WHERE operation_id = %s AND step = 'prove'", operation
    )
    move(still, prove, "executing", "in_doubt", "parked")
    still.rows(
        "UPDATE operation SET state = 'parked', settled_at = now() - interval '1 hour'"
        " WHERE id = %s RETURNING 1",
        operation,
    )
    with still.acting("worker"):
        assert values.erase_due() == 0
    with still.acting("web"):
        assert values.show(ref(still, operation), still.caller("ana"), "api").until is None
        values.acknowledge(ref(still, operation), still.caller("ana"), "api")
    sealed = "SELECT sealed IS NOT NULL FROM made_value WHERE operation_id = %s"
    assert still.value(sealed, operation), "its steps may still need it"


def erase(still: Still, operation: int) -> None:
    """Let its 15 minutes be over, and the keeper pass by."""
    still.rows(
        "UPDATE operation SET settled_at = now() - interval '15 minutes' WHERE id = %s RETURNING 1",
        operation,
    )
    with still.acting("worker"):
        assert values.erase_due() == 1
    with still.acting("web"), pytest.raises(Refusal):
        values.show(ref(still, operation), still.caller("ana"), "api")
