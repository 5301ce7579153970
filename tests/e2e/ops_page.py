"""The operators' page in a browser, as an operator uses it."""

import json
from typing import Any

from playwright.sync_api import Browser

from tests.e2e.ops_page_server import PASSWORD, USER, OpsServer
from tests.e2e.world_page import TIMEOUT_S, WorldPage
from tests.world.waiting import wait_until

_COLOUR = """([panel, x, y]) => {
    const canvas = document.querySelector(`[data-panel='${panel}'] canvas`), box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width, found = canvas.getContext("2d")
        .getImageData((x - box.left) * ratio, (y - box.top) * ratio, 1, 1).data;
    return "#" + [...found].slice(0, 3).map(part => part.toString(16).padStart(2, "0")).join("");
}"""
"""Returns the colour of a point of a chart."""


class OpsPage(WorldPage):
    """An operator's page.

    Args:
        browser: the browser.
        ops: the server.
        path: what is opened first.
        options: options of the browser's context, such as a phone's.
    """

    def __init__(self, browser: Browser, ops: OpsServer, path: str = "/ops", **options: Any) -> None:
        self.ops = ops
        defaults = {"viewport": {"width": 1400, "height": 1000}, "timezone_id": "Asia/Seoul"}
        super().__init__(browser, ops.url + path, **{**defaults, **options})

    def log_in(self, user: str = USER, password: str = PASSWORD) -> None:
        """Fill the form and send it."""
        self.page.fill("#ops-user", user)
        self.page.fill("#ops-password", password)
        self.page.press("#ops-password", "Enter")

    def come_in(self) -> "OpsPage":
        """Log in, and wait until all panels have been loaded and drawn."""
        self.page.wait_for_selector("#ops-user")
        self.log_in()
        self.until_loaded()
        return self

    def until_loaded(self) -> None:
        """Wait until all panels have been loaded, and no script of the charts is on its way."""
        self.page.wait_for_selector(".updated:not(:empty)")
        self.until("document.querySelectorAll('[aria-busy], .chart:not([aria-label])').length === 0")

    def open(self, path: str) -> None:
        """Go to another address of the server."""
        self.page.goto(self.ops.url + path)

    def text(self, selector: str = "body") -> str:
        """Return the text that is seen."""
        return self.page.locator(selector).first.inner_text()

    def table(self, panel: str) -> list[list[str]]:
        """Return the rows of a panel's table, as they are seen."""
        rows = self.page.locator(f"[data-panel='{panel}'] tbody tr").all()
        return [row.locator("th, td").all_inner_texts() for row in rows]

    def place(self, panel: str, series: int, index: int) -> tuple[float, float]:
        """Return where a value is drawn, a little inside of its bar, in pixels of the window."""
        self.page.locator(f"[data-panel='{panel}'] canvas").scroll_into_view_if_needed()
        x, y = self.page.evaluate(f"__ops.placeOf({json.dumps(panel)}, {series}, {index})")
        return x, y + 3

    def until_coloured(self, panel: str, place: tuple[float, float], colour: str) -> None:
        """Wait until a point of a chart has a colour: it is drawn in the next frame."""
        wait_until(lambda: self.page.evaluate(_COLOUR, [panel, *place]) == self.style(colour), TIMEOUT_S)

    def style(self, name: str) -> str:
        """Return a colour of the page's style."""
        found: str = self.page.evaluate(
            "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()", name
        )
        return found

    @property
    def is_too_wide(self) -> bool:
        """Whether the page can be scrolled sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
