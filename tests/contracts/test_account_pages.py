"""The pages and the API of accounts and secrets, from the form to the finished operation."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from actions.models import Caller
from tests.contracts.directory import Directory, Set, directory
from tests.contracts.inside import Still

PASSWORD = Directory.password


@pytest.fixture
def place(still: Still) -> Iterator[Set]:
    with directory(still) as made:
        yield made


class Person:
    """Somebody signed in, and what they see."""

    def __init__(self, still: Still, name: str) -> None:
        self.still = still
        with still.acting("web"):
            self.client = Client(SERVER_NAME="127.0.0.1")
            caller = Caller.objects.get(username=name)
            self.client.force_login(caller, "django.contrib.auth.backends.ModelBackend")

    def get(self, path: str, **query: str) -> Any:
        with self.still.acting("web"):
            return self.client.get(path, query)

    def post(self, path: str, **fields: str) -> Any:
        with self.still.acting("web"):
            return self.client.post(path, fields)

    def draft(self, action: str, **fields: str) -> str:
        """Fill in the form; the path of the draft that it becomes."""
        assert self.get(f"/actions/{action}").status_code == 200
        assert self.get(f"/actions/{action}/new").status_code == 200
        sent = self.post(f"/actions/{action}/new", reason="it was stolen", **fields)
        assert sent.status_code == 302, text(sent)
        return str(sent["Location"])

    def confirm(self, draft: str) -> str:
        """Press the draft's button, once it was read; the path of the operation."""
        assert self.get(draft).status_code == 200
        self.still.rows(
            "UPDATE draft SET first_shown_at = first_shown_at - interval '1 s' WHERE id = %s"
            " RETURNING id",
            draft.rpartition("/")[2],
        )
        sent = self.post(f"{draft}/run")
        assert sent.status_code == 303, text(sent)
        return str(sent["Location"])


def text(response: Any) -> str:
    """A page as it is read: without its tags."""
    page = re.sub(r"<[^>]+>", " ", response.content.decode())
    return " ".join(html.unescape(page).split())


@pytest.fixture
def ana(still: Still) -> Person:
    return Person(still, "ana")


def id_of(operation: str, still: Still) -> int:
    return int(still.value("SELECT id FROM operation WHERE ref = %s", operation.rpartition("/")[2]))


def test_ana_suspends_alice_by_her_name_and_restores_her(
    still: Still, place: Set, ana: Person
) -> None:
    alice, typed = place.account("alice"), f"{place.name}:alice"
    place.look_up("alice")
    draft = ana.draft("suspend-account", subject=typed)
    shown = text(ana.get(draft))
    assert f"Suspend {typed}" in shown and "This changes 1 system, in 2 steps" in shown
    operation = ana.confirm(draft)
    place.finish(id_of(operation, still))
    done = text(ana.get(operation))
    assert f"Done: {typed} is suspended" in done and alice in done and place.at(alice).disabled
    subject = ana.get("/subjects", q=typed)
    assert subject["Location"].endswith(f"/{place.name}:%23{alice.partition('#')[2]}")
    page = text(ana.get(subject["Location"]))
    assert f"{typed} is suspended" in page and "Restore an account" in page
    place.finish(id_of(ana.confirm(ana.draft("restore-account", subject=alice)), still))
    assert not place.at(alice).disabled


def test_ana_is_told_on_the_form_that_an_account_is_not_ours_and_ticks_the_box(
    still: Still, place: Set, ana: Person
) -> None:
    mallory = place.account("mallory", disabled=True)
    place.run("suspend-account", mallory)
    told = ana.post("/actions/restore-account/new", subject=mallory, reason="she is back")
    assert told.status_code == 422 and "so it is left disabled" in text(told)
    draft = ana.draft("restore-account", subject=mallory, also_not_ours="on")
    assert "also if somebody else disabled it" in text(ana.get(draft))
    place.finish(id_of(ana.confirm(draft), still))
    assert not place.at(mallory).disabled


def test_ana_ends_sessions_up_to_a_moment_and_is_told_of_one_to_come(
    still: Still, place: Set, ana: Person
) -> None:
    alice = place.account("alice")
    draft = ana.draft("revoke-sessions", subject=alice, before="2026-01-02 03:04")
    assert "before 2 Jan 2026 03:04:00 UTC" in text(ana.get(draft))
    assert "There is no way back" in text(ana.get(draft))
    place.finish(id_of(ana.confirm(draft), still))
    assert place.at(alice).cut == "2026-01-02T03:04:00.000Z"
    late = ana.post(
        "/actions/revoke-sessions/new", subject=alice, reason="x", before="2999-01-01 00:00"
    )
    assert late.status_code == 422 and "has not come yet" in text(late)


