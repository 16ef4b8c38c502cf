"""The pages on which rights are administered, as those who do and those who look on see them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.test import Client, override_settings

from actions import administer
from tests.contracts.inside import Still
from tests.contracts.test_account_pages import Person, text

KEY = re.compile(r'name="key" value="([^"]+)"')
SECRET = re.compile(r'id="once">([^<]+)<')
SEEN = re.compile(r'name="target" value="([^"]*)"><input type="hidden" name="seen" value="([^"]*)"')


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture
def sam(still: Still) -> Person:
    """The admin, signed in."""
    return Person(still, "sam")


@pytest.fixture
def noor(still: Still) -> Person:
    """The auditor, signed in."""
    return Person(still, "noor")


def find(pattern: re.Pattern[str], page: Any) -> str:
    match = pattern.search(page.content.decode())
    assert match, text(page)
    return match[1]


def added(sam: Person, **more: str) -> tuple[str, str]:
    """Somebody whom sam has just added: the name, and the password as the page showed it."""
    name = f"pat-{uuid.uuid4().hex[:8]}"
    key = find(KEY, sam.get("/people/new"))
    made = sam.post("/people/new", kind="person", username=name, first="Pat", key=key, **more)
    assert made.status_code == 200, text(made)
    assert "no-store" in made["Cache-Control"]
    return name, find(SECRET, made)


def signed_in(still: Still, name: str, password: str) -> Client:
    with still.acting("web"):
        client = Client(SERVER_NAME="127.0.0.1")
        client.post("/sign-in", {"username": name, "password": password})
        return client


def at_board(still: Still, client: Client) -> bool:
    with still.acting("web"):
        return client.get("/").status_code == 200


def test_an_account_is_added_once_and_signs_in_with_what_was_shown(
    still: Still, sam: Person
) -> None:
    name, key = f"pat-{uuid.uuid4().hex[:8]}", find(KEY, sam.get("/people/new"))
    fields = {"kind": "person", "username": name, "first": "Pat", "key": key}
    first, again = sam.post("/people/new", **fields), sam.post("/people/new", **fields)
    password = find(SECRET, first)
    assert "done already" in text(again) and password not in text(again)
    assert at_board(still, signed_in(still, name, password))
    assert not at_board(still, signed_in(still, name, "another"))
    page = text(sam.get(f"/people/{name}"))
    assert "In no group, so it may nothing" in page and password not in page
    taken = sam.post("/people/new", **{**fields, "key": find(KEY, sam.get("/people/new"))})
    assert taken.status_code == 422 and "of that name already" in text(taken)
    assert find(KEY, taken) != key
    for bad in (
        {"username": "A B"},
        {"username": ""},
        {"key": ""},
        {"key": "1"},
        {"kind": "console"},
    ):
        told = sam.post("/people/new", **{**fields, **bad})
        assert told.status_code == 422, bad


def test_closing_ends_every_session_for_good(still: Still, sam: Person) -> None:
    name, password = added(sam)
    pat = signed_in(still, name, password)
    assert at_board(still, pat)
    assert sam.post(f"/people/{name}/close").status_code == 303
    assert not at_board(still, pat)
    assert not at_board(still, signed_in(still, name, password))
    assert "Closed" in text(sam.get(f"/people/{name}"))
    # Opened again, it is opened to nobody who was signed in before, nor to who knew the password.
    opened = sam.post(f"/people/{name}/reopen")
    new = find(SECRET, opened)
    assert new != password
    assert not at_board(still, pat)
    assert not at_board(still, signed_in(still, name, password))
    assert at_board(still, signed_in(still, name, new))
    twice = sam.post(f"/people/{name}/reopen")
    assert "done already" in text(twice)
    assert at_board(still, signed_in(still, name, new))


def test_a_group_is_made_filled_and_given_rights(still: Still, sam: Person) -> None:
    group = f"Night shift {uuid.uuid4().hex[:6]}"
    made = sam.post("/groups/new", name=group)
    assert made.status_code == 303
    assert sam.post("/groups/new", name=group)["Location"] == made["Location"]
    name, password = added(sam)
    pat = signed_in(still, name, password)
    with still.acting("web"):
        assert pat.get("/actions/ban-network").status_code == 404
    for _ in range(2):
        assert sam.post(f"/people/{name}/member", group=group, member="yes").status_code == 303
    entry = str(still.value("SELECT id FROM catalogue_entry WHERE name = 'ban-network'"))
    rights = f"{made['Location']}/rights"
    form = {"kind": "entry", "target": entry, "seen": ""}
    with still.acting("web"):
        for _ in range(2):
            sent = sam.client.post(rights, {**form, "right": ["see", "ask"]})
            assert sent.status_code == 303
        assert pat.get("/actions/ban-network").status_code == 200
        assert pat.get("/actions/ban-network/new").status_code == 200
    page = sam.get(made["Location"]).content.decode()
    assert (entry, "ask see") in SEEN.findall(page)
    # The page of somebody who opened it before sam changed it.
    stale = sam.post(rights, **form, right="see")
    assert stale.status_code == 409 and "Somebody changed these rights" in text(stale)
    assert sam.post(f"/people/{name}/member", group=group, member="no").status_code == 303
    with still.acting("web"):
        assert pat.get("/actions/ban-network").status_code == 404
    unchosen = sam.post(f"/people/{name}/member", group="", member="yes")
    assert (unchosen.status_code, unchosen["Location"]) == (302, f"/people/{name}")
    assert sam.post("/groups/new", name="../x").status_code == 422
    assert sam.get("/groups/no-such-group").status_code == 404
    assert sam.post("/groups/no-such-group/rights", **form, right="see").status_code == 404


def test_what_would_leave_nobody_to_administer_is_told(still: Still, sam: Person) -> None:
    refused = [
        sam.post("/people/sam/close"),
        sam.post("/people/sam/member", group="admins", member="no"),
        sam.post("/groups/admins/rights", kind="all", target="", seen="administer read_log"),
    ]
    for told in refused:
        assert told.status_code == 409
        assert "last admin who can sign in" in text(told)
    assert at_board(still, sam.client)


def test_a_token_is_issued_once_shown_once_and_withdrawn(still: Still, sam: Person) -> None:
    page = sam.get("/tokens/new")
    assert "ana" not in re.findall(r"<option[^>]*>([^<]*)<", page.content.decode())
    account = str(still.caller("runbook"))
    fields = {
        "account": account,
        "name": "sweeper",
        "scopes": "read",
        "days": "7",
        "key": find(KEY, page),
    }
    first, again = sam.post("/tokens/new", **fields), sam.post("/tokens/new", **fields)
    token = find(SECRET, first)
    assert "done already" in text(again) and token not in again.content.decode()
    id = fields["key"]

    def works() -> bool:
        with still.acting("web"):
            client = Client(SERVER_NAME="127.0.0.1")
            told = client.get("/api/v1/actions", headers={"Authorization": f"Bearer {token}"})
            return bool(told.status_code == 200)

    assert works()
    listed = sam.get("/tokens").content.decode()
    assert token not in listed and token.split("_")[1] in listed
    for _ in range(2):
        assert sam.post(f"/tokens/{id}/withdraw").status_code == 303
    assert not works()
    for bad in (
        {"account": str(still.caller("ana"))},
        {"days": "91"},
        {"scopes": ""},
        {"key": "x"},
    ):
        assert sam.post("/tokens/new", **{**fields, **bad}).status_code == 422, bad
    assert sam.post("/tokens/nonsense/withdraw").status_code == 404


def test_who_reads_the_log_looks_on_and_who_is_neither_finds_nothing(
    still: Still, sam: Person, noor: Person
) -> None:
    for path in ("/people", "/people/ana", "/groups", "/groups/admins", "/tokens"):
        page = noor.get(path).content.decode()
        assert page.count('method="post"') == 1, path  # the way out
        assert '<input type="checkbox"' not in page and "/new" not in page, path
        assert Person(still, "ana").get(path).status_code == 404, path
    assert 'href="/groups"' in noor.get("/").content.decode()
    assert 'href="/groups"' not in Person(still, "ana").get("/").content.decode()


def test_who_administers_one_realm_sees_that_one_row(still: Still, sam: Person) -> None:
    name, password = added(sam)
    owners = f"owners-{uuid.uuid4().hex[:8]}"
    realm = still.value("SELECT id FROM realm WHERE name = 'edge-blocklist'")
    with still.acting("web"):
        by = still.caller("sam")
        administer.make_group(by, owners)
        id = still.value("SELECT id FROM caller WHERE username = %s", name)
        administer.set_member(by, id, owners, True)
        administer.set_rights(by, owners, "realm", realm, [], ["administer"])
    pat = signed_in(still, name, password)
    with still.acting("web"):
        page = pat.get("/groups/responders").content.decode()
        assert [target for target, _ in SEEN.findall(page)] == [str(realm)]
        assert "Members</h2>" not in page and "/people/ana" not in page
        assert pat.get("/people").status_code == 404
        entry = still.value("SELECT id FROM catalogue_entry WHERE name = 'ban-network'")
        fields = {"kind": "entry", "target": str(entry), "seen": "ask see", "right": "see"}
        assert pat.post("/groups/responders/rights", fields).status_code == 403


def test_giving_oneself_a_right_is_in_the_log_for_all_who_read_it(
    still: Still, sam: Person, noor: Person
) -> None:
    entry = str(still.value("SELECT id FROM catalogue_entry WHERE name = 'lift-ban'"))
    rights, target = "/groups/admins/rights", {"kind": "entry", "target": entry}
    assert "You are in this group" in text(sam.get("/groups/admins"))
    with still.acting("web"):
        sam.client.post(rights, {**target, "seen": "see", "right": ["see", "ask"]})
        sam.client.post(rights, {**target, "seen": "ask see", "right": ["see"]})
    page = text(noor.get("/log", kind="rights.changed"))
    assert "admins on action lift-ban: ask given, a group of their own" in page
    assert "ask taken away" in page


MANY = """
WITH people AS (
  INSERT INTO caller (id, username, kind, password, first_name, last_name, email, is_superuser, is_staff,
    is_active, date_joined)
  SELECT gen_random_uuid(), 'm' || %s || n, 'service', '!', '', '', '', false, false, true, now()
    FROM generate_series(1, 20) n RETURNING id
), groups AS (
  INSERT INTO auth_group (name) SELECT 'm' || %s || n FROM generate_series(1, 20) n RETURNING id
), realms AS (
  INSERT INTO realm (id, name, title, connector, version, enabled)
  SELECT gen_random_uuid(), 'm' || %s || n, 'x', 'nothing', 1, false
    FROM generate_series(1, 20) n RETURNING id
), members AS (
  INSERT INTO caller_groups (caller_id, group_id) SELECT p.id, g.id FROM people p, groups g
), sees AS (
  INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)
  SELECT r.id, g.id, p.id FROM realms r, auth_group g, auth_permission p
   WHERE g.name IN ('admins', 'responders') AND p.codename = 'see_realm'
), tokens AS (
  INSERT INTO api_token (id, prefix, digest, name, caller_id, owner_id, scopes, created_at, expires_at)
  SELECT gen_random_uuid(), left(p.id::text, 12), '', 't', p.id, p.id, '{read}', now(),
    now() + interval '1 day' FROM people p
) SELECT 1
"""


def test_each_page_asks_the_database_as_often_however_many_there_are(
    still: Still, sam: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted on every page that lists: with twenty more people, groups, realms and tokens."""
    paths = ["/people", "/people/sam", "/groups", "/groups/responders", "/tokens", "/tokens/new",
             "/", "/operations", "/actions", "/actions/ban-network", "/lists",
             "/subjects", "/log"]  # fmt: skip
    asked = 0
    real = psycopg.Cursor.execute

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal asked
        asked += 1
        return real(self, *args, **kwargs)

    def counts() -> dict[str, int]:
        nonlocal asked
        found = {}
        for path in paths:
            asked = 0
            assert sam.get(path).status_code == 200, path
            found[path] = asked
        return found

    monkeypatch.setattr(psycopg.Cursor, "execute", counting)
    counts()  # what is read once and kept
    before = counts()
    still.rows(MANY, *[uuid.uuid4().hex[:6]] * 3)
    assert counts() == before
    assert max(before.values()) <= 20
