"""An account of an outside PostgreSQL is closed and opened again, whatever happens meanwhile."""

from __future__ import annotations

import secrets
from dataclasses import replace

import psycopg
import pytest

from actions.connectors import _pg_roles
from actions.connectors._base import Unreadable
from actions.outcomes import Applied, Found, Refused, RetryLater, Seen
from tests.connectors.server import Outside, Person, alive, disable, enable, outside


@pytest.fixture(scope="module")
def server() -> Outside:
    return outside()


@pytest.fixture
def alice(server: Outside) -> Person:
    return server.person("alice")


def test_alice_is_shut_out_and_let_in_again(server: Outside, alice: Person) -> None:
    connector = server.roles()
    assert connector.observe(disable(alice.subject)) is Seen.NO
    assert connector.apply(disable(alice.subject)) == Applied(Found.CHANGED, alice.name)
    assert connector.verify(disable(alice.subject)) and not alice.gets_in()
    facts = connector.read("account.disable", "account", alice.subject)
    assert facts == {"disabled": True, "label": alice.name}
    assert connector.apply(enable(alice.subject)) == Applied(Found.CHANGED, alice.name)
    assert alice.gets_in()


def test_pressed_three_times_it_says_once_that_it_changed_something(
    server: Outside, alice: Person
) -> None:
    connector = server.roles()
    first, second, third = (connector.apply(disable(alice.subject)) for _ in range(3))
    assert isinstance(first, Applied) and first.found is Found.CHANGED
    for repeat in (second, third):
        assert isinstance(repeat, Applied) and repeat.found is Found.NOT_KNOWN


def test_an_account_that_was_shut_before_is_said_to_have_been_so(
    server: Outside, alice: Person
) -> None:
    server.run(f"ALTER ROLE {alice.name} NOLOGIN")
    outcome = server.roles().apply(disable(alice.subject))
    assert isinstance(outcome, Applied) and outcome.found is Found.SO_ALREADY


def test_a_late_call_of_an_older_generation_does_not_shut_alice_out_again(
    server: Outside, alice: Person
) -> None:
    connector = server.roles()
    connector.apply(disable(alice.subject, 1))
    connector.apply(enable(alice.subject, 2))
    before = alice.stored()
    assert isinstance(connector.apply(disable(alice.subject, 1)), Refused)
    assert alice.gets_in() and alice.stored() == before


def test_another_call_of_the_same_generation_is_refused(server: Outside, alice: Person) -> None:
    connector = server.roles()
    connector.apply(disable(alice.subject, 1))
    other = replace(enable(alice.subject, 1), key="another")
    assert isinstance(connector.apply(other), Refused)
    assert not alice.gets_in()


