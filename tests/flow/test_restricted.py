"""A restricted incident: who may not see it learns nothing of it, at any address, by any question."""

from __future__ import annotations

import html
import json
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest

from tests.console_process import Api, Browser, Console

MOMENT = re.compile(
    r'name="csrfmiddlewaretoken" value="[^"]+"|data-now="\d+"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC'
)


@dataclass(frozen=True)
class Secret:
    """A restricted incident of Dana's, with a word that stands in all that was written in it."""

    ref: str
    word: str
    operation: str
    undone: str
    draft: str
    network: str
    joined: str  # an operation of anybody's, which it asked for too
    waiting: str  # one that waits for approval
    declined: str  # one that was declined, for a reason with the word in it

    @property
    def number(self) -> str:
        return self.ref.removeprefix("INC-")

    def told_by(self, text: str) -> list[str]:
        """What of it stands in a text."""
        found = [self.word] if self.word in text else []
        return found + re.findall(rf"(?<![0-9A-Za-z]){self.number}(?![0-9A-Za-z])", text)


def post(api: Api, path: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex, **headers}
    return api.http.post(f"/api/v1{path}", json=body, headers=headers)


def patch(api: Api, ref: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex, **headers}
    return api.http.patch(f"/api/v1/incidents/{ref}", json=body, headers=headers)


type Enter = Callable[[str], Browser]


@pytest.fixture(scope="module")
def enter(console: Console) -> Enter:
    """Signs somebody of the example world in."""

    def sign_in(name: str) -> Browser:
        given = console.credentials["people"][name]
        return Browser(console.url, given["username"], given["password"])

    return sign_in


def decline(console: Console, enter: Enter, ref: str, reason: str) -> None:
    """Noor, who reads every incident, declines an operation: for once she may."""
    console.join("noor", "approvers")
    try:
        noor = enter("noor")
        page = noor.http.get(f"/approvals/{ref}").text
        given = dict(re.findall(r'name="(digest|key-decline)" value="([^"]+)"', page))
        told = noor.submit(f"/approvals/{ref}/decide", page, **given, reason=reason, do="decline")
        assert told.status_code == 303, told.text
    finally:
        console.leave("noor", "approvers")


@pytest.fixture(scope="module")
def secret(console: Console, crew: dict[str, Api], enter: Enter) -> Iterator[Secret]:
    """Dana's, with notes, bans that were made, declined and wait, an undo, a draft, keys that name it."""
    dana = crew["dana"]
    word = "canary" + secrets.token_hex(8)
    made = post(dana, "/incidents", {"title": f"Insider {word}", "restricted": True})
    assert made.status_code == 201, made.text
    ref = made.json()["incident"]["ref"]
    network = f"198.51.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
    said: dict[str, Any] = {"reason": f"because of {word}", "incident": ref, "wait": 10}
    banned = dana.ban(network, key=f"{word}-{ref}-ban", **said).json()["operation"]
    other = f"203.0.113.{secrets.randbelow(256)}"
    first = dana.ban(other, reason="a scan", wait=10).json()["operation"]
    assert dana.ban(other, key=f"{word}-{ref}-too", **said).json()["disposition"] == "existing"
    undone = dana.ban(f"192.0.2.{secrets.randbelow(256)}", **said).json()["operation"]
    undo = {"reason": f"undo for {word}", "incident": ref}
    assert post(dana, f"/operations/{undone['ref']}/undo", undo).status_code == 201
    subject = {"kind": "network", "name": network}
    asked = {"action": "lift-ban", "subject": subject, "reason": word, "incident": ref}
    draft = dana.http.post("/api/v1/drafts", json=asked).json()["draft"]
    assert post(dana, f"/incidents/{ref}/notes", {"text": f"note {word}"}).status_code == 201
    renamed = patch(dana, ref, {"title": f"Renamed {word}", "note": word}, **{"If-Match": '"1"'})
    assert renamed.json()["changed"], renamed.text
    wide = [f"100.{120 + n}.{16 * secrets.randbelow(16)}.0/20" for n in range(2)]
    waiting, declined = (dana.ban(w, confirm=w, **said).json()["operation"]["ref"] for w in wide)
    decline(console, enter, declined, f"no, says {word}")
    operations = banned["ref"], undone["ref"]
    yield Secret(ref, word, *operations, draft, network, first["ref"], waiting, declined)
    assert post(dana, f"/operations/{waiting}/cancel", {}).json()["changed"]


