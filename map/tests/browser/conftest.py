"""A Chromium for tests; without one, they are skipped."""

import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_SLOWEST = 60_000.0
"""Milliseconds that a page may take on a busy machine."""
OpenPage = Callable[..., Page]


def _program(playwright: Playwright) -> str:
    """Return the Chromium of this machine or else that of Playwright; empty if there is none."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else "")


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    with sync_playwright() as playwright:
        if not (program := _program(playwright)):
            pytest.skip(
                "there is no Chromium: install chromium, or run playwright install chromium"
            )
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Generator[OpenPage]:
    """Open an address on a screen of a size and a colour scheme; errors of its script fail."""
    errors: list[str] = []
    pages: list[Page] = []

    def open_page(url: str, width: int = 1280, *, dark: bool = False, calm: bool = False) -> Page:
        page = browser.new_page(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if calm else "no-preference",
        )
        page.set_default_timeout(_SLOWEST)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        pages.append(page)
        page.goto(url)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []
