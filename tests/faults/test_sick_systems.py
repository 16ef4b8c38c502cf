"""A sick system beside a well one, with real keepers: left alone, tried by one, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.console_process import eventually
from tests.faults.world import World, world

MANY = 12
SICK, WELL = "sick", "well"


@pytest.fixture(scope="module")
def two() -> Iterator[World]:
    with world({SICK: "down-natural", WELL: "down-keyed"}) as given:
        yield given


_PAUSED = (
    "SELECT count(*) FROM realm_health h JOIN realm m ON m.id = h.realm_id"
    " WHERE m.name = %s AND h.paused_at IS NOT NULL"
)
_CALLS = (
    "SELECT count(*) FROM attempt a JOIN effect e ON e.id = a.effect_id JOIN realm m"
    " ON m.id = e.realm_id WHERE m.name = %s AND a.call_started_at IS NOT NULL"
)
_STATES = (
    "SELECT e.state, count(*) FROM effect e JOIN realm m ON m.id = e.realm_id"
    " WHERE m.name = %s GROUP BY 1"
)


@pytest.mark.parametrize("word", ["always hang", "always 503", "always reset"])
def test_the_well_one_notices_nothing_and_the_sick_one_gets_all_once_it_answers(
    two: World, fresh_network: Callable[[], str], word: str
) -> None:
    two.tell(SICK, word)
    before = two.console.value(_CALLS, SICK)
    bans = [two.ban(fresh_network()) for _ in range(MANY)]
    with two.keeper(), two.keeper():
        eventually(
            lambda: all(two.states(ref)[WELL] == "succeeded" for ref in bans), 120, "the well one"
        )
        eventually(lambda: two.console.value(_PAUSED, SICK), 120, "the sick one is left alone")
        called = two.console.value(_CALLS, SICK) - before
        # Five in a row, what two keepers had in hand meanwhile, and one try or two since.
        assert called <= 5 + 8 + 2, f"{called} calls of {MANY} effects"
        assert "failed" not in dict(two.console.rows(_STATES, SICK))
        two.tell(SICK)
        for ref in bans:
            assert two.settled(ref, 150) == {SICK: "succeeded", WELL: "succeeded"}
    assert two.console.value(_PAUSED, SICK) == 0
