"""The inbox and the page of an approval, break-glass, and the API: as each person meets them."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.console_process import Api, Browser, Console

# The example's own rule: a ban of more than a /24 needs one of approvers.
_numbers = itertools.count(1)


@pytest.fixture
def wide() -> str:
    """A network that needs approval, and that no other test uses."""
    return f"100.{64 + next(_numbers)}.0.0/20"


@pytest.fixture
def approver(console: Console) -> Browser:
    """Li, who approves and asks for nothing."""
    given = console.credentials["people"]["li"]
    return Browser(console.url, given["username"], given["password"])


@pytest.fixture
def also(console: Console) -> Iterator[Callable[[str, str], None]]:
    """Gives somebody the rights of another group, for as long as a test lasts."""
    given: list[tuple[str, str]] = []

    def join(who: str, group: str) -> None:
        console.join(who, group)
        given.append((who, group))

    yield join
    for who, group in given:
        console.leave(who, group)


def waiting(runbook: Api, wide: str) -> str:
    told = runbook.ban(wide, confirm=wide)
    assert (told.status_code, told.json()["operation"]["state"]) == (201, "awaiting_approval")
    return str(told.json()["operation"]["ref"])


def fields(page: str, do: str, reason: str = "matches the edge log") -> dict[str, str]:
    found = dict(re.findall(r'name="(digest|key-approve|key-decline)" value="([^"]+)"', page))
    return {**found, "reason": reason, "do": do}


def pressed(browser: Browser, ref: str, page: str, **given: str) -> tuple[int, str]:
    answer = browser.submit(f"/approvals/{ref}/decide", page, **given)
    return answer.status_code, answer.text


def state(console: Console, ref: str) -> str:
    return str(console.value("SELECT state FROM operation WHERE ref = %s", ref))


def count(console: Console, ref: str) -> int:
    return int(
        console.value(
            "SELECT count(*) FROM approval a JOIN operation o ON o.id = a.operation_id"
            " WHERE o.ref = %s",
            ref,
        )
    )


def test_li_finds_it_looks_at_the_whole_plan_and_approves_it_once(
    console: Console, runbook: Api, approver: Browser, responder: Browser, wide: str
) -> None:
    ref = waiting(runbook, wide)
    for shown in (approver.http.get("/").text, approver.http.get("/approvals").text):
        assert "approval" in shown
    assert f"/approvals/{ref}" in approver.http.get("/approvals").text
    page = approver.http.get(f"/approvals/{ref}").text
    for said in (
        "Will change",
        "Can happen twice",
        "Edge block list now",
        "a test asks",
        "Nothing.",
    ):
        assert said in page, said
    again = runbook.ban(wide).json()
    assert (again["disposition"], again["changed"], again["operation"]["ref"]) == (
        "existing",
        False,
        ref,
    )
    given = fields(page, "approve")
    statuses = [pressed(approver, ref, page, **given)[0] for _ in range(2)]
    assert statuses == [303, 303]
    assert count(console, ref) == 1
    told = runbook.settled(ref)["operation"]
    assert told["state"] == "succeeded"
    assert told["approvals"]["given"][0]["reason"] == "matches the edge log"
    assert "li approved it" in responder.http.get(f"/operations/{ref}").text
    assert f"/operations/{ref}" in approver.http.get("/approvals").text, "kept for ever"


def test_a_decline_is_told_to_who_asked_with_its_reason(
    console: Console, approver: Browser, also: Callable[[str, str], None], wide: str
) -> None:
    asker = console.new_caller(f"asker-{uuid.uuid4().hex[:6]}", "responders", kind="person")
    ref = str(asker.ban(wide, confirm=wide).json()["operation"]["ref"])
    page = approver.http.get(f"/approvals/{ref}").text
    assert pressed(approver, ref, page, **fields(page, "decline", "wrong range"))[0] == 303
    told = asker.get(f"/operations/{ref}").json()["operation"]
    assert (told["state"], told["approvals"]["given"][0]["reason"]) == ("declined", "wrong range")
    seen = approver.http.get(f"/operations/{ref}").text
    assert "Declined: nothing was sent" in seen and "wrong range" in seen


def test_who_may_not_is_told_why_before_they_try_and_refused_when_they_do(
    console: Console,
    runbook: Api,
    approver: Browser,
    responder: Browser,
    second_responder: Browser,
    auditor: Browser,
    also: Callable[[str, str], None],
    wide: str,
) -> None:
    ref = waiting(runbook, wide)
    also("ana", "approvers")  # who answers for the runbook's token
    page = approver.http.get(f"/approvals/{ref}").text
    given = fields(page, "approve")
    for browser, why in (
        (responder, "You answer for the token that asked"),
        (second_responder, "You may not approve this action"),
        (auditor, "You may not approve this action"),
    ):
        own = browser.http.get(f"/approvals/{ref}").text
        assert why in own and "li can" in own and 'name="do"' not in own
        assert why in browser.http.get("/approvals").text
        given["key-approve"] = f"page-{uuid.uuid4().hex}"
        status, text = pressed(browser, ref, browser.http.get("/").text, **given)
        assert (status, why in text) == (403, True)
    assert (count(console, ref), state(console, ref)) == (0, "awaiting_approval")
    for broken, status, said in (
        ({"digest": "cd" * 32}, 412, "not what it would do"),
        ({"reason": " "}, 422, "Say why"),
        ({"do": "both"}, 404, ""),
    ):
        key = {"key-approve": f"page-{uuid.uuid4().hex}"}
        answered = pressed(approver, ref, page, **{**given, **key, **broken})
        assert (answered[0], said in answered[1]) == (status, True), broken
    forged = approver.http.post(f"/approvals/{ref}/decide", data=given)
    assert forged.status_code == 403
    console.rewrite(
        "operation",
        "operation_intent_never_changes",
        "approve_by = clock_timestamp() WHERE ref = %s",
        ref,
    )
    late = {**given, "key-approve": f"page-{uuid.uuid4().hex}"}
    assert pressed(approver, ref, page, **late)[0] == 409
    assert count(console, ref) == 0


def test_nobody_approves_their_own_or_what_they_drafted(
    console: Console,
    responder: Browser,
    second_responder: Browser,
    also: Callable[[str, str], None],
    wide: str,
) -> None:
    also("ana", "approvers")
    also("raj", "approvers")
    form = responder.http.get("/actions/ban-network/new").text
    sent = responder.submit(
        "/actions/ban-network/new", form, subject=wide, reason="flood", for_="24h", length="24h"
    )
    assert sent.status_code == 302, sent.text
    draft = sent.headers["Location"]
    shown = second_responder.http.get(draft).text
    assert "1 of approvers must approve it, within 30 minutes" in shown
    assert f"Type {wide} to confirm" in shown
    confirmed = second_responder.submit(f"{draft}/run", shown, confirm=wide)
    while confirmed.status_code == 409:
        confirmed = second_responder.submit(f"{draft}/run", shown, confirm=wide)
    ref = confirmed.headers["Location"].rsplit("/", 1)[1]
    assert state(console, ref) == "awaiting_approval"
    for browser, why in ((responder, "You prepared it"), (second_responder, "You asked for it")):
        page = browser.http.get(f"/approvals/{ref}").text
        assert why in page
        digest = console.value(
            "SELECT encode(plan_digest, 'hex') FROM operation WHERE ref = %s", ref
        )
        given = {"digest": digest, "reason": "mine", "key-approve": f"page-{uuid.uuid4().hex}"}
        assert pressed(browser, ref, page, do="approve", **given)[0] == 403
    assert (count(console, ref), state(console, ref)) == (0, "awaiting_approval")


def test_a_token_approves_nothing_and_lists_what_waits(
    console: Console, runbook: Api, approver: Browser, wide: str
) -> None:
    ref = waiting(runbook, wide)
    listed = runbook.get("/approvals").json()
    mine = next(one for one in listed["approvals"] if one["ref"] == ref)
    assert (mine["who_can"], listed["total"] >= 1) == (["li"], True)
    assert mine["approvals"]["needed"][0] | {"id": 0} == {"group": "approvers", "count": 1, "id": 0}
    for call in ("approve", "decline"):
        told = runbook.http.post(
            f"/api/v1/operations/{ref}/{call}",
            json={"reason": "me", "digest": mine["approvals"]["digest"]},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        assert (told.status_code, told.json()["code"]) == (403, "token_never_approves")
        assert told.json()["changed"] is False
        bare = runbook.http.post(f"/api/v1/operations/{ref}/{call}")
        assert bare.status_code == 400
    draft = runbook.http.post(
        "/api/v1/drafts",
        json={
            "action": "ban-network",
            "subject": {"kind": "network", "name": wide},
            "params": {"for": "72h"},
            "reason": "x",
        },
    ).json()
    assert (draft["approvals_needed"], draft["approvals"][0]["group"]) == (1, "approvers")
    assert state(console, ref) == "awaiting_approval"


def test_break_glass_is_for_the_sealed_group_and_seen_by_everybody(
    console: Console,
    responder: Browser,
    second_responder: Browser,
    also: Callable[[str, str], None],
) -> None:
    assert second_responder.http.get("/break-glass").status_code == 404
    also("ana", "break-glass")
    page = responder.http.get("/break-glass").text
    assert responder.submit("/break-glass", page, reason=" ").status_code == 422
    for _ in range(2):
        assert responder.submit("/break-glass", page, reason="all asleep").status_code == 303
    opened = console.rows("SELECT id FROM break_glass WHERE closed_at IS NULL")
    assert len(opened) == 1
    for browser in (responder, second_responder):
        assert "under break-glass" in browser.http.get("/").text
    close = f"/break-glass/{opened[0][0]}/close"
    board = second_responder.http.get("/").text
    assert second_responder.submit(close, board).status_code == 404
    for _ in range(2):
        assert responder.submit(close, page).status_code == 303
    assert "under break-glass" not in second_responder.http.get("/").text


def test_the_inbox_asks_as_often_however_much_waits(console: Console) -> None:
    told = console.python(_COUNT)
    few, many, waiting = map(int, told.split())
    assert (few, waiting >= 30) == (many, True)


_COUNT = """
import uuid
import django; django.setup()
from django.db import connection, transaction
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from actions import issue, subjects
from actions.ask import Ask
from actions.issue import Who
from actions.models import Caller
from actions.registry import registry
import psycopg

asked, kept = 0, psycopg.Cursor.execute
def execute(*args, **kwargs):
    global asked
    asked += 1
    return kept(*args, **kwargs)
psycopg.Cursor.execute = execute

def file(n):
    subject = subjects.canonical("network", f"100.96.{n * 2}.0/23")
    ask = Ask(registry.action("ban-network"), subject, {"for": "24h"}, "x", uuid.uuid4().hex, "api",
              confirm=subject.name)
    return issue.submit(Who(caller=Caller.objects.get(username="raj").pk), ask)

def count():
    global asked
    asked = 0
    assert client.get("/approvals").status_code == 200
    return asked

client = Client(headers={"host": "127.0.0.1"})
client.force_login(Caller.objects.get(username="ana"))
with override_settings(ALLOWED_HOSTS=["127.0.0.1"]), transaction.atomic():
    for n in range(2): file(n)
    count()
    few = count()
    for n in range(2, 32): file(n)
    many = count()
    from actions import inbox, policy
    total = inbox.waiting_count(policy.Sight(frozenset({"ban-network"})))
    transaction.set_rollback(True)
print(few, many, total)
"""
