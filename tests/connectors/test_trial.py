"""The connector kit finds nothing wrong with ours, and does with those that lie."""

from __future__ import annotations

import pytest

from actions.connectors._base import Call
from actions.connectors.postgres_role import PostgresRole
from actions.outcomes import Applied, Found, Outcome, RetryLater, Unknown
from console.trial import Target, Trial
from tests.connectors.server import Outside, outside

TRIALS = ["twice", "already", "late", "no_rights", "lost_answers", "crashes", "silence"]


@pytest.fixture(scope="module")
def server() -> Outside:
    return outside()


def trial(server: Outside, kind: type[PostgresRole]) -> Trial:
    target = Target(
        "account",
        server.person("tried").subject,
        "account.disable",
        {"disabled": True},
        {"disabled": False},
    )
    ours = server.roles()
    return Trial(kind, ours.settings, ours.credentials, server.here, target)


class Unfenced(PostgresRole):
    """Lets a late call through: it says of each that it is the newest."""

    name = "unfenced"
    newest = 2**31

    def apply(self, call: Call) -> Outcome:
        Unfenced.newest += 1
        return super().apply(Call(
            f"{call.key}{Unfenced.newest}", Unfenced.newest, call.capability, call.kind,
            call.subject, call.desired,
        ))  # fmt: skip


class Certain(PostgresRole):
    """Takes a lost answer for a no."""

    name = "certain"

    def apply(self, call: Call) -> Outcome:
        outcome = super().apply(call)
        return RetryLater("not now") if isinstance(outcome, Unknown) else outcome


class Proud(PostgresRole):
    """Says each time that it changed something."""

    name = "proud"

    def apply(self, call: Call) -> Outcome:
        outcome = super().apply(call)
        return Applied(Found.CHANGED) if isinstance(outcome, Applied) else outcome


class Hopeful(PostgresRole):
    """Takes silence, and a closed door, for a yes."""

    name = "hopeful"

    def apply(self, call: Call) -> Outcome:
        outcome = super().apply(call)
        return outcome if isinstance(outcome, Applied) else Applied(Found.CHANGED)


def test_ours_does_what_it_declares(server: Outside) -> None:
    results = list(trial(server, PostgresRole).run())
    assert [result.trial for result in results] == TRIALS
    assert all(result.ok for result in results), results


@pytest.mark.parametrize(
    ("kind", "trials"),
    [
        (Unfenced, {"late"}),
        (Certain, {"lost_answers"}),
        (Proud, {"twice", "already"}),
        (Hopeful, {"no_rights"}),
    ],
    ids=lambda given: given.__name__ if isinstance(given, type) else "",
)
def test_one_that_lies_is_found_out(
    server: Outside, kind: type[PostgresRole], trials: set[str]
) -> None:
    tried = trial(server, kind)
    for name in trials:
        result = getattr(tried, name)()
        assert result.ok is False, result
