"""Accounts and secrets by browser: suspended, met by another, undone; rotated, shown once, erased."""

from __future__ import annotations

import re

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Screen, Sit
from tests.browser.payments import Payments
from tests.browser.test_access import OPTIONS
from tests.console_process import Console

RUN = "form#run button"
SHOW, HAVE = "Show the new value", "I have it: erase it"


@pytest.fixture
def payments(console: Console) -> Payments:
    return Payments(console)


def _draft(screen: Screen, action: str, subject: str, **fields: str) -> Page:
    page = screen.open(f"/actions/{action}/new")
    for name, value in {"subject": subject, "reason": "seen in the mail log", **fields}.items():
        page.fill(f"[name={name}]", value)
    page.click("text=Continue")
    page.wait_for_url("**/drafts/*")
    return page


def _confirm(screen: Screen) -> str:
    """Press the draft's button once it could be read; the ref of the operation."""
    screen.read()
    screen.page.click(RUN)
    screen.page.wait_for_url("**/operations/*")
    return screen.page.url.rpartition("/")[2]


def _outcome(page: Page) -> Locator:
    return page.locator(".outcome").first


def _settles(page: Page, heading: str) -> None:
    expect(page.locator(".outcome h1")).to_contain_text(heading, timeout=15_000)


def _click_twice(page: Page, text: str) -> None:
    button = page.get_by_role("button", name=text)
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box
    for _ in range(2):
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def _count(console: Console, kind: str, ref: str) -> int:
    """How many events of this kind the log holds of an operation."""
    return int(
        console.value(
            "SELECT count(*) FROM log_event e JOIN operation o ON o.id = e.operation_id"
            " WHERE e.kind = %s AND o.ref = %s",
            kind,
            ref,
        )
    )


