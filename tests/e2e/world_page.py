"""The world's page in a browser, as a player uses it."""

import json
from typing import Any

from playwright.sync_api import Browser, Page

from kogpt2_chat.settings import CHECKOUT
from tests.world.waiting import wait_until

WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
"""Chromium draws the scene in software."""
TIMEOUT_S = 60.0
_AXE = CHECKOUT / "world" / "client" / "node_modules" / "axe-core" / "axe.min.js"
_VIOLATIONS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .map(found => found.id + ": " + found.nodes.map(node => node.target.join(" ")).join(", "))"""


class WorldPage:
    """A player's page.

    Args:
        browser: the browser.
        url: the gateway's address.
        options: options of the browser's context, such as a phone's.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        viewport = {"width": 1280, "height": 800}
        self.context = browser.new_context(**{"viewport": viewport, "locale": "ko-KR", **options})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT_S * 1000)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._keep_policy_faults)
        self.page.goto(url)

    def enter(self, name: str, *, in_list: bool = True) -> None:
        """Enter with consent to everything; in the list view, nothing is drawn."""
        self.page.wait_for_selector("#guest-name")
        if in_list:
            self.page.check("#door-list")
        self.page.fill("#guest-name", name)
        self.page.get_by_role("checkbox", name="저장해도").check()
        self.page.get_by_role("checkbox", name="배워도").check()
        self.page.press("#guest-name", "Enter")
        self.until("__world.state().link === 'online'")

    def come_back(self) -> None:
        """Enter as the guest that the browser remembers."""
        self.page.click(".welcome-back .primary")
        self.until("__world.state().link === 'online'")

    def send(self, text: str, to: str = "everyone") -> None:
        """Send a message to everyone, to ``bot:ID`` or to ``player:SEAT``."""
        self.page.select_option(".target", to)
        self.page.fill(".message", text)
        self.page.press(".message", "Enter")

    def ask(self, bot: str, text: str) -> str:
        """Ask a bot, and return its answer."""
        before = self.page.locator(".answer").count()
        self.send(text, f"bot:{bot}")
        self.until(f"document.querySelectorAll('.answer').length > {before}")
        return self.page.locator(".answer .what").last.inner_text()

    def lines(self, kind: str = "public") -> list[str]:
        """Return the texts of the chat's lines."""
        found: list[str] = self.page.eval_on_selector_all(f".line.{kind} .what", "x => x.map(e => e.textContent)")
        return found

    def state(self) -> dict[str, Any]:
        """Return what the client knows."""
        found: dict[str, Any] = json.loads(self.page.evaluate("JSON.stringify(__world.state())"))
        return found

    @property
    def seat(self) -> int:
        """The player's seat."""
        return int(self.state()["me"]["seat"])

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        wait_until(lambda: bool(self.page.evaluate(expression)), TIMEOUT_S)

    def violations(self) -> list[str]:
        """Return what axe finds wrong with the page."""
        self.context.new_cdp_session(self.page).send("Runtime.evaluate", {"expression": _AXE.read_text("utf-8")})
        found: list[str] = self.page.evaluate(_VIOLATIONS)
        return found

    def _keep_policy_faults(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Refused to" in message.text:
            self.faults.append(message.text)
