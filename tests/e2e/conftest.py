"""The browser of the end-to-end tests: the system's Chromium, headless."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.world_page import WEBGL
from tests.integration.conftest import trained_stack

__all__ = ["browser", "page", "trained_stack"]

QUIET = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser that can draw the world, in software."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert program, "no Chromium: run `scripts/setup.sh --browser`"
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*QUIET, *WEBGL, *sandbox])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page in English, large enough for the forms."""
    page = browser.new_page(viewport={"width": 1400, "height": 1100}, locale="en-US")
    page.set_default_timeout(60_000)
    yield page
    page.close()
