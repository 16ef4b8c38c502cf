"""The pages of notices, on a whole console with a mail server: from an address given to a mail received."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message

import pytest

from tests.console_process import Browser, Console, eventually, running
from tests.heard import smtp
from tests.heard.smtp import Ledger


@pytest.fixture(scope="module")
def mail_server() -> Iterator[Ledger]:
    with smtp.serving() as ledger:
        yield ledger


@pytest.fixture(scope="module")
def told(mail_server: Ledger) -> Iterator[Console]:
    """A whole console that has a mail server, and Sam as its admin."""
    env = {"EMAIL_URL": mail_server.url, "EMAIL_FROM": "steadyhand@example.test", "WORKERS": "0"}
    with running(env) as console:
        with console.database() as at:
            at.execute(
                "INSERT INTO auth_permission (name, codename, content_type_id)"
                " SELECT 'x', 'administer', id FROM django_content_type"
                " WHERE app_label = 'actions' AND model = 'caller' ON CONFLICT DO NOTHING"
            )
            at.execute(
                "INSERT INTO auth_group_permissions (group_id, permission_id) SELECT g.id, p.id"
                " FROM auth_group g, auth_permission p WHERE g.name = 'admins'"
                " AND p.codename = 'administer' ON CONFLICT DO NOTHING"
            )
        yield console


def person(console: Console, name: str) -> Browser:
    given = console.credentials["people"][name]
    return Browser(console.url, given["username"], given["password"])


def page(browser: Browser, path: str = "/account/notices") -> str:
    answer = browser.http.get(path)
    assert answer.status_code == 200, answer.status_code
    return answer.text


def send(browser: Browser, **fields: str) -> tuple[int, str]:
    """Send one of the forms of the page: the status, and the page that it leads to."""
    answer = browser.submit("/account/notices", page(browser), **fields)
    if answer.status_code == 303:
        return 303, page(browser, answer.headers["Location"])
    return answer.status_code, answer.text


def mails(ledger: Ledger, to: str, about: str) -> list[Message]:
    return [mail for mail in ledger.mails(to) if about in str(mail["Subject"])]


def test_from_an_address_given_to_a_mail_received(told: Console, mail_server: Ledger) -> None:
    ana, to = person(told, "ana"), "ana@example.test"
    assert "Nowhere yet" in page(ana)
    assert send(ana, do="address", email="ana")[0] == 422
    status, said = send(ana, do="address", email=to)
    assert status == 303
    assert "A code is on its way" in said and "not confirmed yet" in said
    assert send(ana, do="address", email="ana2@example.test")[0] == 422  # within the minute
    (mail,) = eventually(lambda: mails(mail_server, to, "Confirm this address"), what="the code")
    code = re.search(r"^Code +(\S+)", mail.get_payload(), re.M)
    assert code is not None and code[1] not in said
    assert send(ana, do="code", code="AAAA-AAAA")[0] == 422
    status, said = send(ana, do="code", code=code[1])
    assert (status, "From now on notices go there" in said) == (303, True)
    status, said = send(ana, do="code", code=code[1])
    assert (status, "The address is confirmed already" in said) == (303, True)
    status, said = send(ana, do="address", email=to)
    assert (status, "no code was sent" in said, f"{to}, confirmed" in said) == (303, True, True)
    assert send(ana, do="code", code="AAAA-AAAA")[0] == 422
    assert send(ana, do="choose", settled="on", parked="on", awaiting="on")[0] == 303
    chosen = set(re.findall(r'name="(\w+)"[^>]*checked', page(ana)))
    assert chosen == {"settled", "parked", "awaiting", "break_glass"}
    runs = told.new_token("ana", "ask:ban-network", "read")
    ref = told.api(runs).ban("198.18.200.1", wait=10).json()["operation"]["ref"]
    (mail,) = eventually(lambda: mails(mail_server, to, ref), what="the mail that it settled")
    assert f"/operations/{ref}" in mail.get_payload()
    status, said = send(ana, do="test")
    assert status == 303 and "A test is on its way" in said
    eventually(lambda: mails(mail_server, to, "A test"), what="the test")


def test_who_is_told_of_nothing_has_nothing_to_press(told: Console) -> None:
    noor = person(told, "noor")
    text = page(noor)
    assert "nothing that you would be told of" in text
    assert set(re.findall(r"<button\b[^>]*>(.*?)</button>", text)) <= {"Find", "Sign out"}
    for doing in ("address", "choose", "test", "code"):
        answer = noor.submit("/account/notices", text, do=doing, email="x@example.test", code="x")
        assert answer.status_code == 404
    assert told.value("SELECT count(*) FROM notice_address a JOIN caller c ON c.id = a.caller_id"
                      " WHERE c.username = 'noor'") == 0  # fmt: skip


def test_a_form_that_is_none_is_not_found_and_without_proof_refused(told: Console) -> None:
    raj = person(told, "raj")
    assert raj.submit("/account/notices", page(raj), do="everything").status_code == 404
    assert raj.http.post("/account/notices", data={"do": "test"}).status_code == 403


def test_admins_see_whom_nobody_could_tell_and_others_do_not(
    told: Console, mail_server: Ledger
) -> None:
    sam, raj = person(told, "sam"), person(told, "raj")
    assert raj.http.get("/notices").status_code == 404
    assert "Whom nobody could tell" not in page(raj)
    assert "No notice was given up" in page(sam, "/notices")
    assert "Not everybody who must hear" not in page(sam, "/")
    mail_server.tell("rcpt-5xx")
    assert send(raj, do="address", email="raj@example.test")[0] == 303
    eventually(
        lambda: told.rows("SELECT FROM notice WHERE state = 'failed'"), what="it is given up"
    )
    shown = page(sam, "/notices")
    assert "Confirm this address" in shown and "raj, by email" in shown
    assert "raj@example.test" not in shown
    assert "Not everybody who must hear is told" in page(sam, "/")
    assert "Not everybody who must hear is told" not in page(raj, "/")
    ready = sam.http.get("/readyz").json()
    assert ready["notices"] == "ok"
