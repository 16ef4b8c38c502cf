"""The buttons on an operation's page, without JavaScript: for who may, and safe to press twice."""

from __future__ import annotations

import re

from tests.console_process import Api, Browser, Console
from tests.flow.test_verbs import banned, brought_to


def page(browser: Browser, ref: str) -> str:
    return browser.http.get(f"/operations/{ref}").text


def key_in(text: str, after: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', text.split(after, 1)[1])
    assert found
    return found[1]


def test_finish_pressed_twice_runs_it_once(
    console: Console, runbook: Api, responder: Browser, network: str
) -> None:
    ref, _ = brought_to(console, runbook, network, "failed")
    text = page(responder, ref)
    assert "Finish what is left" in text
    path = f"/operations/{ref}/finish"
    key = key_in(text, f'action="{path}"')
    for _ in range(2):
        pressed = responder.submit(path, text, key=key)
        assert (pressed.status_code, pressed.headers["Location"]) == (303, f"/operations/{ref}")
    assert runbook.settled(ref)["operation"]["state"] == "succeeded"
    told = [a["disposition"] for a in runbook.get(f"/operations/{ref}").json()["arrivals"]]
    assert told == ["created", "resumed", "existing"]


def test_who_may_not_ask_sees_no_button_and_can_press_none(
    console: Console, runbook: Api, auditor: Browser, network: str
) -> None:
    ref, effect = brought_to(console, runbook, network, "parked")
    text = page(auditor, ref)
    for path in ("finish", "cancel", "undo", f"effects/{effect}/decide"):
        assert f"/operations/{ref}/{path}" not in text
    board = auditor.http.get("/").text
    pressed = auditor.submit(f"/operations/{ref}/finish", board, key="page-0123456789abcdef")
    assert pressed.status_code == 403
    assert auditor.http.get(f"/operations/{ref}/undo").status_code == 404


def test_a_button_without_the_proof_of_our_page_does_nothing(
    console: Console, runbook: Api, responder: Browser, network: str
) -> None:
    ref, _ = brought_to(console, runbook, network, "failed")
    forged = responder.http.post(f"/operations/{ref}/finish", data={"key": "page-0123456789abcdef"})
    assert forged.status_code == 403
    assert responder.http.get(f"/operations/{ref}/finish").status_code == 302
    assert runbook.get(f"/operations/{ref}").json()["operation"]["state"] == "failed"


def test_what_is_not_begun_is_cancelled_from_its_page(
    console: Console, runbook: Api, responder: Browser, network: str
) -> None:
    with console.keeper_halted():
        ref = runbook.ban(network).json()["operation"]["ref"]
        text = page(responder, ref)
        assert "Cancel before it starts" in text
        path = f"/operations/{ref}/cancel"
        pressed = responder.submit(path, text, key=key_in(text, f'action="{path}"'))
        assert pressed.status_code == 303
    after = page(responder, ref)
    assert "withdrawn before anything was sent" in after
    assert "Cancel before it starts" not in after


def test_what_has_begun_says_so_where_it_was_pressed(
    runbook: Api, responder: Browser, network: str
) -> None:
    ref = banned(runbook, network)
    board = responder.http.get("/").text
    pressed = responder.submit(f"/operations/{ref}/cancel", board, key="page-fedcba9876543210")
    assert pressed.status_code == 409
    assert "it has begun" in pressed.text


def test_a_parked_effect_is_decided_by_a_person_who_looked(
    console: Console, runbook: Api, responder: Browser, second_responder: Browser, network: str
) -> None:
    ref, effect = brought_to(console, runbook, network, "parked")
    text = page(responder, ref)
    for said in ("It is in place", "give up", "try again", "What you saw"):
        assert said in text
    path = f"/operations/{ref}/effects/{effect}/decide"
    key = key_in(text, f'action="{path}"')
    unsaid = responder.submit(path, text, key=key, to="succeeded", reason=" ")
    assert unsaid.status_code == 422
    assert "say what you saw" in unsaid.text
    pressed = responder.submit(path, text, key=key, to="succeeded", reason="on the list, line 4")
    assert pressed.status_code == 303
    after = page(second_responder, ref)
    assert "on the list, line 4" in after
    assert path not in after
    late = second_responder.submit(path, after, key="page-00112233445566", to="failed", reason="no")
    assert late.status_code == 303
    assert runbook.get(f"/operations/{ref}").json()["operation"]["state"] == "succeeded"


def test_an_undo_is_looked_at_then_confirmed_and_runs_once(
    runbook: Api, responder: Browser, network: str
) -> None:
    ref = banned(runbook, network)
    assert f"/operations/{ref}/undo" in page(responder, ref)
    form = responder.http.get(f"/operations/{ref}/undo").text
    assert "Undo: Lift a ban" in form
    bare = responder.submit(f"/operations/{ref}/undo", form, reason="")
    assert bare.status_code == 422
    drafted = responder.submit(f"/operations/{ref}/undo", form, reason="ours after all")
    assert drafted.status_code == 302
    draft = drafted.headers["Location"]
    shown = responder.http.get(draft).text
    assert f"{ref}, and only what it changed" in shown
    responses = [responder.submit(f"{draft}/run", shown)]
    while responses[-1].status_code == 409:  # confirmed before it could be read
        responses.append(responder.submit(f"{draft}/run", shown))
    twice = responder.submit(f"{draft}/run", shown)
    undo = responses[-1].headers["Location"]
    assert (responses[-1].status_code, twice.headers["Location"]) == (303, undo)
    runbook.settled(undo.rsplit("/", 1)[1])
    assert runbook.get(f"/operations/{ref}").json()["in_force"] == "no"
    assert f"/operations/{ref}/undo" not in page(responder, ref)
    assert ref in responder.http.get(undo).text


def test_what_is_not_known_is_asked_on_the_undo_s_page(
    console: Console, runbook: Api, responder: Browser, network: str
) -> None:
    ref = banned(runbook, network)
    console.rows(
        "UPDATE effect SET found = 'not_known' FROM operation o"
        " WHERE o.id = operation_id AND o.ref = %s RETURNING 1",
        ref,
    )
    form = responder.http.get(f"/operations/{ref}/undo").text
    assert "is not known" in form
    unsaid = responder.submit(f"/operations/{ref}/undo", form, reason="x")
    assert unsaid.status_code == 422
    left = responder.submit(f"/operations/{ref}/undo", form, reason="x", not_known="leave")
    assert left.status_code == 422
    assert "to be left as it is" in left.text
    assert (
        responder.submit(f"/operations/{ref}/undo", form, reason="x", not_known="include")
        .headers["Location"]
        .startswith("/drafts/")
    )
