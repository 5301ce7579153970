"""The browser of the end-to-end tests, and players' pages on a gateway with Kafka's double."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from kogpt2_chat.testing.kafka import InMemoryTopics
from tests.e2e.ops_page import OpsPage
from tests.e2e.ops_page_server import OpsServer, serve_ops
from tests.e2e.world_page import PORTALS, SAFETY, SMALL, WEBGL, WorldPage
from tests.integration.conftest import trained_stack
from tests.world.served import EchoBot, Served, in_memory_topics, serve

__all__ = ["browser", "page", "trained_stack"]

QUIET = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AWAKE = (
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)
"""Pages of several players draw and count time as if each were in front."""


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Browser]]:
    """Return a function that starts the system's Chromium, headless, with more flags."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert program, "no Chromium: run `scripts/setup.sh --browser`"
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        yield lambda *flags: playwright.chromium.launch(
            executable_path=program, args=[*QUIET, *AWAKE, *sandbox, *flags]
        )


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """A browser that can draw the world, in software."""
    browser = launch(*WEBGL)
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page in English, large enough for the forms."""
    page = browser.new_page(viewport={"width": 1400, "height": 1100}, locale="en-US")
    page.set_default_timeout(60_000)
    yield page
    page.close()


@pytest.fixture(scope="module")
def topics() -> InMemoryTopics:
    """The broker's double, which a test may read."""
    return in_memory_topics()


@pytest.fixture(scope="module")
def bot(topics: InMemoryTopics) -> Iterator[EchoBot]:
    """The bots: each answers with the question and an exclamation mark, and one question is answered for safety."""
    bot = EchoBot(topics)
    bot.fallbacks[SAFETY] = "safety"
    yield bot
    bot.stop()


@pytest.fixture(scope="module")
def served(topics: InMemoryTopics, bot: EchoBot) -> Iterator[Served]:
    """A gateway with two web portals."""
    del bot
    with serve(topics, facts={"portals": PORTALS}) as running:
        yield running


@dataclass
class Visitors:
    """Opens the pages of players.

    Attributes:
        browser: the browser.
        url: the gateway's address.
        pages: the opened pages.
    """

    browser: Browser
    url: str
    pages: list[WorldPage] = field(default_factory=list)

    def at_door(self, **options: Any) -> WorldPage:
        """Open a page; it shows the door."""
        page = WorldPage(self.browser, self.url, **options)
        self.pages.append(page)
        return page

    def __call__(
        self, name: str, *, in_list: bool = True, consent: Sequence[str] = ("store", "learn"), **options: Any
    ) -> WorldPage:
        """Open a page, and enter the list view, or the 3D world on a screen that is soon drawn."""
        if in_list:
            options["settings"] = {"list": True, **options.get("settings", {})}
        else:
            options.setdefault("viewport", SMALL)
        page = self.at_door(**options)
        page.enter(name, in_list=in_list, consent=consent)
        return page


@pytest.fixture
def person(browser: Browser, served: Served) -> Iterator[Visitors]:
    """Players' pages. They are closed at the test's end, everybody leaves, and none of the pages had an error."""
    visitors = Visitors(browser, served.url)
    yield visitors
    faults = [fault for page in visitors.pages for fault in page.faults]
    for page in visitors.pages:
        page.context.close()
    served.empty()
    assert faults == []


@pytest.fixture
def ops() -> Iterator[OpsServer]:
    """A server with the operators' page and invented numbers."""
    with serve_ops() as running:
        yield running


@pytest.fixture
def operator(browser: Browser, ops: OpsServer) -> Iterator[Callable[..., OpsPage]]:
    """Return a function that opens the operators' page. None of the pages had an error, and none broke its policy."""
    pages: list[OpsPage] = []

    def open_page(path: str = "/ops", **options: Any) -> OpsPage:
        pages.append(OpsPage(browser, ops, path, **options))
        return pages[-1]

    yield open_page
    faults = [fault for page in pages for fault in page.faults]
    for page in pages:
        page.context.close()
    assert faults == []