def _no_barrier(page: Page) -> None:
    found = Axe().run(page, options=OPTIONS).response["violations"]
    assert [(page.url, v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{page.url} scrolls sideways by {wide} px"


def test_ana_suspends_by_name_raj_meets_it_and_she_undoes_it(
    sit: Sit, console: Console, payments: Payments
) -> None:
    ana, raj = sit("ana"), sit("raj", width=390)
    name, password = payments.role()
    typed, open_now = f"payments-db:{name}", payments.sign_in(name, password)
    his = _draft(raj, "suspend-account", typed)

    page = _draft(ana, "suspend-account", typed)
    expect(page.locator("main")).to_contain_text(": may sign in.")
    expect(page.locator("main")).to_contain_text("1 open session from")
    _no_barrier(page)
    ref = _confirm(ana)
    _settles(page, f"Done: {typed} is suspended")
    effects = page.locator("table.rows").first.locator("tbody tr")
    expect(effects.nth(0)).to_contain_text("Block sign-in")
    expect(effects.nth(1)).to_contain_text("End open sessions")
    expect(effects.nth(1)).to_contain_text("1 session ended")
    assert not payments.lets_in(name, password)
    with pytest.raises(psycopg.OperationalError):
        open_now.execute("SELECT")

    assert _confirm(raj) == ref
    expect(_outcome(his)).to_contain_text("Already done")
    expect(_outcome(his)).to_contain_text("ana did this")
    expect(_outcome(his)).to_contain_text("Your click changed nothing")
    _no_barrier(his)

    page.click("text=Undo: restore an account")
    page.fill("[name=reason]", "it was a drill")
    _no_barrier(page)
    page.click("text=Continue")
    page.wait_for_url("**/drafts/*")
    expect(page.locator("main")).to_contain_text(f"{ref}, and only what it changed.")
    ana.read()
    _click_twice(page, "Restore")
    page.wait_for_url("**/operations/*")
    _settles(page, f"Done: {typed} is restored")
    assert payments.lets_in(name, password)
    undoing = (
        "SELECT count(*) FROM operation u JOIN operation o ON u.undoes_id = o.id WHERE o.ref = %s"
    )
    assert console.value(undoing, ref) == 1
    _no_barrier(ana.open(f"/subjects?q={typed}"))
    assert ana.faults == [] and raj.faults == []


def test_a_new_value_is_shown_copied_and_gone_once_she_has_it(
    sit: Sit, console: Console, payments: Payments
) -> None:
    ana = sit("ana", width=390)
    ana.context.grant_permissions(["clipboard-read", "clipboard-write"])
    name, old = payments.role()
    page = _draft(ana, "rotate-secret", f"payments-db:{name}")
    expect(page.locator("main")).to_contain_text("no version of ours yet")
    ref = _confirm(ana)
    _settles(page, "As planned: 2 of 3 steps are done, and the rest waits until")
    expect(page.locator("main")).to_contain_text("Waits until")

    _click_twice(page, SHOW)
    new = page.locator("#value .ref").nth(1).inner_text()
    assert payments.lets_in(name, new) and not payments.lets_in(name, old)
    assert _count(console, "value.shown", ref) == 1
    page.get_by_role("button", name="Copy", exact=True).nth(1).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == new
    # The page goes on following the run around it.
    with page.expect_response(re.compile("/live$")):
        pass
    expect(page.get_by_role("button", name=HAVE)).to_be_visible()
    expect(page.locator("#value")).to_contain_text(new)
    _no_barrier(page)

    raj = sit("raj")
    expect(_outcome(raj.open(f"/operations/{ref}"))).to_contain_text("ana did this")
    assert raj.page.locator("#value").count() == 0 and new not in raj.page.content()

    page.get_by_role("button", name=HAVE).click()
    expect(page.locator("#value")).to_contain_text("It cannot be shown again")
    for _ in range(2):
        assert new not in page.content()
        page.reload()
    assert page.get_by_role("button", name=SHOW).count() == 0
    assert _count(console, "value.acknowledged", ref) == 1
    assert ana.faults == [] and raj.faults == []


def test_without_script_a_value_is_a_page_of_its_own(sit: Sit, payments: Payments) -> None:
    ana = sit("ana", javascript=False)
    name, _ = payments.role()
    page = _draft(ana, "rotate-secret", f"payments-db:{name}")
    _confirm(ana)
    for _ in range(50):
        if "waits until" in page.locator(".outcome h1").inner_text():
            break
        page.wait_for_timeout(200)
        page.reload()
    page.get_by_role("button", name=SHOW).click()
    expect(page.locator("h1")).to_contain_text("The value that")
    assert payments.lets_in(name, page.locator("#value .ref").nth(1).inner_text())
    page.get_by_role("button", name=HAVE).click()
    expect(page.locator("#value")).to_contain_text("It cannot be shown again")


def test_finish_pressed_twice_runs_the_rest_once(
    sit: Sit, console: Console, payments: Payments
) -> None:
    ana = sit("ana")
    name, password = payments.role(managed=False)
    page = _draft(ana, "suspend-account", f"payments-db:{name}")
    ref = _confirm(ana)
    _settles(page, "Failed")
    expect(_outcome(page)).to_contain_text("Block sign-in in Payments database: failed.")
    _no_barrier(page)
    payments.hand_over(name)
    _click_twice(page, "Finish what is left")
    _settles(page, f"Done: payments-db:{name} is suspended")
    assert not payments.lets_in(name, password)
    calls = (
        "SELECT count(*) FROM attempt a JOIN effect e ON e.id = a.effect_id"
        " JOIN operation o ON o.id = e.operation_id WHERE o.ref = %s GROUP BY e.id ORDER BY e.id"
    )
    assert [row[0] for row in console.rows(calls, ref)] == [2, 1]


def test_an_auditor_finds_nothing_to_press(sit: Sit, payments: Payments) -> None:
    ana, noor = sit("ana"), sit("noor")
    account, secret = (f"payments-db:{payments.role()[0]}" for _ in range(2))
    _draft(ana, "suspend-account", account)
    suspended = _confirm(ana)
    _settles(ana.page, "Done")
    _draft(ana, "rotate-secret", secret)
    rotated = _confirm(ana)
    _settles(ana.page, "As planned")
    paths = [
        f"/operations/{suspended}", f"/operations/{rotated}", f"/subjects?q={account}",
        f"/subjects?q=secret {secret}", "/", "/actions", "/actions/suspend-account",
        "/actions/restore-account", "/actions/revoke-sessions", "/actions/rotate-secret",
    ]  # fmt: skip
    for path in paths:
        page = noor.open(path)
        pressable = page.locator("main :is(form, a.btn, button:not([data-copy]))")
        assert (path, pressable.all_inner_texts()) == (path, [])
        _no_barrier(page)
    assert noor.faults == []
