"""A password is made anew in steps, and at each step it is tried who gets in with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from actions.connectors._base import Call
from actions.connectors.postgres_role import PostgresRole
from actions.outcomes import Applied, Found, Outcome, Refused, RetryLater, Seen
from tests.connectors.server import Outside, Person, call, outside


@pytest.fixture(scope="module")
def server() -> Outside:
    return outside()


@pytest.fixture
def app(server: Outside) -> Person:
    return server.person("app_rw")


def rotation(
    connector: PostgresRole, slot: str, generation: int = 1
) -> tuple[Mapping[str, str], Call, Call, Call]:
    """What was made, and the calls of the three steps."""
    asked = call("credential.rotate", f"db:{slot}", {"rotated": True}, generation, step="make")
    made = connector.make(asked)
    make = replace(asked, made=made)
    prove, retire = (
        replace(make, step=step, key=f"{make.key}{step}") for step in ("prove", "retire")
    )
    return made, make, prove, retire


def test_a_role_of_its_own_changes_over_at_once(server: Outside, app: Person) -> None:
    connector = server.roles()
    made, make, prove, retire = rotation(connector, app.name)
    assert (made["username"], made["version"], made["previous"]) == (app.name, "1", "")
    assert app.gets_in(), "making the value changed something there"
    assert not server.lets_in(app.name, made["password"])
    assert connector.observe(make) is Seen.NO

    assert connector.apply(make) == Applied(Found.CHANGED, f"version 1 on {app.name}")
    assert not app.gets_in() and server.lets_in(app.name, made["password"])
    for step in (prove, retire):
        assert isinstance(connector.apply(step), Applied) and connector.verify(step)
    assert connector.read("credential.rotate", "secret", f"db:{app.name}") == {
        "version": 1,
        "roles": {app.name: {"version": 1, "login": True}},
    }


def test_a_pair_overlaps_until_the_old_value_is_retired(server: Outside) -> None:
    first, second = server.person("pay_a"), server.person("pay_b", login=False)
    connector = server.roles(secrets={"app_pay": [first.name, second.name]})
    made, make, prove, retire = rotation(connector, "app_pay")
    assert (made["username"], made["previous"]) == (second.name, first.name)
    steps = [(make, True), (prove, True), (retire, False)]
    for step, old_gets_in in steps:
        assert isinstance(connector.apply(step), Applied) and connector.verify(step), step.step
        assert first.gets_in() is old_gets_in, step.step
        assert server.lets_in(second.name, made["password"]), step.step
    # And back again: the first role's turn, whose old value is no good.
    again, make, prove, retire = rotation(connector, "app_pay", 2)
    assert (again["username"], again["version"]) == (first.name, "2")
    for step in (make, prove):
        connector.apply(step)
        assert server.lets_in(first.name, again["password"])
        assert server.lets_in(second.name, made["password"])
    connector.apply(retire)
    assert server.lets_in(first.name, again["password"]) and not first.gets_in()
    assert not server.lets_in(second.name, made["password"])


def test_the_new_value_set_twice_leaves_the_same_bytes(server: Outside, app: Person) -> None:
    connector = server.roles()
    _, make, _, _ = rotation(connector, app.name)
    connector.apply(make)
    once = app.stored()
    again = connector.apply(make)
    assert isinstance(again, Applied) and again.found is Found.NOT_KNOWN
    assert app.stored() == once


def test_the_value_itself_never_goes_to_the_server(server: Outside, app: Person) -> None:
    server.run("ALTER SYSTEM SET log_statement = 'all'")
    server.run("SELECT pg_reload_conf()")
    try:
        connector = server.roles()
        made, *steps = rotation(connector, app.name)
        for step in steps:
            connector.apply(step)
    finally:
        server.run("ALTER SYSTEM RESET log_statement")
        server.run("SELECT pg_reload_conf()")
    logged = "".join(p.read_text() for p in (server.home / "postgres" / "log").iterdir())
    assert made["verifier"] in logged, "nothing of it was logged: this test shows nothing"
    assert made["password"] not in logged
    assert made["password"] not in repr(steps)


def test_a_late_call_of_an_older_rotation_sets_nothing(server: Outside, app: Person) -> None:
    """Both were made when version 0 was there, and so are both version 1."""
    connector = server.roles()
    _, old, _, _ = rotation(connector, app.name, 1)
    made, new, _, _ = rotation(connector, app.name, 2)
    connector.apply(new)
    assert isinstance(connector.apply(old), Refused)
    assert server.lets_in(app.name, made["password"])


def test_an_old_value_is_not_retired_before_the_new_one_is_taken(server: Outside) -> None:
    first, second = server.person("pay_a"), server.person("pay_b", login=False)
    connector = server.roles(secrets={"app_pay": [first.name, second.name]})
    _, make, _, retire = rotation(connector, "app_pay")
    assert isinstance(connector.apply(retire), Refused) and first.gets_in()
    connector.apply(make)
    verifier = server.verifier(second.name, "somebody else's")
    server.run(f"ALTER ROLE {second.name} PASSWORD '{verifier}'")
    assert isinstance(connector.apply(retire), Refused) and first.gets_in()


def test_a_late_retire_leaves_a_value_alone_that_was_made_after_it(server: Outside) -> None:
    first, second = server.person("pay_a"), server.person("pay_b", login=False)
    connector = server.roles(secrets={"app_pay": [first.name, second.name]})
    _, make, _, retire = rotation(connector, "app_pay", 1)
    connector.apply(make)
    connector.apply(retire)
    made, *later = rotation(connector, "app_pay", 2)
    connector.apply(later[0])
    assert isinstance(connector.apply(retire), Refused)
    assert server.lets_in(first.name, made["password"])


def test_of_an_overlap_that_was_left_open_the_value_in_use_stays(server: Outside) -> None:
    """The newer value was never handed out: payments still signs in with the older."""
    first, second = server.person("pay_a"), server.person("pay_b", login=False)
    connector = server.roles(secrets={"app_pay": [first.name, second.name]})
    _, make, _, _ = rotation(connector, "app_pay", 1)
    connector.apply(make)
    with first.sign_in():
        again, *_ = rotation(connector, "app_pay", 2)
        assert (again["username"], again["version"]) == (second.name, "2")


def test_a_suspended_role_gets_a_new_value_and_stays_suspended(
    server: Outside, app: Person
) -> None:
    server.run(f"ALTER ROLE {app.name} NOLOGIN")
    connector = server.roles()
    made, *steps = rotation(connector, app.name)
    for step in steps:
        assert isinstance(connector.apply(step), Applied) and connector.verify(step)
    assert not server.lets_in(app.name, made["password"])
    server.run(f"ALTER ROLE {app.name} LOGIN")
    assert server.lets_in(app.name, made["password"])


def prove_elsewhere(connector: PostgresRole, prove: Call, **settings: object) -> Outcome:
    elsewhere = {**connector.settings, **settings}
    return PostgresRole(elsewhere, connector.database, connector.credentials).apply(prove)


def test_a_value_cannot_be_proved_at_a_server_that_is_away(server: Outside, app: Person) -> None:
    connector = server.roles()
    _, make, prove, _ = rotation(connector, app.name)
    connector.apply(make)
    assert isinstance(prove_elsewhere(connector, prove, port=1), RetryLater)


def test_a_value_is_not_proved_by_a_server_that_asks_for_none(server: Outside, app: Person) -> None:
    connector = server.roles()
    _, make, prove, _ = rotation(connector, app.name)
    rules = server.home / "postgres" / "pg_hba.conf"
    kept = rules.read_text()
    rules.write_text(f"host all {app.name} 127.0.0.1/32 trust\n{kept}")
    server.run("SELECT pg_reload_conf()")
    try:
        outcome = connector.apply(prove)
    finally:
        rules.write_text(kept)
        server.run("SELECT pg_reload_conf()")
    assert isinstance(outcome, RetryLater)
    assert isinstance(connector.apply(make), Applied)


def test_a_superusers_password_is_left_alone(server: Outside) -> None:
    from actions.connectors._base import NotMade

    with pytest.raises(NotMade, match="left alone"):
        rotation(server.roles(), "postgres")


def test_a_value_that_was_erased_is_not_set(server: Outside, app: Person) -> None:
    asked = call("credential.rotate", f"db:{app.name}", {"rotated": True}, step="make")
    assert isinstance(server.roles().apply(asked), Refused) and app.gets_in()
    assert server.roles().observe(asked) is Seen.UNREADABLE