@pytest.fixture(scope="module")
def nowhere(secret: Secret) -> str:
    """The ref of an incident that there is not."""
    return f"INC-{900000000 + secrets.randbelow(99999999)}"


@pytest.fixture(params=["raj", "li"])
def stranger(enter: Enter, request: pytest.FixtureRequest) -> Browser:
    """Raj, a responder, or Li, an approver: neither is a member, and neither reads the log."""
    return enter(request.param)


# Every address


def pages(console: Console, secret: Secret) -> dict[str, list[str]]:
    """By the name of each address of the pages, those that are walked; `gone` are not there."""
    operation, network = f"/operations/{secret.operation}", f"/subjects/network/{secret.network}/32"
    refs = (secret.operation, secret.undone, secret.joined, secret.waiting, secret.declined)
    operations = [f"/operations/{ref}" for ref in refs]
    return {
        "board": ["/"],
        "sign-in": [],
        "logout": [],
        "incidents": ["/incidents", "/incidents?state=", "/incidents?state=closed",
                      f"/incidents?before={secret.number}"],
        "incident-new": ["/incidents/new"],
        "incident": [f"/incidents/{secret.ref}"],
        "incident-note": [f"/incidents/{secret.ref}/notes"],
        "incident-change": [f"/incidents/{secret.ref}/change"],
        "incident-close": [f"/incidents/{secret.ref}/close"],
        "actions": ["/actions"],
        "action": ["/actions/ban-network", "/actions/lift-ban"],
        "draft-new": ["/actions/ban-network/new", "/actions/lift-ban/new",
                      f"/actions/lift-ban/new?draft={secret.draft}"],
        "draft": [f"/drafts/{secret.draft}"],
        "draft-reach": [f"/drafts/{secret.draft}/reach"],
        "draft-run": [f"/drafts/{secret.draft}/run"],
        "operations": ["/operations", "/operations?action=ban-network", "/operations?who=dana"],
        "operation": [*operations, *(f"{o}?arrivals=all" for o in operations),
                      *(f"{o}?record=all" for o in operations)],
        "operation-check": [f"{operation}/check"],
        "operation-live": [f"{o}/live" for o in operations],
        "value": [f"{operation}/value"],
        "value-acknowledge": [f"{operation}/value/acknowledge"],
        "operation-finish": [f"{operation}/finish"],
        "operation-cancel": [f"{operation}/cancel"],
        "operation-undo": [f"{operation}/undo"],
        "operation-keep": [f"{o}/keep" for o in operations],
        "approvals": ["/approvals"],
        "approval": [f"/approvals/{ref}" for ref in (secret.waiting, secret.declined)],
        "approval-decide": [f"/approvals/{secret.waiting}/decide"],
        "break-glass": ["/break-glass"],
        "break-glass-close": [f"/break-glass/{uuid.UUID(int=0)}/close"],
        "effect-decide": [f"{operation}/effects/1/decide"],
        "subjects": ["/subjects", f"/subjects?q={secret.word}", f"/subjects?q={secret.network}"],
        "subject": [network],
        "lists": ["/lists"],
        "list": ["/lists/blocked-networks.txt"],
        "protected": ["/protected"],
        "protected-withdraw": ["/protected/1/withdraw"],
        "log": ["/log", f"/log?text={secret.word}"],
        "people": ["/people"],
        "person-new": ["/people/new"],
        "person": ["/people/dana"],
        "person-close": ["/people/dana/close"],
        "person-reopen": ["/people/dana/reopen"],
        "person-member": ["/people/dana/member"],
        "groups": ["/groups"],
        "group-new": ["/groups/new"],
        "group": ["/groups/responders"],
        "group-rights": ["/groups/responders/rights"],
        "tokens": ["/tokens"],
        "token-new": ["/tokens/new"],
        "token-withdraw": [f"/tokens/{uuid.UUID(int=0)}/withdraw"],
        "account-notices": ["/account/notices"],
        "notices": ["/notices"],
        "healthz": ["/healthz"],
        "readyz": ["/readyz"],
    }  # fmt: skip


