"""The world's page in a browser, as a player uses it."""

import json
import math
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Browser, Page

from kogpt2_chat.settings import CHECKOUT
from tests.world.waiting import wait_until

SAFETY = "지금 힘드시면 109로 전화해 주세요"
"""The question whose answer is for safety."""
PORTALS = [
    {"ko": "별마루 영화관", "en": "Cinema", "url": "https://cinema.example/now?from=world", "host": "cinema.example"},
    {"ko": "별마루 식당", "en": "Restaurant", "url": "https://food.example:8443/", "host": "food.example:8443"},
]
SMALL = {"width": 960, "height": 540}
"""The smallest screen with the layout of desktops."""
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
"""Chromium draws the scene in software."""
TIMEOUT_S = 120.0
TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
CONSENT = {"store": ".consent .check input >> nth=0", "learn": ".consent .check input >> nth=1"}
_DIAGONAL = math.sin(math.pi / 8)
"""Share of a direction from which on its key is held: eight directions, as with keys."""
_MOST_TABS = 100
_AXE = CHECKOUT / "world" / "client" / "node_modules" / "axe-core" / "axe.min.js"
_VIOLATIONS = """async part => (await axe.run(part, {resultTypes: ["violations"]})).violations
    .map(found => found.id + ": " + found.nodes.map(node => node.target.join(" ")).join(", "))"""


class WorldPage:
    """A player's page.

    Args:
        browser: the browser.
        url: the gateway's address.
        settings: what the player has set in this browser before.
        options: options of the browser's context, such as a phone's.
    """

    def __init__(self, browser: Browser, url: str, settings: dict[str, Any] | None = None, **options: Any) -> None:
        viewport = {"width": 1280, "height": 800}
        self.context = browser.new_context(**{"viewport": viewport, "locale": "ko-KR", **options})
        if settings is not None:
            stored = json.dumps(json.dumps(settings))
            self.context.add_init_script(f"localStorage['byeolmaru.settings'] ??= {stored}")
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT_S * 1000)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._keep_policy_faults)
        self.page.goto(url)

    def enter(self, name: str, *, in_list: bool = True, consent: Sequence[str] = ("store", "learn")) -> None:
        """Enter, by default with consent to everything; in the list view, nothing is drawn."""
        self.page.wait_for_selector("#guest-name")
        if in_list:
            self.page.check("#door-list")
        self.page.fill("#guest-name", name)
        for box in consent:
            self.page.check(CONSENT[box])
        self.page.press("#guest-name", "Enter")
        self.until("__world.state().link === 'online'")

    def until_drawn(self) -> None:
        """Wait until the 3D world is there and has the player in it."""
        self.until("['ready', 'failed'].includes(__world.state().scene)")
        assert self.state()["scene"] == "ready"

    def come_back(self) -> None:
        """Enter as the guest that the browser remembers."""
        self.page.click(".welcome-back .primary")
        self.until("__world.state().link === 'online'")

    def send(self, text: str, to: str = "everyone") -> None:
        """Send a message to everyone, to ``bot:ID`` or to ``player:SEAT``."""
        self.open_chat()
        self.page.select_option(".target", to)
        self.page.fill(".message", text)
        self.page.press(".message", "Enter")

    def open_chat(self) -> None:
        """Open the chat if it is folded, as it is at first on a phone."""
        if self.page.locator(".chat-opener").is_visible():
            self.page.click(".chat-opener")

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

    def scene(self) -> dict[str, Any]:
        """Return what the scene says of itself."""
        found: dict[str, Any] = json.loads(self.page.evaluate("JSON.stringify(__world.scene())"))
        return found

    def focus_world(self) -> None:
        """Give the keys to the avatar."""
        self.page.focus("canvas.world-canvas")

    def walk_to(self, x: float, z: float, within_m: float) -> None:
        """Walk to a point with the keys, and stop within a distance."""
        self.focus_world()
        held: set[str] = set()

        def step() -> bool:
            scene = self.scene()
            at, angle_rad = scene["me"], scene["camera"]["angleRad"]
            east, south = x - at["x"], z - at["z"]
            away_m = math.hypot(east, south)
            forward = (math.sin(angle_rad) * east + math.cos(angle_rad) * south) / away_m
            right = (-math.cos(angle_rad) * east + math.sin(angle_rad) * south) / away_m
            shares = {"KeyW": forward, "KeyS": -forward, "KeyD": right, "KeyA": -right}
            wanted = {key for key, share in shares.items() if share > _DIAGONAL} if away_m > within_m else set()
            for key in held - wanted:
                self.page.keyboard.up(key)
            for key in wanted - held:
                self.page.keyboard.down(key)
            held.clear()
            held.update(wanted)
            return away_m <= within_m

        wait_until(step, TIMEOUT_S)

    def tab_to(self, selector: str) -> None:
        """Press Tab until an element has the focus, as somebody without a mouse does."""
        for _ in range(_MOST_TABS):
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {selector}")

    @property
    def seat(self) -> int:
        """The player's seat."""
        return int(self.state()["me"]["seat"])

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        wait_until(lambda: bool(self.page.evaluate(expression)), TIMEOUT_S)

    def violations(self, part: str = "html") -> list[str]:
        """Return what axe finds wrong with the page, or with a part of it.

        Args:
            part: a selector.
        """
        if self.page.evaluate("!window.axe"):  # the page's own policy lets no script in
            self.context.new_cdp_session(self.page).send("Runtime.evaluate", {"expression": _AXE.read_text("utf-8")})
        found: list[str] = self.page.evaluate(_VIOLATIONS, part)
        return found

    def _keep_policy_faults(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Refused to" in message.text:
            self.faults.append(message.text)
