"""The example's realms come into a home of any age, and follow their server to another port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from actions import realms
from console import world
from console.example import Place
from tests.contracts.inside import Still

PLACE = Place(
    "example-db", "Example", "postgres_role", {"host": "127.0.0.1", "port": 1}, {"password": "p"}
)


@pytest.fixture(autouse=True)
def _made(still: Still, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a home whose world was made before there was an example."""
    monkeypatch.setattr(django_settings, "HOME", still.home)
    people = still.rows("SELECT id, password, is_active FROM caller ORDER BY id")
    with still.acting("owner"):
        world.ensure_places([PLACE])
        yield
    assert still.rows("SELECT id, password, is_active FROM caller ORDER BY id") == people
    still.rows("UPDATE realm SET enabled = false WHERE name = %s RETURNING id", PLACE.name)


def rights(still: Still, group: str) -> set[str]:
    rows = still.rows(
        "SELECT p.codename FROM realm_group_grant g JOIN auth_permission p ON p.id = g.permission_id"
        " JOIN auth_group a ON a.id = g.group_id JOIN realm r ON r.id = g.content_object_id"
        " WHERE a.name = %s AND r.name = %s",
        group,
        PLACE.name,
    )
    return {name for (name,) in rows}


def test_responders_may_ask_there_and_auditors_only_look(still: Still) -> None:
    assert rights(still, "responders") == {"see_realm", "ask_realm"}
    assert rights(still, "auditors") == {"see_realm"}


def test_it_is_made_once_and_changed_when_its_server_moved(still: Still) -> None:
    version = realms.current(PLACE.name).number
    world.ensure_places([PLACE])
    assert realms.current(PLACE.name).number == version
    world.ensure_places([replace(PLACE, settings={"host": "127.0.0.1", "port": 2})])
    assert realms.current(PLACE.name).number == version + 1
    world.ensure_places([PLACE])


def test_rights_that_were_taken_away_since_are_not_given_again(still: Still) -> None:
    taken = (
        "DELETE FROM realm_group_grant g USING auth_group a, realm r WHERE a.id = g.group_id"
        " AND r.id = g.content_object_id AND a.name = 'responders' AND r.name = %s"
        " RETURNING g.content_object_id, g.group_id, g.permission_id"
    )
    gone = still.rows(taken, PLACE.name)
    assert gone
    world.ensure_places([PLACE])
    assert rights(still, "responders") == set()
    for row in gone:
        with still.database() as at:
            at.execute(
                "INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)"
                " VALUES (%s, %s, %s)",
                row,
            )


# Actions that a later version brings.
GRANTS = "entry_group_grant g USING catalogue_entry n WHERE n.id = g.content_object_id"


def may_ask(at: CursorWrapper, action: str) -> set[str]:
    """The groups that may ask for an action, as seen by whoever changes it."""
    at.execute(
        "SELECT a.name FROM entry_group_grant g JOIN auth_permission p ON p.id = g.permission_id"
        " JOIN auth_group a ON a.id = g.group_id JOIN catalogue_entry n ON n.id = g.content_object_id"
        " WHERE p.codename = 'ask_entry' AND n.name = %s",
        [action],
    )
    return {name for (name,) in at.fetchall()}


@pytest.fixture
def at(still: Still) -> Iterator[CursorWrapper]:
    """The database as its owner, with nothing kept of what is done to it."""
    with transaction.atomic(), connection.cursor() as cursor:
        yield cursor
        transaction.set_rollback(True)


def test_an_action_of_a_later_version_comes_with_its_rights(at: CursorWrapper) -> None:
    at.execute(f"DELETE FROM {GRANTS} AND n.name = 'rotate-secret'")
    at.execute("DELETE FROM catalogue_entry WHERE name = 'rotate-secret'")
    world.sync_catalogue()
    assert may_ask(at, "rotate-secret") == {"responders", "runbooks"}


def test_rights_on_an_action_that_were_taken_away_are_not_given_again(at: CursorWrapper) -> None:
    at.execute(f"DELETE FROM {GRANTS} AND n.name = 'rotate-secret'")
    world.sync_catalogue()
    world.ensure_places([replace(PLACE, name="example-db-2")])
    assert may_ask(at, "rotate-secret") == set()


def _held(at: CursorWrapper, codename: str) -> set[str]:
    """The groups that hold a right, on whatever."""
    at.execute(
        "SELECT a.name FROM auth_group a JOIN (SELECT group_id, permission_id FROM auth_group_permissions"
        " UNION SELECT group_id, permission_id FROM entry_group_grant UNION"
        " SELECT group_id, permission_id FROM realm_group_grant) g ON g.group_id = a.id"
        " JOIN auth_permission p ON p.id = g.permission_id WHERE p.codename = %s",
        [codename],
    )
    return {name for (name,) in at.fetchall()}


def test_a_home_from_before_anybody_administered_gets_an_admin_and_approvers_once(
    at: CursorWrapper,
) -> None:
    at.execute("ALTER TABLE auth_group_permissions DISABLE TRIGGER USER")
    at.execute("DELETE FROM auth_group_permissions")
    at.execute(
        "DELETE FROM entry_group_grant USING auth_permission p"
        " WHERE p.id = permission_id AND p.codename = 'approve_entry'"
    )
    world.ensure_administered()
    assert _held(at, "administer") == {"admins"}
    assert _held(at, "read_log") == {"admins", "auditors"}
    assert "approvers" in _held(at, "approve_entry") & _held(at, "approve_realm")
    at.execute(
        "DELETE FROM entry_group_grant USING auth_permission p"
        " WHERE p.id = permission_id AND p.codename = 'approve_entry'"
    )
    world.ensure_administered()
    assert _held(at, "approve_entry") == set()
