"""The sessions of an application's users, as rows of a table."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from actions.connectors._base import Unreadable
from actions.connectors.sql_sessions import SqlSessions
from actions.outcomes import Applied, Found, Refused, RetryLater, Seen
from tests.connectors.server import Outside, outside, revoke

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Outside:
    return outside()


class Shop:
    """An application with two users: alice, who has an old and a new session, and bob."""

    def __init__(self, server: Outside) -> None:
        self.server, self.table = server, f"shop_{next(_numbers)}"
        self.connector: SqlSessions = server.application(self.table)
        self.cut = server.now() - timedelta(minutes=30)
        server.run(f"INSERT INTO {self.table}_accounts VALUES (1, 'alice'), (2, 'bob')")
        for who, minutes in ((1, 60), (1, 10), (2, 60)):
            server.run(
                f"INSERT INTO {self.table} (account_id, issued_at) VALUES (%s, %s)",
                who,
                server.now() - timedelta(minutes=minutes),
            )

    def left(self, who: int) -> int:
        counted = f"SELECT count(*) FROM {self.table} WHERE account_id = %s"
        return int(self.server.run(counted, who)[0][0])


@pytest.fixture
def shop(server: Outside) -> Shop:
    return Shop(server)


def test_alices_old_session_goes_and_nothing_else(shop: Shop) -> None:
    cut = revoke("shop:#1", shop.cut)
    assert shop.connector.observe(cut) is Seen.NO
    assert shop.connector.apply(cut) == Applied(Found.CHANGED, "1 session ended")
    assert shop.connector.verify(cut)
    assert (shop.left(1), shop.left(2)) == (1, 1)
    again = shop.connector.apply(cut)
    assert isinstance(again, Applied) and again.found is Found.SO_ALREADY
    assert shop.left(1) == 1


def test_what_is_read_is_the_number_and_their_ages(shop: Shop) -> None:
    facts = shop.connector.read("session.revoke", "account", "shop:#1")
    assert facts["sessions"] == 2
    assert str(facts["oldest"]) < str(facts["newest"])


def test_a_session_without_a_moment_goes_and_is_never_taken_for_a_new_one(shop: Shop) -> None:
    shop.server.run(f"INSERT INTO {shop.table} (account_id) VALUES (1)")
    cut = revoke("shop:#1", shop.cut)
    assert shop.connector.observe(cut) is Seen.UNREADABLE
    assert shop.connector.apply(cut) == Applied(Found.CHANGED, "2 sessions ended")
    assert shop.connector.observe(cut) is Seen.YES


def test_an_account_is_found_by_its_name(shop: Shop) -> None:
    named = shop.connector.find("account", "alice")
    assert named is not None and (named.id, named.label) == ("1", "alice")
    assert shop.connector.find("account", "eve") is None


def test_without_the_right_or_the_server_nothing_goes(shop: Shop) -> None:
    shop.server.run(f"REVOKE DELETE ON {shop.table} FROM manager")
    outcome = shop.connector.apply(revoke("shop:#1", shop.cut))
    assert isinstance(outcome, Refused) and "may not" in outcome.message
    settings = {**shop.connector.settings, "port": 1}
    away = SqlSessions(settings, shop.server.here, shop.connector.credentials)
    assert isinstance(away.apply(revoke("shop:#1", shop.cut)), RetryLater)
    assert shop.left(1) == 2


def test_names_in_the_settings_are_names_and_nothing_else(shop: Shop) -> None:
    settings = {**shop.connector.settings, "table": f"{shop.table}; DROP TABLE {shop.table}"}
    odd = SqlSessions(settings, shop.server.here, shop.connector.credentials)
    assert isinstance(odd.apply(revoke("shop:#1", shop.cut)), Refused)
    assert shop.left(1) == 2


def test_where_no_accounts_are_named_nobody_is_found_by_name(shop: Shop) -> None:
    settings = {k: v for k, v in shop.connector.settings.items() if k != "accounts"}
    nameless = SqlSessions(settings, shop.server.here, shop.connector.credentials)
    with pytest.raises(Unreadable):
        nameless.find("account", "alice")
