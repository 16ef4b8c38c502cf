"""What an action did stays to be read once the action itself has left the catalogue."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.test import Client

from actions.connectors._base import Redo
from tests.contracts.approving import rule
from tests.contracts.inside import Still
from tests.contracts.scripted import Work, world
from tests.contracts.test_account_pages import Person, text


@pytest.fixture
def left(still: Still, networks: Callable[[], str]) -> tuple[str, str]:
    """The ref of an operation whose action is no longer in the catalogue, and its subject."""
    name = networks()
    with world(still, Redo.NATURAL) as made:
        operation, effect = made.one(name)
        made.deliver(effect)
    return str(still.value("SELECT ref FROM operation WHERE id = %s", operation)), name


@pytest.mark.parametrize("who", ["ana", "noor"])
def test_every_page_that_tells_of_it_is_still_shown(
    still: Still, left: tuple[str, str], who: str
) -> None:
    ref, name = left
    reader = Person(still, who)
    for path in ("/", "/operations", f"/operations/{ref}", f"/operations/{ref}/live"):
        page = reader.get(path)
        assert page.status_code == 200, path
        assert Work.name in text(page) and ref in page.content.decode(), path
    assert reader.get(f"/subjects/network/{name}").status_code == 200


def test_every_call_that_tells_of_it_still_answers(still: Still, left: tuple[str, str]) -> None:
    ref, name = left
    token = still.new_caller(f"reader-{uuid.uuid4().hex[:8]}", "responders").token
    client = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Bearer {token}"})
    with still.acting("web"):
        for path in ("operations", f"operations/{ref}", f"subjects?kind=network&name={name}"):
            told = client.get(f"/api/v1/{path}")
            assert told.status_code == 200, path
            assert ref in told.content.decode(), path


def test_what_waits_for_approval_is_still_shown_by_its_steps(
    still: Still, networks: Callable[[], str]
) -> None:
    with world(still, Redo.NATURAL) as made, rule(still, "test-work", group="responders"):
        waits = made.ask(networks())
    ref = str(still.value("SELECT ref FROM operation WHERE id = %s", waits))
    page = Person(still, "raj").get(f"/approvals/{ref}")
    assert page.status_code == 200
    assert "only the steps below tell" in text(page)
