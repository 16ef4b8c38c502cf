"""Pressing twice, in every way in which tired people and their browsers do it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Screen, Sit
from tests.console_process import Api, Console

RUN = "form#run button"


def _done(page: Page) -> None:
    expect(page.locator(".outcome").first).to_contain_text("Done", timeout=15_000)


def _operations(console: Console, network: str) -> int:
    return int(
        console.value(
            "SELECT count(*) FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s",
            f"{network}/32",
        )
    )


def _arrivals(console: Console, network: str) -> list[str]:
    rows = console.rows(
        "SELECT a.disposition FROM arrival a JOIN operation o ON o.id = a.operation_id"
        " JOIN subject s ON s.id = o.subject_id WHERE s.name = %s ORDER BY a.at",
        f"{network}/32",
    )
    return [row[0] for row in rows]


def test_a_responder_bans_and_sees_it_become_done_without_reloading(
    sit: Sit, console: Console, runbook: Api, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    ana.read()
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    _done(page)
    expect(page.locator(".outcome").first).to_contain_text("You did this")
    assert network in runbook.listed()
    assert ana.faults == []


def test_live_progress_stops_once_it_is_settled(sit: Sit, network: str) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    ana.read()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/live") else None)
    page.click(RUN)
    _done(page)
    expect(page.locator("[data-hx-trigger^=load]")).to_have_count(0)
    after = len(asked)
    page.wait_for_timeout(1500)
    assert len(asked) == after


@pytest.mark.parametrize("javascript", [True, False])
def test_a_double_click_makes_one_operation(
    sit: Sit, console: Console, network: str, javascript: bool
) -> None:
    ana = sit("ana", javascript=javascript)
    page = ana.draft(network)
    ana.read()
    box = page.locator(RUN).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for _ in range(2):
        page.mouse.click(x, y)
    # Without JavaScript the second click breaks off the first one's navigation, which is no fault.
    expect(page).to_have_url(re.compile("/operations/"), timeout=15_000)
    assert _operations(console, network) == 1
    assert _arrivals(console, network).count("created") == 1
    expect(page.locator(".outcome").first).to_contain_text("You did this")


def test_back_and_press_again_shows_the_same_operation(
    sit: Sit, console: Console, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    ana.read()
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    first = page.url
    page.go_back()
    page.wait_for_selector(RUN)
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    assert page.url == first
    assert _operations(console, network) == 1
    expect(page.locator(".outcome").first).to_contain_text("reached us twice")


def test_a_second_tab_on_the_draft_meets_the_same_operation(
    sit: Sit, console: Console, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    other = ana.open(page.url.removeprefix(ana.url), ana.tab())
    ana.read()
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    other.click(RUN)
    other.wait_for_url("**/operations/*")
    assert other.url == page.url
    assert _operations(console, network) == 1


def test_a_second_responder_is_told_it_is_already_done(
    sit: Sit, console: Console, network: str
) -> None:
    ana, raj = sit("ana"), sit("raj")
    hers, his = ana.draft(network), raj.draft(network, "also saw the scan")
    ana.read()
    hers.click(RUN)
    hers.wait_for_url("**/operations/*")
    _done(hers)
    his.click(RUN)
    his.wait_for_url("**/operations/*")
    assert his.url == hers.url
    expect(his.locator(".outcome").first).to_contain_text("Already done")
    expect(his.locator(".outcome").first).to_contain_text("ana did this")
    expect(his.locator(".outcome").first).to_contain_text("Your click changed nothing")
    assert _operations(console, network) == 1


@pytest.mark.parametrize("javascript", [True, False])
def test_back_and_open_again_shows_the_same_incident(
    sit: Sit, console: Console, network: str, javascript: bool
) -> None:
    ana = sit("ana", javascript=javascript)
    title = f"Scan from {network}"
    page = ana.open("/incidents/new")
    seen = set()
    for _ in range(2):
        page.fill("[name=title]", title)
        page.click("text=Open the incident")
        page.wait_for_url("**/incidents/INC-*")
        seen.add(page.url)
        page.go_back()
        page.wait_for_url("**/incidents/new?key=*")
    assert len(seen) == 1
    assert console.value("SELECT count(*) FROM incident WHERE title = %s", title) == 1
    page.fill("[name=title]", "Something else")
    page.click("text=Open the incident")
    expect(page.locator(".problems")).to_contain_text("under another title")
    expect(page.locator("[name=title]")).to_have_value("Something else")
    page.click("text=Open the incident")
    page.wait_for_url("**/incidents/INC-*")
    assert page.url not in seen


def test_signing_in_anew_while_confirming_leads_back_to_the_draft(
    sit: Sit, console: Console, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    draft = page.url
    ana.read()
    [session] = [c for c in ana.context.cookies() if c["name"] == "steadyhand"]
    ana.context.clear_cookies(name="steadyhand")
    page.click(RUN)
    page.wait_for_url("**/sign-in?next=**")
    assert _operations(console, network) == 0
    ana.context.add_cookies([session])
    page.reload()
    page.wait_for_url(draft)
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    assert _operations(console, network) == 1


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_the_confirm_button_is_never_where_continue_was(sit: Sit, network: str, width: int) -> None:
    ana = sit("ana", width=width)
    page = ana.open("/actions/ban-network/new")
    page.fill("[name=subject]", network)
    page.fill("[name=reason]", "scanning")
    button = page.locator("button", has_text="Continue")
    button.scroll_into_view_if_needed()
    before = button.bounding_box()
    page.click("text=Continue")
    page.wait_for_url("**/drafts/*")
    after = page.locator(RUN).bounding_box()
    assert before and after
    apart_x = (
        after["x"] >= before["x"] + before["width"] or before["x"] >= after["x"] + after["width"]
    )
    apart_y = (
        after["y"] >= before["y"] + before["height"] or before["y"] >= after["y"] + after["height"]
    )
    assert apart_x or apart_y, (before, after)


@pytest.mark.parametrize("gap", [60, 120, 300, 500])
def test_a_double_click_on_continue_confirms_nothing(
    sit: Sit, console: Console, network: str, gap: int
) -> None:
    ana = sit("ana", javascript=False)
    page = ana.open("/actions/ban-network/new")
    page.fill("[name=subject]", network)
    page.fill("[name=reason]", "scanning")
    button = page.locator("button", has_text="Continue")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.click(x, y)
    page.wait_for_timeout(gap)
    page.mouse.click(x, y)
    # The second click may abort what the first began to load.
    expect(page).to_have_url(re.compile("/drafts/"))
    page.wait_for_timeout(200)
    assert "/drafts/" in page.url
    assert _operations(console, network) == 0


def test_an_answer_lost_on_the_way_is_said_and_pressing_again_is_safe(
    sit: Sit, console: Console, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    ana.read()
    lost: list[int] = []

    def lose(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.fetch(max_redirects=0).status)
        return route.abort("connectionreset")

    page.route(re.compile("/run$"), lose)
    page.click(RUN)
    expect(page.locator("#banner")).to_contain_text("We lost the connection")
    expect(page.locator("#banner")).to_contain_text("Clicking again is safe")
    assert _operations(console, network) == 1
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    assert _operations(console, network) == 1
    expect(page.locator(".outcome").first).to_contain_text("reached us twice")


def test_a_lost_line_is_said_while_the_page_follows_the_run(
    sit: Sit, console: Console, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    ana.read()
    page.route(re.compile("/live$"), lambda route: route.abort("connectionreset"))
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    expect(page.locator("body")).to_contain_text("Live updates stopped", timeout=10_000)
    page.unroute(re.compile("/live$"))
    _done(page)


def test_a_confirm_before_it_could_be_read_is_refused_and_a_later_one_runs(
    sit: Sit, console: Console, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    page.evaluate("document.querySelector('form#run button').click()")
    expect(page.locator("#banner")).to_contain_text("before you could read it")
    assert _operations(console, network) == 0
    ana.read()
    page.click(RUN)
    page.wait_for_url("**/operations/*")
    assert _operations(console, network) == 1


def test_a_draft_names_who_was_first_while_it_was_open(
    sit: Sit, console: Console, runbook: Api, network: str
) -> None:
    ana = sit("ana")
    page = ana.draft(network)
    runbook.ban(network, wait=10)
    page.reload()
    expect(page.locator("#standing-heading")).to_contain_text("Nothing is left to do")
    expect(page.locator("main")).to_contain_text("runbook asked for ban-network")


def test_a_lift_from_the_page_of_the_ban(sit: Sit, runbook: Api, network: str) -> None:
    runbook.ban(network, wait=10)
    raj = sit("raj")
    page = raj.open(f"/subjects?q={network}")
    page.click("text=Lift")
    page.fill("[name=reason]", "false alarm")
    page.click("text=Continue")
    page.wait_for_url("**/drafts/*")
    raj.read()
    page.click(RUN)
    _done(page)
    assert network not in runbook.listed()
    assert raj.faults == []


def _walk(screen: Screen, network: str, ref: str) -> list[str]:
    return [
        "/", "/actions", "/actions/ban-network", "/actions/lift-ban", "/actions/ban-network/new",
        "/operations", f"/operations/{ref}", f"/subjects/network/{network}/32", "/subjects", "/lists",
        "/incidents/new", "/nowhere",
    ]  # fmt: skip


@pytest.mark.parametrize("javascript", [True, False])
def test_every_page_stands_without_a_fault_under_the_strict_csp(
    sit: Sit, runbook: Api, network: str, javascript: bool
) -> None:
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    ana = sit("ana", javascript=javascript)
    for path in _walk(ana, network, ref):
        page = ana.open(path)
        expect(page.locator("h1")).to_have_count(1)
    faults = [f for f in ana.faults if "404" not in f]
    assert faults == []