def test_every_page_is_in_the_table(console: Console, secret: Secret) -> None:
    names = console.python(
        "import django; django.setup()\n"
        "from console.urls import urlpatterns\n"
        "print(*[p.name for p in urlpatterns if hasattr(p, 'name') and p.name])\n"
    )
    walked = set(pages(console, secret))
    assert set(names.split()) == walked, "say which addresses of a new page a stranger is shown"


def test_no_page_tells_a_stranger_anything_of_it(
    console: Console, stranger: Browser, secret: Secret
) -> None:
    for name, addresses in pages(console, secret).items():
        for address in addresses:
            answer = stranger.http.get(address)
            if name in GONE:
                assert answer.status_code in {302, 404}, address
            if name in CLOSED:
                assert answer.status_code == 404, address
            text = without_its_address(f"{answer.headers} {answer.text}", address)
            # What was typed into the search stands in its field again.
            typed = {secret.word} if address.endswith(f"?q={secret.word}") else set()
            told = set(secret.told_by(text)) - typed
            assert told == set(), f"{address} tells {told}"


# Not there for a stranger: told as any address is at which there is nothing.
GONE = {"incident", "incident-note", "incident-change", "incident-close", "draft", "draft-reach",
        "draft-run"}  # fmt: skip
# For those alone who administer, read the log or may break glass.
CLOSED = {"log", "protected", "protected-withdraw", "break-glass", "people", "person-new", "person",
          "person-close", "person-reopen", "person-member", "groups", "group-new", "group",
          "group-rights", "tokens", "token-new", "token-withdraw", "notices"}  # fmt: skip


def without_its_address(text: str, address: str) -> str:
    """A page without the address that it was asked at, which the paper has at its foot."""
    path = address.partition("?")[0]
    up = path.rpartition("/")[0]
    for own in (html.escape(address), address, path, up if "INC-" in up or "/dr_" in up else path):
        text = text.replace(own, "")
    return text


def calls(secret: Secret) -> dict[str, list[str]]:
    """By each call of the API that reads, the addresses that are walked."""
    operations = [secret.operation, secret.undone, secret.joined, secret.waiting, secret.declined]
    return {
        "/actions": ["/actions"],
        "/actions/{action}": ["/actions/ban-network"],
        "/drafts/{draft}": [f"/drafts/{secret.draft}"],
        "/operations": ["/operations", "/operations?limit=200", f"/operations?incident={secret.ref}",
                        f"/operations?kind=network&name={secret.network}/32"],
        "/operations/{ref}": [f"/operations/{ref}" for ref in operations],
        "/operations/{ref}/keep": [f"/operations/{ref}/keep" for ref in operations],
        "/approvals": ["/approvals"],
        "/requests/{key}": [f"/requests/{secret.word}-{secret.ref}-ban"],
        "/subjects": [f"/subjects?kind=network&name={secret.network}"],
        "/incidents": ["/incidents", "/incidents?state=open", f"/incidents?cursor={secret.number}"],
        "/incidents/{ref}": [f"/incidents/{secret.ref}"],
        "/incidents/{ref}/timeline": [f"/incidents/{secret.ref}/timeline"],
        "/lists/{name}.txt": ["/lists/blocked-networks.txt"],
    }  # fmt: skip


