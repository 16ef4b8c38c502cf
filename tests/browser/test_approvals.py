"""A second person decides, in a real browser: once, however often they press."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import Sit
from tests.browser.test_access import OPTIONS
from tests.console_process import Console


def test_ana_asks_li_looks_and_approves_with_a_double_click(sit: Sit, console: Console) -> None:
    ana, li = sit("ana"), sit("li", width=390)
    page = ana.draft("100.112.0.0/20")
    expect(page.locator("main")).to_contain_text("1 of approvers must approve it")
    ana.read()
    page.fill("#confirm", "100.112.0.0/20")
    page.click("form#run button")
    page.wait_for_url("**/operations/*")
    expect(page.locator(".outcome").first).to_contain_text("Waits for approval")
    ref = page.url.rsplit("/", 1)[1]
    own = ana.open(f"/approvals/{ref}", ana.tab())
    expect(own.locator("main")).to_contain_text(
        "You asked for it: somebody else must decide. li can."
    )
    inbox = li.open("/approvals")
    for shown in (inbox, li.open(f"/approvals/{ref}")):
        found = Axe().run(shown, options=OPTIONS).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
        assert shown.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    li.page.fill("#reason", "matches the edge log")
    li.page.dblclick("button[value=approve]")
    li.page.wait_for_url(f"**/operations/{ref}")
    expect(li.page.locator(".outcome").first).to_contain_text("li approved it", timeout=60_000)
    expect(page.locator(".outcome").first).to_contain_text("Done", timeout=60_000)
    count = (
        "SELECT count(*) FROM approval a JOIN operation o ON o.id = a.operation_id WHERE o.ref = %s"
    )
    assert console.value(count, ref) == 1
    assert ana.faults == li.faults == []