def test_nobody_of_that_name_is_told_on_the_form(place: Set, ana: Person) -> None:
    place.look_up("carol")
    told = ana.post(
        "/actions/suspend-account/new", subject=f"{place.name}:carol", reason="she left"
    )
    assert told.status_code == 422 and "Nobody is called carol" in text(told)


@pytest.fixture
def rotated(still: Still, place: Set, ana: Person) -> str:
    """The path of a rotation by Ana, which made a password."""
    draft = ana.draft("rotate-secret", subject=f"{place.name}:app_rw", overlap="30m")
    assert "stays valid 30 minutes beside it" in text(ana.get(draft))
    operation = ana.confirm(draft)
    place.finish(id_of(operation, still))
    return operation


def test_ana_shows_the_new_value_and_says_that_she_has_it(
    still: Still, ana: Person, rotated: str
) -> None:
    page = ana.get(rotated)
    assert PASSWORD not in text(page) and "Show the new value" in text(page)
    assert "Version 42" in text(page)
    shown = ana.post(f"{rotated}/value")
    assert shown.status_code == 200 and PASSWORD in text(shown)
    assert "no-store" in shown["Cache-Control"]
    assert ana.get(f"{rotated}/value").status_code == 405
    assert "was shown to who asked, by browser" in text(ana.get(rotated))
    assert PASSWORD not in ana.get(rotated).content.decode()
    assert "It is erased" in text(ana.post(f"{rotated}/value/acknowledge"))
    again = ana.post(f"{rotated}/value")
    assert again.status_code == 409 and PASSWORD not in again.content.decode()
    raj = Person(still, "raj")
    assert raj.post(f"{rotated}/value").status_code == 404
    assert "Show the new value" not in text(raj.get(rotated))


def test_the_runbook_fetches_what_it_had_rotated_and_nothing_of_anas(
    still: Still, place: Set, rotated: str
) -> None:
    api = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Bearer {still.token}"})
    with still.acting("web"):
        theirs = api.post(f"/api/v1{rotated}/value")
        assert (theirs.status_code, theirs.json()["code"]) == (404, "no_value")
        body = {
            "action": "rotate-secret",
            "subject": {"kind": "secret", "name": f"{place.name}:other"},
            "reason": "leaked",
        }
        made = api.post(
            "/api/v1/operations",
            json.dumps(body),
            "application/json",
            headers={"Idempotency-Key": "a-runbook-rotates-1"},
        )
        assert made.status_code == 201, made.content
        told = made.json()["operation"]
    operation = id_of(told["ref"], still)
    place.finish(operation)
    with still.acting("web"):
        shown = api.post(f"{told['url']}/value")
        assert shown["Cache-Control"] == "no-store"
        assert shown.json() | {"until": ""} == {
            "username": "app_rw",
            "password": PASSWORD,
            "version": 42,
            "until": "",
        }
        result = api.get(told["url"]).json()["operation"]["result"]
        assert result == {"done": 3, "of": 3, "version": 42, "in_place": [place.name]}
        assert api.post(f"{told['url']}/value/acknowledge").status_code == 200
        gone = api.post(f"{told['url']}/value")
    assert (gone.status_code, gone.json()["code"]) == (410, "value_gone")


def test_a_runbook_suspends_by_name_and_the_answer_says_who(still: Still, place: Set) -> None:
    alice = place.account("alice")
    place.look_up("alice")
    body = {
        "action": "suspend-account",
        "subject": {"kind": "account", "name": f"{place.name}:alice"},
        "reason": "stolen laptop",
    }
    api = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Bearer {still.token}"})
    key = {"Idempotency-Key": f"a-runbook-suspends-{place.name}"}
    with still.acting("web"):
        answers = [
            api.post("/api/v1/operations", json.dumps(body), "application/json", headers=key)
            for _ in range(2)
        ]
    assert [a.status_code for a in answers] == [201, 200]
    for told in answers:
        subject = told.json()["operation"]["subject"]
        assert subject == {"kind": "account", "name": alice, "label": f"{place.name}:alice"}
    assert f"account {place.name}:alice" in answers[1].json()["message"]
