"""Sessions from before a cut-off are ended, and no others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from actions.outcomes import Applied, Found, Refused, Seen
from tests.connectors.server import Outside, Person, alive, disable, outside, revoke
from tests.console_process import eventually


@pytest.fixture(scope="module")
def server() -> Outside:
    return outside()


@pytest.fixture
def alice(server: Outside) -> Person:
    return server.person("alice")


def test_a_session_of_a_suspended_account_lives_on_until_it_is_ended(
    server: Outside, alice: Person
) -> None:
    connector, session = server.roles(), alice.sign_in()
    connector.apply(disable(alice.subject))
    assert alive(session), "NOLOGIN alone ended it: this test shows nothing"
    cut = revoke(alice.subject, server.now())
    assert connector.observe(cut) is Seen.NO
    assert connector.apply(cut) == Applied(Found.CHANGED, "1 session ended")
    assert connector.verify(cut) and not alive(session)
    assert connector.read("session.revoke", "account", alice.subject) == {
        "sessions": 0,
        "oldest": None,
        "newest": None,
    }


def test_a_session_begun_after_the_cut_off_is_not_ended_however_late_the_call_comes(
    server: Outside, alice: Person
) -> None:
    connector, old = server.roles(), alice.sign_in()
    cut = revoke(alice.subject, server.now())
    new = alice.sign_in()
    assert connector.apply(cut) == Applied(Found.CHANGED, "1 session ended")
    assert connector.verify(cut)
    assert not alive(old) and alive(new)
    again = connector.apply(cut)
    assert isinstance(again, Applied) and again.found is Found.SO_ALREADY
    assert alive(new)


def test_a_backend_that_has_anothers_pid_by_now_is_told_by_its_start(
    server: Outside, alice: Person
) -> None:
    """The pid is the same whatever the cut-off is: only the start tells who has it."""
    session = alice.sign_in()
    started = server.run(
        "SELECT backend_start FROM pg_stat_activity WHERE pid = %s", session.info.backend_pid
    )[0][0]
    at_its_start = revoke(alice.subject, started)
    outcome = server.roles().apply(at_its_start)
    assert isinstance(outcome, Applied) and outcome.found is Found.SO_ALREADY
    assert alive(session) and server.roles().observe(at_its_start) is Seen.YES
    just_after = revoke(alice.subject, started + timedelta(microseconds=1))
    assert server.roles().apply(just_after) == Applied(Found.CHANGED, "1 session ended")


def test_sessions_of_others_are_left_alone(server: Outside, alice: Person) -> None:
    bob = server.person("bob")
    session, other = alice.sign_in(), bob.sign_in()
    server.roles().apply(revoke(alice.subject, server.now()))
    assert not alive(session) and alive(other)


def test_sessions_outlive_their_dropped_role_and_are_ended_all_the_same(
    server: Outside, alice: Person
) -> None:
    session, subject = alice.sign_in(), alice.subject
    server.run(f"DROP ROLE {alice.name}")
    assert alive(session)
    assert server.roles().apply(revoke(subject, server.now())) == Applied(
        Found.CHANGED, "1 session ended"
    )
    assert not alive(session)


def test_sessions_of_a_protected_role_are_left_alone(server: Outside, alice: Person) -> None:
    session = alice.sign_in()
    connector = server.roles(protected=[alice.name])
    assert isinstance(connector.apply(revoke(alice.subject, server.now())), Refused)
    assert alive(session)


def test_who_may_not_see_when_sessions_began_does_not_say_that_there_are_none(
    server: Outside, alice: Person
) -> None:
    session, connector = alice.sign_in(), server.roles()
    server.run("REVOKE pg_read_all_stats FROM manager")
    try:
        outcome = connector.apply(revoke(alice.subject, server.now()))
        assert isinstance(outcome, Refused) and "may not" in outcome.message
        assert connector.observe(revoke(alice.subject, server.now())) is Seen.UNREADABLE
    finally:
        server.run("GRANT pg_read_all_stats TO manager")
    assert alive(session)


def test_who_may_not_end_sessions_is_told(server: Outside, alice: Person) -> None:
    session, connector = alice.sign_in(), server.roles()
    server.run("REVOKE pg_signal_backend FROM manager")
    try:
        outcome = connector.apply(revoke(alice.subject, server.now()))
    finally:
        server.run("GRANT pg_signal_backend TO manager")
    assert isinstance(outcome, Refused) and "may not" in outcome.message
    assert alive(session)


def test_a_cut_off_without_a_time_zone_is_refused(server: Outside, alice: Person) -> None:
    session = alice.sign_in()
    naive = revoke(alice.subject, server.now().replace(tzinfo=None) + timedelta(hours=1))
    assert isinstance(server.roles().apply(naive), Refused) and alive(session)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_cut_off_is_the_consoles_even_where_the_servers_clock_is_hours_off(
    server: Outside, alice: Person, hours: int
) -> None:
    shifted = server.roles()
    shifted = type(shifted)(shifted.settings, lambda: off_by(server, hours), shifted.credentials)
    old, began = alice.sign_in(), server.now()
    # An offset is good to a tenth of a second: the sessions stand further apart than that.
    eventually(lambda: server.now() - began > timedelta(seconds=0.6))
    cut = revoke(alice.subject, began + timedelta(seconds=0.3, hours=hours))
    new = alice.sign_in()
    assert shifted.observe(cut) is Seen.NO
    assert shifted.apply(cut) == Applied(Found.CHANGED, "1 session ended")
    assert shifted.verify(cut)
    assert not alive(old) and alive(new)


def off_by(server: Outside, hours: int) -> psycopg.Connection[Any]:
    """The console's database, whose clock is that many hours ahead of the outside server's."""
    connection = server.here()
    connection.execute("CREATE SCHEMA IF NOT EXISTS off")
    connection.execute("DROP FUNCTION IF EXISTS off.clock_timestamp()")
    shifted = f"pg_catalog.clock_timestamp() + interval '{hours} hours'"
    connection.execute(
        f"CREATE FUNCTION off.clock_timestamp() RETURNS timestamptz RETURN {shifted}".encode()
    )
    connection.execute("SET search_path = off, pg_catalog")
    return connection
