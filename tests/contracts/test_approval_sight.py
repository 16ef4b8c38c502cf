"""What waits for approval, and why it was decided so, is told to those alone who may see it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from actions import approve, inbox
from actions.answer import Answer
from actions.incident_rules import Change as Changed
from actions.incidents import By, change, open_incident
from actions.policy import rights
from tests.contracts.approving import facts, people, rule
from tests.contracts.directory import Set, directory
from tests.contracts.inside import Still, ban
from tests.contracts.test_account_pages import Person
from tests.contracts.test_realm_sight import Blind


@pytest.fixture(autouse=True)
def everybody(still: Still) -> None:
    people(still)


@pytest.fixture
def place(still: Still) -> Iterator[Set]:
    with directory(still) as made:
        yield made


@pytest.fixture
def kim(still: Still, place: Set) -> Blind:
    return Blind(still)


def test_what_waits_in_a_realm_is_not_told_to_who_may_not_see_it(
    still: Still, place: Set, kim: Blind
) -> None:
    alice = place.account("alice")
    with rule(still, "suspend-account"):
        told = still.submit(place.ask("suspend-account", alice))
    ref, id = told.operation["ref"], told.operation["id"]
    with still.acting("web"):
        li, blind = rights(still.caller("li")).sees, kim.sight()
        assert "suspend-account" in blind
        assert id in {t["id"] for t in inbox.of(still.caller("li"), li).mine}
        found = inbox.of(kim.id, blind)
        listed = [*found.mine, *found.decided, *found.asked, *(t for t, _ in found.others)]
        assert id not in {t["id"] for t in listed}
        # Not by a count either.
        assert inbox.waiting_count(li) - inbox.waiting_count(blind) >= 1
        assert found.total == inbox.waiting(blind).total == len(listed)
        assert inbox.counted(kim.id, blind)[1] == found.total
    page, called = kim.person.get("/approvals"), kim.get("/approvals")
    for text in (page.content.decode(), json.dumps(called.json())):
        assert ref not in text and alice not in text and place.name not in text
    assert _decline(still, "li", id, "no").disposition == "declined"
    with still.acting("web"):
        assert id in {t["id"] for t in inbox.decided_last(li)}
        assert id not in {t["id"] for t in inbox.decided_last(blind)}
    assert ref not in kim.person.get("/approvals").content.decode()


def _decline(still: Still, by: str, operation: int, why: str) -> Answer:
    told = facts(still, operation)
    given = (why, told["digest"], uuid.uuid4().hex, "browser")
    with still.acting("web"):
        return approve.decline(still.who(by), told["ref"], *given)


def test_why_it_was_decided_so_is_not_told_to_who_may_not_know_why_it_was_asked(
    still: Still, name: str
) -> None:
    word = f"canary{uuid.uuid4().hex}"
    with still.acting("web"):
        made, _ = open_incident(still.caller(), "Insider", uuid.uuid4().hex, restricted=True)
        added = Changed(version=made.version, add=("kim",))
        change(By(still.caller(), "api"), made.number, added, uuid.uuid4().hex)
    with rule(still):
        operation = still.submit(ban(name, incident=made.number)).operation
    assert _decline(still, "li", operation["id"], f"because of {word}").disposition == "declined"
    stranger, member = (_decline(still, by, operation["id"], "no") for by in ("bo", "kim"))
    for told in (stranger, member):
        assert (told.disposition, told.changed) == ("existing", False)
        assert "li declined it" in told.message
    assert word not in stranger.message
    assert f"“because of {word}”" in member.message
    pages = ("/approvals", f"/operations/{operation['ref']}?record=all")
    for who, knows in (("raj", False), ("ana", True)):
        for path in pages[1:] if knows else pages:
            text = Person(still, who).get(path).content.decode()
            assert "li" in text
            assert (word in text) is knows, (who, path)
