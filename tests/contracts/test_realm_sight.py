"""Who may not see a realm learns nothing of its accounts and secrets, whichever way they ask."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from actions import finish, history, issue, overview, prepare, undo, withdraw
from actions.answer import Answer
from actions.errors import NotFound, ParamsRefused, Refusal
from actions.incidents import open_incident
from actions.issue import Who
from actions.policy import Sight, rights
from tests.contracts.directory import Set, directory
from tests.contracts.inside import Still, ban
from tests.contracts.test_account_pages import Person, text

ALL = (
    "read",
    "incidents",
    *(f"ask:{a}" for a in ("suspend-account", "restore-account", "rotate-secret")),
)


@pytest.fixture
def place(still: Still) -> Iterator[Set]:
    with directory(still) as made:
        yield made


class Blind:
    """Kim, who may see and ask for every action, and nothing in the directory."""

    def __init__(self, still: Still) -> None:
        self.still = still
        self.name, self.group = (f"{what}-{uuid.uuid4().hex[:8]}" for what in ("kim", "outside"))
        api = still.new_caller(self.name, kind="person", scopes=ALL)
        self.header = f"Bearer {api.token}"
        self.id = still.value("SELECT id FROM caller WHERE username = %s", self.name)
        still.rows(
            "WITH made AS (INSERT INTO auth_group (name) VALUES (%s) RETURNING id),"
            " may AS (INSERT INTO entry_group_grant (content_object_id, group_id, permission_id)"
            "   SELECT DISTINCT g.content_object_id, made.id, g.permission_id FROM made, entry_group_grant g"
            "   JOIN auth_group r ON r.id = g.group_id AND r.name = 'responders')"
            " SELECT id FROM made",
            self.group,
        )
        still.join(self.name, self.group)
        self.person = Person(still, self.name)

    def submit(self, ask: Any) -> Answer:
        with self.still.acting("web"):
            return issue.submit(Who(caller=self.id), ask)

    def sight(self) -> Sight:
        with self.still.acting("web"):
            return rights(self.id).sees

    def get(self, path: str, **query: str) -> Any:
        with self.still.acting("web"):
            client = Client(SERVER_NAME="127.0.0.1")
            return client.get(f"/api/v1{path}", query, headers={"Authorization": self.header})

    def grant(self, place: Set, *rights: str) -> None:
        for right in rights:
            self.still.rows(
                "INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)"
                " SELECT %s, g.id, p.id FROM auth_group g, auth_permission p"
                " WHERE g.name = %s AND p.codename = %s RETURNING id",
                place.id,
                self.group,
                f"{right}_realm",
            )


@pytest.fixture
def kim(still: Still, place: Set) -> Blind:
    return Blind(still)


def _like(told: Answer, name: str) -> tuple[object, ...]:
    """What an answer says, the name of what was asked about apart."""
    said = told.message.replace(name, "NAME")
    return (told.disposition, told.code, told.status, said, told.operation, told.superseded_by)


NOWHERE = "no-such-realm:#16400"


def test_asking_is_told_as_for_a_realm_that_is_not_there(place: Set, kim: Blind) -> None:
    alice = place.account("alice")
    place.run("suspend-account", alice)
    told = kim.submit(place.ask("suspend-account", alice))
    nowhere = kim.submit(place.ask("suspend-account", NOWHERE))
    assert (told.disposition, told.code, told.operation) == ("refused", "no_realm", None)
    assert _like(told, alice) == _like(nowhere, NOWHERE)
    # Whatever is asked, and however: the two never differ.
    for more in ({"seen": 1}, {"seen": 7}, {"seen": 1, "again": True, "reason": "again"}):
        asked = [place.ask("suspend-account", name, **more) for name in (alice, NOWHERE)]
        here, there = (kim.submit(ask) for ask in asked)
        assert _like(here, alice) == _like(there, NOWHERE), more
    for name in (alice, NOWHERE):
        with pytest.raises(ParamsRefused, match="no parameter"):
            kim.submit(place.ask("suspend-account", name, {"colour": "red"}))


def test_a_draft_is_made_and_shown_to_nobody_who_may_not(
    still: Still, place: Set, kim: Blind
) -> None:
    alice = place.account("alice")
    with still.acting("web"):
        for name in (alice, NOWHERE):
            with pytest.raises(Refusal, match="No system"):
                prepare.prepare(Who(caller=kim.id), place.ask("suspend-account", name))
        made = prepare.prepare(still.who(), place.ask("suspend-account", alice)).draft
        with pytest.raises(NotFound):
            prepare.revisit(Who(caller=kim.id), prepare.find(made.id, lambda: kim.id))
    assert kim.get(f"/drafts/{made.id}").status_code == 404
    assert kim.person.get(f"/drafts/{made.id}").status_code == 404
    form = "/actions/suspend-account/new"
    assert place.name in Person(still, "ana").get(form, draft=made.id).content.decode()
    assert place.name not in kim.person.get(form, draft=made.id).content.decode()
    pressed = kim.person.post(f"/drafts/{made.id}/run")
    assert pressed.status_code == 404


def test_no_list_and_no_count_tells_of_it(still: Still, place: Set, kim: Blind) -> None:
    alice = place.account("alice")
    operation = place.run("suspend-account", alice)
    ref = still.value("SELECT ref FROM operation WHERE id = %s", operation)
    sight = kim.sight()
    with overdue(still, ref), still.acting("web"):
        ana = rights(still.caller()).sees
        wanted = history.Filter(kind="account", name=alice)
        assert [t["ref"] for t in history.operations(ana, wanted, "", 5).facts] == [ref]
        assert history.operations(sight, wanted, "", 5).facts == []
        assert (history.by_ref(ref, ana) or {})["ref"] == ref
        assert history.by_ref(ref, sight) is None
        assert history.lanes("account", alice, sight) == []
        assert operation in overview.last_subjects(ana)
        assert operation not in overview.last_subjects(sight)
        seen, unseen = overview.usage(ana)["suspend-account"], overview.usage(sight)
        assert seen.last_ref == ref
        assert unseen.get("suspend-account", overview.Usage()).last_ref != ref
        assert ref in _overdue(ana) and ref not in _overdue(sight)
    for path in ("/operations", "/", "/subjects", "/actions/suspend-account"):
        page = kim.person.get(path).content.decode()
        assert ref not in page and alice not in page and place.name not in page, path


@contextlib.contextmanager
def overdue(still: Still, ref: str) -> Iterator[None]:
    """The end of an operation is overdue meanwhile, and by more than that of any other."""

    def end(at: str) -> None:
        guard = "operation_intent_never_changes"
        still.rewrite("operation", guard, f"ends_at = {at} WHERE ref = %s", ref)

    end("requested_at - interval '1 year'")
    try:
        yield
    finally:
        end("NULL")  # other tests look at all that is due


def _overdue(sight: Sight) -> set[str]:
    return {told["ref"] for told in history.overdue_ends(sight, timedelta(0))}


def test_what_needs_a_person_is_shown_to_those_who_may_see_it(
    still: Still, place: Set, kim: Blind
) -> None:
    told = still.submit(place.ask("suspend-account", f"{place.name}:#16399"))
    place.finish(told.operation["id"])
    assert still.state(told.operation["id"]) == "failed"
    with still.acting("web"):
        refs = {t["ref"] for t in history.needs_a_person(rights(still.caller()).sees)}
        assert told.operation["ref"] in refs
        assert told.operation["ref"] not in {t["ref"] for t in history.needs_a_person(kim.sight())}


def test_an_incident_counts_only_what_one_may_see(still: Still, place: Set, kim: Blind) -> None:
    alice = place.account("alice")
    with still.acting("web"):
        incident, _ = open_incident(still.caller(), "Phishing", uuid.uuid4().hex)
    place.run("suspend-account", alice, incident=incident.number)
    with still.acting("web"):
        ana, sight = rights(still.caller()).sees, rights(kim.id).sees
        assert overview.states_of([incident.id], ana) == {incident.id: {"succeeded": 1}}
        assert overview.states_of([incident.id], sight) == {}
    assert alice not in kim.person.get(f"/incidents/{incident.ref}").content.decode()
    assert kim.get(f"/incidents/{incident.ref}").json()["operations"] == []


def test_its_page_and_its_name_are_as_of_nobody(still: Still, place: Set, kim: Blind) -> None:
    alice, bob = place.account("alice"), place.account("bob")
    operation = place.run("suspend-account", alice)
    place.look_up("alice")
    ref = still.value("SELECT ref FROM operation WHERE id = %s", operation)
    assert Person(still, "ana").get(f"/subjects/account/{quote(alice)}").status_code == 200
    for name in (alice, bob, NOWHERE):
        assert kim.person.get(f"/subjects/account/{quote(name)}").status_code == 404, name
        told = kim.get("/subjects", kind="account", name=name).json()
        assert told["lanes"] == []
        assert told["subject"] == {"kind": "account", "name": name, "rules": 1}
    assert "alice" in still.value("SELECT label FROM subject_label WHERE name = %s", alice)
    assert kim.person.get(f"/operations/{ref}").status_code == 404
    assert kim.get(f"/operations/{ref}").status_code == 404
    assert kim.get("/operations", kind="account", name=alice).json()["operations"] == []
    here, there = (
        kim.person.get("/subjects", q=f"account {realm}:alice") for realm in (place.name, "nowhere")
    )
    pages = [text(page).partition("Printed")[0] for page in (here, there)]
    said = [page.replace(place.name, "R").replace("nowhere", "R") for page in pages]
    assert said[0] == said[1]
    assert "There is no realm R that you may see" in said[0]


def test_whether_a_secret_was_rotated_is_not_told_by_where_a_search_leads(
    place: Set, kim: Blind
) -> None:
    secret = f"{place.name}:rotated"
    place.run("rotate-secret", secret)
    never = f"{place.name}:never"
    found, not_found = (kim.person.get("/subjects", q=name) for name in (secret, never))
    assert (found.status_code, not_found.status_code) == (200, 200)
    said = (text(page).partition("Printed")[0] for page in (found, not_found))
    assert len({one.replace("rotated", "X").replace("never", "X") for one in said}) == 1


def test_no_verb_reaches_it(still: Still, place: Set, kim: Blind) -> None:
    alice = place.account("alice")
    operation = place.run("suspend-account", alice)
    ref = still.value("SELECT ref FROM operation WHERE id = %s", operation)
    who = Who(caller=kim.id)
    with still.acting("web"):
        for verb in (finish.finish, withdraw.cancel):
            for unknown in (ref, "op_0123456789AB"):
                with pytest.raises(NotFound, match="no such operation that you may see"):
                    verb(who, unknown, uuid.uuid4().hex, "api")
        shown = history.by_ref(ref, rights(still.caller()).sees)
        assert shown is not None
        undoing = undo.ask_of(shown, "mine", uuid.uuid4().hex, "api")
        told = issue.submit(who, undoing)
        assert (told.status, told.code, told.operation) == (403, "no_realm", None)


def test_who_may_ask_there_is_told_what_stands_and_no_reason(place: Set, kim: Blind) -> None:
    """To ask is to be told that it is done already; why it was is for those who may see."""
    alice = place.account("alice")
    place.run("suspend-account", alice, reason="a secret reason")
    kim.grant(place, "ask")
    told = kim.submit(place.ask("suspend-account", alice))
    assert told.disposition == "existing"
    assert told.operation is not None and not told.sees.tells(told.operation)
    kim.grant(place, "see")
    seen = kim.submit(place.ask("suspend-account", alice))
    assert seen.operation is not None and seen.sees.tells(seen.operation)


def test_a_ban_is_refused_where_it_would_reach_a_system_they_may_not_ask(
    still: Still, second_realm: str, name: str, kim: Blind
) -> None:
    told = kim.submit(ban(name))
    assert (told.status, told.code) == (403, "may_not_ask_realm")
    hidden = still.value("SELECT name FROM realm WHERE id = %s", second_realm)
    assert hidden not in json.dumps([told.message, told.code])
    assert "edge-blocklist" not in told.message
