"""The sessions of a Django application, as Django itself writes them."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.test import override_settings

import tests.contracts.inside  # noqa: F401 - sets Django up
from actions.connectors._base import Unreadable
from actions.connectors.django_sessions import DjangoSessions, unpacked
from actions.outcomes import Applied, Found, Refused, Seen
from tests.connectors.server import MANAGER, Outside, outside, revoke

_numbers = itertools.count(1)


class Site:
    """A Django application with users 1 and 2."""

    def __init__(self, server: Outside) -> None:
        self.server, self.table = server, f"site_{next(_numbers)}"
        self.cut = server.now() - timedelta(minutes=30)
        server.run(
            f"CREATE TABLE {self.table} (session_key varchar(40) PRIMARY KEY, session_data text,"
            " expire_date timestamptz)"
        )
        server.run(f"GRANT SELECT, DELETE ON {self.table} TO {MANAGER}")
        settings = server.settings(table=self.table, issued_key="signed_in_at")
        given = {"user": MANAGER, "password": server.manager_password}
        self.connector = DjangoSessions(settings, server.here, given)

    def signs_in(self, who: int, minutes_ago: float | None, **kept: Any) -> str:
        """A session as Django stores it, under a key that nobody but the application knows."""
        key = f"key-{next(_numbers)}"
        if minutes_ago is not None:
            began = self.server.now() - timedelta(minutes=minutes_ago)
            kept["signed_in_at"] = began.isoformat()
        with override_settings(SECRET_KEY="the application's own"):
            data = SessionStore().encode({"_auth_user_id": str(who), **kept})
        self.server.run(
            f"INSERT INTO {self.table} VALUES (%s, %s, now() + interval '1 day')", key, data
        )
        return key

    def left(self) -> set[str]:
        return {key for (key,) in self.server.run(f"SELECT session_key FROM {self.table}")}


@pytest.fixture
def site() -> Site:
    return Site(outside())


def test_alices_old_sessions_go_and_nothing_else(site: Site) -> None:
    site.signs_in(1, 60)
    site.signs_in(1, 45, basket="x" * 4000)  # packed by zlib
    kept = {site.signs_in(1, 10), site.signs_in(2, 60)}
    cut = revoke("site:#1", site.cut)
    assert site.connector.observe(cut) is Seen.NO
    assert site.connector.apply(cut) == Applied(Found.CHANGED, "2 sessions ended")
    assert site.connector.verify(cut)
    assert site.left() == kept
    again = site.connector.apply(cut)
    assert isinstance(again, Applied) and again.found is Found.SO_ALREADY
    assert site.left() == kept


def test_a_session_saved_again_after_the_cut_is_as_old_as_it_began(site: Site) -> None:
    site.signs_in(1, 60, last_page="saved just now")
    site.connector.apply(revoke("site:#1", site.cut))
    assert not site.left()


def test_a_session_that_does_not_say_when_it_began_goes_and_is_not_judged(site: Site) -> None:
    site.signs_in(1, None)
    with pytest.raises(Unreadable, match="does not say"):
        site.connector.read("session.revoke", "account", "site:#1")
    site.connector.apply(revoke("site:#1", site.cut))
    assert not site.left()


def test_what_has_expired_is_not_a_session(site: Site) -> None:
    site.signs_in(1, 60)
    site.server.run(f"UPDATE {site.table} SET expire_date = now() - interval '1 s'")
    assert site.connector.read("session.revoke", "account", "site:#1")["sessions"] == 0


def test_who_may_not_is_refused_and_nothing_goes(site: Site) -> None:
    key = site.signs_in(1, 60)
    site.server.run(f"REVOKE DELETE ON {site.table} FROM {MANAGER}")
    assert isinstance(site.connector.apply(revoke("site:#1", site.cut)), Refused)
    assert site.left() == {key}


@pytest.mark.parametrize("data", ["", "junk", ".junk:1:2", "W10:1:2", ":", "." + "A" * 40 + ":a:b"])
def test_what_django_did_not_write_is_nobodys(data: str) -> None:
    assert unpacked(data) == {}
