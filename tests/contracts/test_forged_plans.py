"""What web writes past our own code is judged by what it does, not by the name that it was given."""

from __future__ import annotations

from typing import Any

import pytest

from actions import issue
from actions.catalogue._base import Intent
from actions.plan import Plan, PlannedEffect
from actions.subjects import RULES, Subject
from tests.contracts.approving import people, rule
from tests.contracts.inside import Still, refused
from tests.contracts.limits import protected
from tests.contracts.test_guards import ISSUE, issue_params


def forged(
    still: Still, name: str, action: str, wanted: dict[str, Any], sent: dict[str, Any]
) -> Any:
    """What `issue` is given to make an operation that says it wants one thing and sends another."""
    realm = still.value("SELECT id::text FROM realm WHERE name = 'edge-blocklist'")
    effect = PlannedEffect(realm, 1, "deny", 0, "network.deny", "natural", sent, "", 0)
    plan = Plan(action, 1, Subject("network", name, RULES), Intent(wanted), (effect,))
    given = issue_params(still, name, "forged", [effect.row()])
    whole = {"action": action, "desired": issue.dumps(wanted), "digest": plan.digest}
    return {**given, **whole, "ends_at": None, "span": None}


def made(still: Still, params: dict[str, Any]) -> int:
    with still.database("web") as web:
        row = web.execute(ISSUE, params).fetchone()
    assert row is not None and row[0] == "written", row
    return int(row[1])


def test_what_gives_back_and_takes_away_besides_is_refused_on_what_is_protected(
    still: Still, name: str
) -> None:
    both = {"blocked": True, "disabled": False}
    params = forged(still, name, "ban-network", both, both)
    with protected(still, name), still.database("web") as web:
        assert refused(web, ISSUE, params)[1] == "effect_spares_what_is_protected"


@pytest.mark.parametrize("action", ["lift-ban", "no-such-action"])
def test_a_ban_under_another_name_that_needs_nobody_is_not_sent(
    still: Still, name: str, action: str
) -> None:
    people(still)
    params = forged(still, name, action, {"blocked": False}, {"blocked": True})
    with rule(still):
        operation = made(still, params)
        still.deliver(operation)
    assert not still.listed(name)
    assert still.effects(operation) == ["failed"]
    why = still.value("SELECT message FROM effect WHERE operation_id = %s", operation)
    assert "no step of its action" in why or "may no longer ask" in why


def test_a_lift_that_is_one_is_sent(still: Still, name: str) -> None:
    """The same way in, to show that the two above are refused for what they would send."""
    operation = made(still, forged(still, name, "lift-ban", {"blocked": False}, {"blocked": False}))
    still.deliver(operation)
    assert still.effects(operation) == ["succeeded"]