def test_no_call_that_reads_tells_a_stranger_anything_of_it(
    console: Console, omar: Api, patcher: Api, secret: Secret
) -> None:
    paths = omar.get("/openapi.json").json()["paths"]
    reading = {path.removeprefix("/api/v1") for path, ops in paths.items() if "get" in ops}
    table = calls(secret)
    assert reading == set(table), "say which addresses of a new call a stranger is shown"
    for asker in (omar, patcher):
        for addresses in table.values():
            for address in addresses:
                answer = asker.http.get(f"/api/v1{address}")
                text = f"{answer.headers} {answer.text}"
                assert secret.told_by(text) == [], f"{address} tells {secret.told_by(text)}"
    for call in ("/incidents/{ref}", "/incidents/{ref}/timeline"):
        told = omar.http.get(f"/api/v1{table[call][0]}")
        assert (told.status_code, told.json()["code"]) == (404, "no_incident")
    assert omar.get("/operations", incident=secret.ref).json()["operations"] == []


# Every question


def same(answers: list[httpx.Response], *refs: str) -> None:
    """The answers are the same to the letter, but for the incident that was asked for."""
    told = set()
    for answer, ref in zip(answers, refs, strict=True):
        text = MOMENT.sub("", answer.text).replace(ref, "INC-n").replace(ref.lower(), "INC-n")
        body = answer.text.startswith("{") and json.loads(text)
        told.add((answer.status_code, json.dumps(body, sort_keys=True) if body else text))
    assert len(told) == 1, told


def test_asking_about_it_is_told_the_same_as_about_one_that_there_is_not(
    omar: Api, patcher: Api, secret: Secret, nowhere: str, fresh_network: Callable[[], str]
) -> None:
    network = fresh_network()
    subject = {"kind": "network", "name": network}
    refs = (secret.ref, nowhere)
    for asker in (omar, patcher):
        questions: list[Callable[[str], httpx.Response]] = [
            lambda ref, a=asker: a.ban(network, incident=ref),  # type: ignore[misc]
            lambda ref, a=asker: a.ban(secret.network, incident=ref),  # type: ignore[misc]
            lambda ref, a=asker: a.http.post("/api/v1/drafts", json={  # type: ignore[misc]
                "action": "ban-network", "subject": subject, "reason": "x", "incident": ref}),
            lambda ref, a=asker: post(a, f"/operations/{secret.operation}/undo",  # type: ignore[misc]
                                      {"reason": "x", "incident": ref}),
            lambda ref, a=asker: a.get(f"/incidents/{ref}"),  # type: ignore[misc]
            lambda ref, a=asker: a.get(f"/incidents/{ref}/timeline"),  # type: ignore[misc]
            lambda ref, a=asker: post(a, f"/incidents/{ref}/notes", {"text": "x"}),  # type: ignore[misc]
            lambda ref, a=asker: post(a, f"/incidents/{ref}/notes", {"text": ""}),  # type: ignore[misc]
            lambda ref, a=asker: patch(a, ref, {"state": "closed"}),  # type: ignore[misc]
            lambda ref, a=asker: patch(a, ref, {"lead": "omar"}, **{"If-Match": '"2"'}),  # type: ignore[misc]
            lambda ref, a=asker: patch(a, ref, {"add_members": ["omar"]}),  # type: ignore[misc]
            lambda ref, a=asker: patch(a, ref, {"title": ""}, **{"If-Match": '"9"'}),  # type: ignore[misc]
            lambda ref, a=asker: a.get("/operations", incident=ref),  # type: ignore[misc]
        ]  # fmt: skip
        for question in questions:
            same([question(ref) for ref in refs], *refs)
    confirmed = post(
        omar, "/operations", {"draft": secret.draft}, **{"Idempotency-Key": secret.draft}
    )
    assert (confirmed.status_code, confirmed.json()["code"]) == (404, "no_draft")