def test_alice_cannot_let_herself_in_by_taking_the_mark_off(server: Outside, alice: Person) -> None:
    connector = server.roles()
    connector.apply(disable(alice.subject, 1))
    connector.apply(enable(alice.subject, 2))
    with alice.sign_in() as at:
        at.execute(f"ALTER ROLE {alice.name} RESET ALL".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            at.execute(f"ALTER ROLE {alice.name} SET steadyhand.access = '99:x'".encode())
    assert isinstance(connector.apply(disable(alice.subject, 1)), Refused)


def test_a_role_that_was_renamed_meanwhile_is_the_same_account(
    server: Outside, alice: Person
) -> None:
    subject = alice.subject
    server.run(f"ALTER ROLE {alice.name} RENAME TO {alice.name}_smith")
    alice.name += "_smith"
    assert server.roles().apply(disable(subject)) == Applied(Found.CHANGED, alice.name)
    assert not alice.gets_in()


def test_a_new_role_under_the_name_of_a_dropped_one_is_somebody_else(
    server: Outside, alice: Person
) -> None:
    subject = alice.subject
    server.run(f"DROP ROLE {alice.name}")
    server.run(f"CREATE ROLE {alice.name} LOGIN")
    server.manage(alice.name)
    namesake = Person(server, alice.name, secrets.token_urlsafe(12))
    outcome = server.roles().apply(disable(subject))
    assert isinstance(outcome, Refused) and "no such account any more" in outcome.message
    assert namesake.gets_in()
    with pytest.raises(Unreadable, match="no such account any more"):
        server.roles().read("account.disable", "account", subject)


def test_an_account_is_found_by_its_name_and_named_by_its_number(
    server: Outside, alice: Person
) -> None:
    named = server.roles().find("account", alice.name)
    assert named is not None and (named.id, named.label) == (str(alice.oid), alice.name)
    assert server.roles().find("account", "nobody at all") is None


def test_superusers_the_management_role_and_protected_roles_are_left_alone(
    server: Outside, alice: Person
) -> None:
    connector = server.roles(protected=[alice.name])
    for name in ("postgres", "manager", "pg_monitor", alice.name):
        oid = server.run("SELECT oid FROM pg_roles WHERE rolname = %s", name)[0][0]
        outcome = connector.apply(disable(f"db:#{oid}"))
        assert isinstance(outcome, Refused), name
        assert "may not do that" not in outcome.message, "the server had to say it"
    assert alice.gets_in()


def test_what_is_no_number_of_a_role_is_refused(server: Outside) -> None:
    for subject in ("db:alice", "db:#", "db:#1; DROP", "db:#99999999999"):
        assert isinstance(server.roles().apply(disable(subject)), Refused)


def test_without_the_right_nothing_happens_and_it_is_told(server: Outside) -> None:
    stranger = server.person("stranger", managed=False)
    outcome = server.roles().apply(disable(stranger.subject))
    assert isinstance(outcome, Refused) and "may not" in outcome.message
    assert stranger.gets_in()


def test_a_server_that_is_away_or_does_not_know_us_is_told_apart(
    server: Outside, alice: Person
) -> None:
    away = server.roles(port=1)
    assert isinstance(away.apply(disable(alice.subject)), RetryLater)
    server.manager_password, kept = "wrong", server.manager_password
    unknown = server.roles()
    server.manager_password = kept
    outcome = unknown.apply(disable(alice.subject))
    assert isinstance(outcome, Refused) and "wrong" not in outcome.message
    assert unknown.observe(disable(alice.subject)) is Seen.UNREADABLE


def test_two_calls_at_once_wait_for_each_other(server: Outside, alice: Person) -> None:
    """Somebody else alters the role in a transaction that is open: we are told later, or wait."""
    with server.here() as other, other.transaction(force_rollback=True):
        other.execute(f"ALTER ROLE {alice.name} CONNECTION LIMIT 3".encode())
        outcome = server.roles().apply(disable(alice.subject))
        assert isinstance(outcome, RetryLater), outcome
    assert alice.gets_in()
    with alice.sign_in() as session:
        assert alive(session)


def test_a_role_renamed_between_the_look_and_the_change_is_not_mistaken(
    server: Outside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALTER ROLE goes by name, and by then the name is that of somebody else."""
    subject, looked = alice.subject, _pg_roles.by_oid

    def renamed_after(at: psycopg.Connection[tuple[object, ...]], oid: str) -> object:
        role = looked(at, oid)
        monkeypatch.setattr(_pg_roles, "by_oid", looked)
        server.run(f"ALTER ROLE {alice.name} RENAME TO {alice.name}_smith")
        server.run(f"CREATE ROLE {alice.name} LOGIN")
        server.manage(alice.name)
        return role

    monkeypatch.setattr(_pg_roles, "by_oid", renamed_after)
    assert isinstance(server.roles().apply(disable(subject)), RetryLater)
    row = server.run("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", alice.name)
    assert row == [(True,)], "somebody else was shut out"
    assert server.roles().apply(disable(subject)) == Applied(Found.CHANGED, f"{alice.name}_smith")
