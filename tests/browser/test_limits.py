"""What is wide is typed, and a ban of one's own address is kept: in a real browser."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Sit
from tests.console_process import Api, Console
from tests.contracts.limits import everybody_pulls, loopback_is_like_any_other, seated

RUN = "form#run button"


def test_a_responder_types_what_is_wide_beside_a_count_that_follows(
    sit: Sit, console: Console
) -> None:
    ana = sit("ana")
    page = ana.draft("198.26.0.0/18")
    expect(page.locator("#reach")).to_contain_text("16,384 addresses")
    expect(page.locator("#reach")).to_contain_text("0 people work from there")
    with seated(console, "raj", "198.27.0.1"), seated(console, "noor", "198.26.0.1"):
        expect(page.locator("#reach")).to_contain_text("1 person works", timeout=30_000)
    ana.read()
    page.click(RUN)
    expect(page.locator("#banner, .outcome").first).to_contain_text("type what you mean to hit")
    page.fill("#confirm", "198.26.0.0/18")
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    assert [fault for fault in ana.faults if "403" not in fault] == []


def test_a_responder_keeps_a_ban_of_her_own_address_by_a_new_connection(
    sit: Sit, console: Console, runbook: Api
) -> None:
    ana = sit("ana")
    with loopback_is_like_any_other(console):
        page = ana.open("/actions/ban-network/new?subject=127.0.0.1")
        page.fill("[name=reason]", "somebody is in our own network")
        page.click("text=Continue")
        page.wait_for_url("**/drafts/*")
        expect(page.locator("#own")).to_contain_text("It may cut you off")
        ana.read()
        page.click(RUN)
        page.wait_for_url("**/operations/*")
        expect(page.locator("text=I can still come in: keep it")).to_be_visible(timeout=60_000)
        everybody_pulls(console)
        page.click("text=I can still come in: keep it")
        expect(page.locator("h1")).to_have_text("You came in by a new connection")
        page.click("#keep")
        page.wait_for_url("**/operations/op_*")
        row = "SELECT kept_at IS NOT NULL FROM operation WHERE ref = %s"
        assert console.value(row, page.url.rsplit("/", 1)[1])
        runbook.lift("127.0.0.1", wait=10)