def test_the_forms_know_it_no_better_than_one_that_there_is_not(
    responder: Browser, secret: Secret, nowhere: str, network: str
) -> None:
    refs = (secret.ref, nowhere)
    form = responder.http.get("/actions/ban-network/new").text
    ban = {"subject": network, "length": "24h", "reason": "x"}
    undo = f"/operations/{secret.operation}/undo"
    for path, fields in (("/actions/ban-network/new", ban), (undo, {"reason": "x"})):
        told = [responder.submit(path, form, incident=ref, **fields) for ref in refs]
        assert {answer.status_code for answer in told} == {422}
        same(told, *refs)
    given = {"what": "lead", "value": "raj", "note": "x", "key": uuid.uuid4().hex, "version": "2"}
    for rest in ("", "/close", "/notes", "/change"):
        same([responder.http.get(f"/incidents/{ref}{rest}") for ref in refs], *refs)
        if rest:
            told = [responder.submit(f"/incidents/{r}{rest}", form, **given) for r in refs]
            assert {answer.status_code for answer in told} == {404}
            same(told, *refs)
    same([responder.http.get("/subjects", params={"q": ref}) for ref in refs], *refs)
    run = responder.submit(f"/drafts/{secret.draft}/run", form)
    assert run.status_code == 404


def test_what_it_asked_for_is_told_without_its_reason_and_is_enough_for_others(
    dana: Api, omar: Api, sweeper: Api, secret: Secret
) -> None:
    told = omar.ban(secret.network, reason="they scan us").json()
    assert told["disposition"] == "existing"
    assert (told["operation"]["ref"], told["operation"]["reason"]) == (secret.operation, None)
    assert told["operation"]["incidents"] == []
    # Asked again on purpose: the reason that it was given is not to be guessed either.
    again = {"seen": 1, "again": True, "reason": f"because of {secret.word}"}
    guessed = omar.http.post("/api/v1/drafts", json={
        "action": "ban-network", "subject": {"kind": "network", "name": secret.network},
        "params": {"for": "24h"}, **again,
    })  # fmt: skip
    assert guessed.json()["would_be"] == "created"
    # What anybody asked for first keeps its reason, and says nothing of who else asked.
    first = omar.get(f"/operations/{secret.joined}").json()
    assert (first["operation"]["reason"], first["operation"]["incidents"]) == ("a scan", [])
    assert {a["incident"] for a in first["arrivals"]} == {None}
    assert {a["key"] for a in first["arrivals"]} == {None}
    # Its members are told all of it, and their own keys.
    repeated = dana.ban(secret.network).json()["operation"]
    assert repeated["reason"] == f"because of {secret.word}"
    mine = dana.get(f"/operations/{secret.operation}").json()
    assert mine["operation"]["reason"] == f"because of {secret.word}"
    assert mine["operation"]["incidents"] == [secret.ref]
    assert f"{secret.word}-{secret.ref}-ban" in {a["key"] for a in mine["arrivals"]}
    whole = dana.get(f"/incidents/{secret.ref}").json()
    assert {o["ref"] for o in whole["operations"]} >= {secret.operation, secret.joined}
    assert secret.ref in {i["ref"] for i in dana.get("/incidents").json()["incidents"]}


def test_an_auditor_reads_all_of_it(auditor: Browser, secret: Secret) -> None:
    page = auditor.http.get(f"/incidents/{secret.ref}")
    assert page.status_code == 200
    assert f"note {secret.word}" in page.text
    assert f"because of {secret.word}" in auditor.http.get(f"/operations/{secret.operation}").text
    assert secret.ref in auditor.http.get("/incidents").text
    assert secret.word in auditor.http.get("/log", params={"text": secret.word}).text
    assert f"because of {secret.word}" in auditor.http.get(f"/approvals/{secret.waiting}").text
    for path in ("/approvals", f"/approvals/{secret.declined}"):
        assert f"no, says {secret.word}" in auditor.http.get(path).text


def test_who_may_approve_what_it_asks_for_is_told_neither_its_reason_nor_why_another_was_declined(
    enter: Enter, dana: Api, omar: Api, secret: Secret
) -> None:
    li = enter("li")
    inbox = li.http.get("/approvals").text
    assert f"/approvals/{secret.waiting}" in inbox and f"/operations/{secret.declined}" in inbox
    waiting = li.http.get(f"/approvals/{secret.waiting}").text
    assert 'name="do"' in waiting and "Not shown to you" in waiting
    assert "Not shown to you" in li.http.get(f"/approvals/{secret.declined}").text
    listed = {one["ref"]: one for one in omar.get("/approvals").json()["approvals"]}
    assert (listed[secret.waiting]["reason"], listed[secret.waiting]["incidents"]) == (None, [])
    told = {one["ref"]: one["reason"] for one in dana.get("/approvals").json()["approvals"]}
    assert told[secret.waiting] == f"because of {secret.word}", "its members are told"
    given = omar.get(f"/operations/{secret.declined}").json()["operation"]["approvals"]["given"]
    assert [(one["by"], one["reason"]) for one in given] == [("noor", None)]


