"""A real Chromium, and the people who use it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.console_process import Console

_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Its event loop runs in this thread while it is open, and Django refuses to be called beside one:
# so it is closed after the last test of this folder.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no Chromium: install Debian's chromium, or set CHROMIUM to one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGS)
        yield browser
        browser.close()


class Screen:
    """One person's browser window, and every fault that its console showed."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.faults: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        page = self.context.new_page()
        page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        return page

    def open(self, path: str, page: Page | None = None) -> Page:
        page = page or self.page
        page.goto(self.url + path)
        return page

    def draft(self, network: str, reason: str = "scanning the login page") -> Page:
        """Fill the form for a ban of 24 hours, and go on to the draft."""
        page = self.open("/actions/ban-network/new")
        page.fill("[name=subject]", network)
        page.fill("[name=reason]", reason)
        page.click("text=Continue")
        page.wait_for_url("**/drafts/*")
        return page

    def read(self) -> None:
        """Look at the draft for as long as the console asks people to."""
        self.page.wait_for_timeout(900)


type Sit = Callable[..., Screen]


@pytest.fixture
def sit(console: Console, chromium: Browser) -> Iterator[Sit]:
    """Sits somebody down: `sit("ana")`, `sit("raj", javascript=False, width=390)`."""
    contexts: list[BrowserContext] = []

    def make(
        name: str | None, *, javascript: bool = True, width: int = 1280, dark: bool = False
    ) -> Screen:
        context = chromium.new_context(
            viewport={"width": width, "height": 800},
            java_script_enabled=javascript,
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        screen = Screen(context, console.url)
        if name is not None:
            given = console.credentials["people"][name]
            screen.open("/sign-in")
            screen.page.fill("[name=username]", given["username"])
            screen.page.fill("[name=password]", given["password"])
            screen.page.click("form button[type=submit]")
            screen.page.wait_for_url(console.url + "/")
        return screen

    yield make
    for context in contexts:
        context.close()
