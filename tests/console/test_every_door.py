"""Every door, tried by every role: pages and calls that no row names are found, and fail."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2 as httpx
import pytest

from tests.console.doors import CALLS, PAGES, ROLES, Door
from tests.console_process import EVERYTHING, Api, Browser, Console

_NAMED = """
import json
import django; django.setup()
from console.urls import urlpatterns
print(json.dumps([[p.name, str(p.pattern)] for p in urlpatterns if hasattr(p, "name")]))
"""
FORM = re.compile(r"<form\b[^>]*>", re.DOTALL)
PEOPLE = {"responder": "ana", "approver": "li", "auditor": "noor", "admin": "sam"}


@pytest.fixture(scope="module")
def scene(console: Console) -> dict[str, str]:
    """What the doors open on: operations of ana's, a draft, an incident, somebody else, a token."""
    number = uuid.uuid4().int
    network = f"100.{64 + number % 64}.{number // 64 % 256}.{number // 16384 % 256}"
    ana = console.api(console.new_token("ana", *EVERYTHING))
    incident, key = ana.incident("Doors"), uuid.uuid4().hex
    made = ana.ban(network, incident=incident, key=key, wait=10).json()["operation"]
    lifted = ana.ban(network.replace("100.", "101.", 1), wait=10).json()["operation"]["ref"]
    ana.lift(network.replace("100.", "101.", 1), wait=10)
    body = {
        "action": "ban-network",
        "subject": {"kind": "network", "name": network},
        "params": {"until": None},
        "reason": "doors",
    }
    draft = ana.http.post("/api/v1/drafts", json=body).json()["draft"]
    # So old that confirming it is told so, and shown long enough ago that it is not told "too soon".
    console.rewrite(
        "draft",
        "draft_never_changes",
        "created_at = now() - interval '1 hour', first_shown_at = now() - interval '50 minutes'"
        " WHERE id = %s",
        draft,
    )
    other = f"door-{uuid.uuid4().hex[:8]}"
    console.new_caller(other, "auditors", kind="person")
    return {
        "network": network,
        "incident": incident,
        "op": made["ref"],
        "effect": str(ana.get(f"/operations/{made['ref']}").json()["operation"]["effects"][0]["n"]),
        "lifted": lifted,
        "draft": draft,
        "other": other,
        "key_of_op": key,
        "token": str(
            console.value(
                "SELECT t.id FROM api_token t JOIN caller c ON c.id = t.caller_id"
                " WHERE c.username = %s",
                other,
            )
        ),
    }


def _person(console: Console, role: str) -> httpx.Client:
    if role in PEOPLE:
        given = console.credentials["people"][PEOPLE[role]]
        return Browser(console.url, given["username"], given["password"]).http
    if role == "stranger":
        name, password = f"stranger-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
        console.new_caller(name, kind="person")
        console.set_password(name, password)
        return Browser(console.url, name, password).http
    headers = {"Authorization": f"Bearer {console.token}"} if role == "runbook" else {}
    return httpx.Client(base_url=console.url, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def people(console: Console) -> Iterator[Mapping[str, httpx.Client]]:
    """Everybody at the pages."""
    clients = {role: _person(console, role) for role in ROLES}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(scope="module")
def tokens(console: Console) -> Mapping[str, Api]:
    """Everybody at the API, each with a token of every scope."""
    held = {role: console.api(console.new_token(PEOPLE[role], *EVERYTHING)) for role in PEOPLE}
    stranger = console.new_caller(f"stranger-{uuid.uuid4().hex[:8]}", kind="person")
    return {**held, "stranger": stranger, "runbook": console.api(), "anonymous": console.api("x")}


def _filled(given: Any, scene: Mapping[str, str]) -> Any:
    """The texts of a body or a path, with what the scene has in place of their names."""
    if isinstance(given, dict):
        return {name: _filled(value, scene) for name, value in given.items()}
    if not isinstance(given, str):
        return given
    return re.sub(r"\{(\w+)\}", lambda m: scene[m[1]], given)


def _told(door: Door, ask: Callable[[str], int]) -> dict[str, int]:
    return {role: ask(role) for role in reversed(ROLES)}


def _expected(door: Door) -> dict[str, int]:
    return dict(zip(ROLES, door.told, strict=True))


@pytest.mark.parametrize("door", PAGES, ids=lambda door: f"{door.method} {door.name}")
def test_a_page_answers_each_role_as_its_row_says(
    door: Door, scene: dict[str, str], people: Mapping[str, httpx.Client]
) -> None:
    path = _filled(door.path, scene)

    def ask(role: str) -> int:
        if door.method == "GET":
            return people[role].get(path).status_code
        board = people[role].get("/" if role not in {"runbook", "anonymous"} else "/sign-in").text
        mark = 'name="csrfmiddlewaretoken" value="'
        body = _filled(door.body, {**scene, "key": uuid.uuid4().hex})
        proof = {"csrfmiddlewaretoken": board.split(mark, 1)[1].split('"', 1)[0]}
        return people[role].post(path, data={**proof, **body}).status_code

    assert _told(door, ask) == _expected(door)


@pytest.mark.parametrize("door", CALLS, ids=lambda door: door.name)
def test_a_call_answers_each_role_as_its_row_says(
    door: Door, scene: dict[str, str], tokens: Mapping[str, Api]
) -> None:
    path = _filled(door.path, scene)

    def ask(role: str) -> int:
        http = tokens[role].http
        if door.method == "GET":
            return http.get(path).status_code
        body = _filled(door.body, scene)
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        sent = {"json": body} if body else {}
        return http.request(door.method, path, headers=headers, **sent).status_code

    assert _told(door, ask) == _expected(door)


def test_every_page_has_its_row(console: Console) -> None:
    named = {name for name, _ in json.loads(console.python(_NAMED, role="web"))}
    assert named == {door.name for door in PAGES}


def test_every_call_has_its_row(console: Console) -> None:
    paths = httpx.get(f"{console.url}/api/v1/openapi.json").json()["paths"]
    calls = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in paths.items()
        for method in operations
    }
    assert calls == {door.name for door in CALLS}


def test_what_only_shows_takes_no_post(
    people: Mapping[str, httpx.Client], scene: dict[str, str]
) -> None:
    """So that no way to change something hides behind a row of a page that shows."""
    acting = {door.name for door in PAGES if door.method == "POST"} | {"sign-in", "logout"}
    http = people["admin"]
    mark = 'name="csrfmiddlewaretoken" value="'
    proof = http.get("/").text.split(mark, 1)[1].split('"', 1)[0]
    for door in PAGES:
        if door.name not in acting:
            told = http.post(_filled(door.path, scene), data={"csrfmiddlewaretoken": proof})
            assert told.status_code == 405, door.name


def test_an_auditor_finds_nothing_to_press_behind_any_door(
    people: Mapping[str, httpx.Client], scene: dict[str, str]
) -> None:
    """They see everything, and have not one button that acts: only their way out."""
    auditor = people["auditor"]
    seen = 0
    for door in PAGES:
        if door.method != "GET" or _expected(door)["auditor"] != 200:
            continue
        page = auditor.get(_filled(door.path, scene))
        if "text/html" not in page.headers["Content-Type"]:
            continue
        posting = [form for form in FORM.findall(page.text) if 'method="post"' in form]
        assert [form for form in posting if "/sign-out" not in form] == [], door.name
        assert "/new" not in page.text, door.name
        seen += 1
    assert seen > 12
