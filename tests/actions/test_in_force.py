"""Whether an operation is in force, realm by realm and by the address."""

from __future__ import annotations

import pytest

from actions.force import anywhere, in_force
from actions.known import Known
from actions.standing import Facts


def told(blocked: bool, *realms: str) -> Facts:
    """A ban or a lift with an effect in each of these realms."""
    effects = [{"realm_id": realm, "desired": {"blocked": blocked}} for realm in realms]
    action = "ban-network" if blocked else "lift-ban"
    return {"action": action, "effects": effects, "desired": {"blocked": blocked}}


def known(realm: str, blocked: bool, state: str = "succeeded") -> Known:
    return Known(realm, {"blocked": blocked}, state)


ON_A, OFF_A = known("a", True), known("a", False)
SENDING_A = known("a", True, "executing")


@pytest.mark.parametrize(
    ("facts", "own", "wider", "expected"),
    [
        (told(True, "a"), (), (), "no"),
        (told(True, "a"), (ON_A,), (), "yes"),
        (told(True, "a"), (OFF_A,), (), "no"),
        (told(True, "a"), (SENDING_A,), (), "unknown"),
        (told(False, "a"), (OFF_A,), (), "yes"),
        # A wider ban decides for the address, in its own realm.
        (told(True, "a"), (OFF_A,), (ON_A,), "yes"),
        (told(False, "a"), (OFF_A,), (ON_A,), "no"),
        (told(True, "a", "b"), (), (ON_A,), "no"),
        (told(True, "a", "b"), (known("b", True),), (ON_A,), "yes"),
        # While a wider one is being changed, nobody knows, unless it makes no difference.
        (told(False, "a"), (OFF_A,), (known("a", False, "executing"),), "unknown"),
        (told(True, "a"), (ON_A,), (known("a", False, "executing"),), "yes"),
        (told(True, "a"), (OFF_A,), (SENDING_A,), "unknown"),
        # A wider network elsewhere says nothing of this realm.
        (told(False, "a"), (OFF_A,), (known("b", True),), "yes"),
    ],
)
def test_in_force_is_judged_by_realm_and_by_address(
    facts: Facts, own: tuple[Known, ...], wider: tuple[Known, ...], expected: str
) -> None:
    assert in_force(facts, own, wider) == expected


@pytest.mark.parametrize(
    ("own", "wider", "expected"),
    [
        ((ON_A,), (), ("no", "yes")),
        ((SENDING_A,), (), ("no", "unknown")),
        ((OFF_A,), (), ("no", "no")),
        ((OFF_A,), (ON_A,), ("no", "yes")),
        ((SENDING_A, known("b", True)), (), ("unknown", "yes")),
        ((ON_A, known("b", True)), (), ("yes", "yes")),
    ],
)
def test_what_is_not_in_force_as_a_whole_may_be_so_in_one_realm(
    own: tuple[Known, ...], wider: tuple[Known, ...], expected: tuple[str, str]
) -> None:
    both = told(True, "a", "b")
    assert (in_force(both, own, wider), anywhere(both, own, wider)) == expected
