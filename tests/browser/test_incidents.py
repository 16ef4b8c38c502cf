"""An incident in a real browser: opened, written to, handed over, and closed with what stays in force."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Screen, Sit
from tests.browser.test_access import OPTIONS
from tests.console_process import Api


def barriers(screen: Screen) -> list[str]:
    found = Axe().run(screen.page, options=OPTIONS).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]


def test_ana_opens_an_incident_and_raj_closes_it_knowing_what_stays_in_force(
    sit: Sit, runbook: Api, network: str
) -> None:
    ana, raj = sit("ana"), sit("raj")
    page = ana.open("/incidents/new")
    page.fill("[name=title]", "Stolen laptop")
    page.click("text=Open the incident")
    page.wait_for_url("**/incidents/INC-*")
    address = page.url.removeprefix(ana.url)
    ref = address.rpartition("/")[2]
    assert "Open, led by ana" in page.inner_text("h1 + p")

    page.fill("#note", "Seen at the gate\nat nine")
    page.dblclick("text=Add the note")
    page.wait_for_selector("text=Seen at the gate")
    assert page.inner_text("main").count("Seen at the gate") == 1
    assert runbook.ban(network, incident=ref, wait=10).status_code == 201

    page = ana.open(address)
    assert barriers(ana) == []
    page.fill("#lead", "raj")
    page.fill("#lead-note", "The ban must stay")
    page.click("button:has-text('Hand over')")
    page.wait_for_selector("text=Open, led by raj")
    assert page.locator("text=Close…").count() == 0  # it is Raj's now
    assert "Handed over from ana to raj" in page.inner_text("main")

    page = raj.open(address)
    page.click("text=Close…")
    page.wait_for_url("**/close")
    assert f"{network} is banned until" in page.inner_text("main")
    assert "Still in force" in page.inner_text("main")
    assert barriers(raj) == []
    page.fill("#close-note", "Found again")
    page.click("text=Close it, and leave this as it is")
    page.wait_for_selector("text=Closed, led by raj")
    assert "Found again" in page.inner_text("main")
    assert network in runbook.listed()
    page = raj.open("/incidents?state=closed")
    row = page.inner_text(f"tr:has-text('{ref} ')")
    assert "raj" in row and row.rstrip().endswith("1")
    assert barriers(raj) == []
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    assert ana.faults == raj.faults == []
