"""The fixtures of the contract tests: a database on which nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contracts import inside
from tests.contracts.inside import Still, ban


@pytest.fixture(scope="session")
def still() -> Still:
    """The console's database, prepared, with nothing running: what moves, a test moved."""
    return inside.still()


@pytest.fixture
def second_realm(still: Still) -> Iterator[str]:
    """Another block list that bans go to, while a test lasts; the id of its realm."""
    realm = still.value(
        """
        WITH made AS (INSERT INTO realm (id, name, title, connector, version, enabled)
               VALUES (gen_random_uuid(), 'second-' || gen_random_uuid(), 'Second', 'blocklist', 1, true)
               RETURNING id),
             set AS (INSERT INTO realm_version (realm_id, number, settings, created_at)
               SELECT id, 1, jsonb_build_object('list', 'second-list'), now() FROM made),
             may AS (INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)
               SELECT DISTINCT made.id, g.group_id, g.permission_id FROM made, realm_group_grant g)
        SELECT id FROM made
        """
    )
    yield str(realm)
    still.rows("UPDATE realm SET enabled = false WHERE id = %s RETURNING id", realm)


@pytest.fixture
def networks(fresh_network: Callable[[], str]) -> Callable[[], str]:
    """Makes canonical names of networks that no other test uses."""
    return lambda: f"{fresh_network()}/32"


@pytest.fixture
def name(networks: Callable[[], str]) -> str:
    """The canonical name of a network that no other test uses."""
    return networks()


@pytest.fixture
def operation(still: Still, name: str) -> int:
    """A ban that was carried out."""
    return still.made(ban(name))