def test_a_token_is_told_the_same_of_a_person_s_lift_in_it_as_of_one_in_none(
    dana: Api, sweeper: Api, fresh_network: Callable[[], str], secret: Secret
) -> None:
    """Rules that compare incidents compare those alone that the asker sees."""
    told = []
    for more in ({"incident": secret.ref}, {}):
        network = fresh_network()
        dana.ban(network, wait=10)
        dana.lift(network, wait=10, **more)
        told.append(sweeper.ban(network))
    assert [(t.status_code, t.json().get("code")) for t in told] == [(412, "against_a_person")] * 2
    # Who sees it is told by it: this lift was for that incident, and none of this ask's business.
    assert dana.ban(network, incident=secret.ref).status_code == 201


# Restricted later


def test_it_is_gone_from_the_moment_that_it_is_restricted_and_back_for_a_member(
    dana: Api, omar: Api, network: str
) -> None:
    ref = post(dana, "/incidents", {"title": "Phishing"}).json()["incident"]["ref"]
    made = dana.ban(network, incident=ref, wait=10).json()["operation"]["ref"]

    def omar_sees() -> tuple[int, list[str], str | None]:
        told = omar.get(f"/operations/{made}").json()["operation"]
        return omar.get(f"/incidents/{ref}").status_code, told["incidents"], told["reason"]

    assert omar_sees() == (200, [ref], "a test asks")
    seen = {"If-Match": omar.get(f"/incidents/{ref}").headers["ETag"]}
    assert patch(dana, ref, {"restricted": True}, **seen).json()["changed"]
    assert omar_sees() == (404, [], None)
    assert patch(dana, ref, {"add_members": ["omar"]}).json()["changed"]
    assert omar_sees() == (200, [ref], "a test asks")
    assert patch(dana, ref, {"remove_members": ["omar"]}).json()["changed"]
    assert omar_sees() == (404, [], None)
    seen = {"If-Match": dana.get(f"/incidents/{ref}").headers["ETag"]}
    assert patch(dana, ref, {"restricted": False}, **seen).json()["changed"]
    assert omar_sees() == (200, [ref], "a test asks")


def test_the_numbers_of_others_go_on_without_a_gap(dana: Api, omar: Api) -> None:
    before = int(omar.incident("one").removeprefix("INC-"))
    hidden = post(dana, "/incidents", {"title": "x", "restricted": True}).json()["incident"]["ref"]
    after = int(omar.incident("two").removeprefix("INC-"))
    assert after == before + 1
    assert int(hidden.removeprefix("INC-")) >= 100000


def test_the_end_of_what_it_asked_for_keeps_its_reason_to_itself(
    console: Console, dana: Api, omar: Api, network: str, secret: Secret
) -> None:
    said = f"until the end, {secret.word}"
    made = dana.ban(network, "1h", incident=secret.ref, reason=said, wait=10).json()["operation"]
    console.bring_on_the_end(made["ref"])
    from tests.console_process import eventually

    def lifted() -> dict[str, Any] | None:
        (lane,) = omar.get("/subjects", kind="network", name=network).json()["lanes"]
        newest: dict[str, Any] = lane["operations"][0]
        return newest if newest["because"] and newest["state"] == "succeeded" else None

    end = eventually(lifted, what="the ban is ended")
    assert (end["reason"], end["incidents"]) == (None, [])
    mine = dana.get(f"/operations/{end['ref']}").json()["operation"]
    assert said in mine["reason"]
    assert mine["incidents"] == [secret.ref]
