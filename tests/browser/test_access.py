"""Everybody can use it: WCAG 2.2 AA by axe, on a phone, in the dark, without sideways scrolling."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Screen, Sit
from tests.console_process import Api

OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (320, False), (390, True)]
)
def test_pages_have_no_known_barrier(
    sit: Sit, runbook: Api, network: str, width: int, dark: bool
) -> None:
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    ana = sit("ana", width=width, dark=dark)
    draft = ana.draft(f"{network}").url.removeprefix(ana.url)
    paths = [
        "/", "/actions", "/actions/ban-network", "/actions/ban-network/new", draft,
        f"/operations/{ref}", "/operations", f"/subjects/network/{network}/32", "/lists",
        "/incidents/new", "/account/notices",
    ]  # fmt: skip
    _no_barrier(ana, paths, width)


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (320, False)])
def test_pages_of_rights_have_no_known_barrier(sit: Sit, width: int, dark: bool) -> None:
    paths = [
        "/people", "/people/new", "/people/ana", "/groups", "/groups/responders", "/tokens",
        "/tokens/new",
    ]  # fmt: skip
    _no_barrier(sit("sam", width=width, dark=dark), paths, width)


def _no_barrier(who: Screen, paths: list[str], width: int) -> None:
    for path in paths:
        page = who.open(path)
        found = Axe().run(page, options=OPTIONS).response["violations"]
        assert [(path, v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path} scrolls sideways by {wide} px at {width}"
