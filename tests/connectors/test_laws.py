"""The laws that hold for every connector, for those that work on a server of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from actions.registry import registry
from tests.connectors.server import Outside, call, disable, enable, outside, revoke
from tests.connectors.test_django_sessions import Site
from tests.contracts import test_connectors as contract
from tests.contracts.test_connectors import At

_numbers = itertools.count(1)
_held = []
"""Sessions that stay open while the tests last."""


def an_account(server: Outside) -> At:
    subject = server.person("alice").subject
    return At(server.roles(), disable(subject), enable(subject))


def sessions_of_a_role(server: Outside) -> At:
    alice = server.person("alice")
    _held.append(alice.sign_in())
    return At(server.roles(), revoke(alice.subject, server.now()), None)


def sessions_in_a_table(server: Outside) -> At:
    table = f"law_{next(_numbers)}"
    connector = server.application(table)
    server.run(f"INSERT INTO {table} (account_id, issued_at) VALUES (1, now())")
    return At(connector, revoke("app:#1", server.now()), None)


def sessions_of_a_django_application(server: Outside) -> At:
    site = Site(server)
    site.signs_in(1, 0)
    return At(site.connector, revoke("site:#1", server.now()), None)


def a_password(server: Outside) -> At:
    app, connector = server.person("app"), server.roles()
    asked = call("credential.rotate", f"db:{app.name}", {"rotated": True}, step="make")
    return At(connector, replace(asked, made=connector.make(asked)), None)


WORK: dict[tuple[str, str], Callable[[Outside], At]] = {
    ("postgres_role", "account.disable"): an_account,
    ("postgres_role", "session.revoke"): sessions_of_a_role,
    ("postgres_role", "credential.rotate"): a_password,
    ("sql_sessions", "session.revoke"): sessions_in_a_table,
    ("django_sessions", "session.revoke"): sessions_of_a_django_application,
}
# A later rotation has another value, and finds none of it there; of these two there is no way back.
EXEMPT = {("credential.rotate", contract.says_so_already_to_a_later_generation)} | {
    (capability, law)
    for capability in ("credential.rotate", "session.revoke")
    for law in contract.OF_A_WAY_BACK
}
CASES = [
    pytest.param(law, work, id=f"{law.__name__} {' '.join(at)}")
    for law in contract.LAWS
    for at, work in WORK.items()
    if (at[1], law) not in EXEMPT
]


@pytest.mark.parametrize(("law", "work"), CASES)
def test_every_connector(law: Callable[[At], None], work: Callable[[Outside], At]) -> None:
    law(work(outside()))


def test_every_capability_of_ours_is_held_to_the_laws() -> None:
    here = {(k.name, c) for k in registry.connectors() for c in k.offers}
    assert here == set(WORK) | {("blocklist", "network.deny")}


def test_connectors_that_need_a_server_are_not_passed_over_in_silence() -> None:
    """The contract suite leaves out what has no realm in a console without the example."""
    assert {name for name, _ in WORK} == contract.ELSEWHERE
