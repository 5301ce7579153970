"""What a player's browser shows: the first picture, frames per second, and what the page weighs.

Chromium draws in software, in a picture of 640 x 360 at the low preset, with 20 avatars: the player and 19 headless
walkers. Each round takes both ways to draw in software, in turn. It needs Playwright and Chromium, which
`scripts/setup.sh --browser` installs.
"""

import gzip
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil

from benchmarks.world.movement import gateway, walkers
from benchmarks.world.processes import load
from kogpt2_chat.settings import CHECKOUT

WALKERS: Final = 19
VIEWPORT: Final = {"width": 640, "height": 360}
_QUIET: Final = (
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
SOFTWARE: Final = "software"
"""What Chromium itself does without a graphics card: the page is painted by the CPU, the world by SwiftShader."""
CARD: Final = "card"
"""SwiftShader in the place of a graphics card: it also has to paint the page, as a card would."""
FLAGS: Final = {
    SOFTWARE: ("--enable-unsafe-swiftshader", *_QUIET),
    CARD: ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", *_QUIET),
}
_SETTINGS_KEY: Final = "byeolmaru.settings"
_TIMEOUT_S: Final = 180.0
_SETTLE_S: Final = 4.0
"""Time for the rest of the world to be built and for the walkers to arrive."""
_WATCH: Final = """
window.__times = {};
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    const button = document.querySelector(".welcome-back .primary");
    if (button && !__times.door) { __times.door = performance.now(); button.click(); }
    if (window.__world?.scene()?.drawCalls > 0) requestAnimationFrame((at) => { __times.picture = performance.now(); });
    else requestAnimationFrame(look);
  };
  look();
});
"""
"""Presses the button of the door as soon as it shows, and notes when the world's first frame was drawn."""
_FRAMES: Final = """seconds => new Promise(resolve => {
  const times = [];
  const frame = (at) => {
    times.push(at);
    if (at - times[0] < seconds * 1000) return requestAnimationFrame(frame);
    const gaps = times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b);
    resolve({frames: gaps.length, ms: at - times[0], p95_frame_ms: gaps[Math.floor(gaps.length * 0.95)]});
  };
  requestAnimationFrame(frame);
})"""


class BrowserMissing(RuntimeError):
    """Playwright or Chromium is not installed."""


@contextmanager
def chromium(drawing: str = CARD) -> Iterator[Any]:
    """Run a headless Chromium that draws in software; yield Playwright's browser.

    Args:
        drawing: `SOFTWARE` or `CARD`.

    Raises:
        BrowserMissing: Playwright or Chromium is not there.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BrowserMissing("Playwright is not installed: run `scripts/setup.sh --browser`") from error
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise BrowserMissing("there is no Chromium: run `scripts/setup.sh --browser`")
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium's sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS[drawing], *sandbox])
        try:
            yield browser
        finally:
            browser.close()


def context(browser: Any, viewport: dict[str, int], state: Any = None, **settings: object) -> Any:
    """Return a new context of the browser, in which the client has the given settings."""
    made = browser.new_context(viewport=viewport, locale="ko-KR", storage_state=state, bypass_csp=True)
    made.set_default_timeout(_TIMEOUT_S * 1000)
    values = json.dumps({"autoQuality": False, "chatOpen": False, **settings})
    made.add_init_script(f"localStorage.setItem('{_SETTINGS_KEY}', {json.dumps(values)})")
    return made


def pass_the_door(browser: Any, url: str) -> Any:
    """Become a guest in the list view; return the browser's state with the guest's cookie."""
    visit = context(browser, VIEWPORT, list=True)
    page = visit.new_page()
    page.goto(url)
    page.fill("#guest-name", f"측정{secrets.token_hex(3)}")
    page.press("#guest-name", "Enter")
    page.wait_for_function("window.__world?.state().link === 'online'")
    state = visit.storage_state()
    visit.close()
    return {**state, "origins": []}


def visit(browser: Any, url: str, seconds: float) -> dict[str, Any]:
    """Enter as a guest that the browser remembers, with an empty cache, and measure."""
    guest = pass_the_door(browser, url)
    found = context(browser, VIEWPORT, guest, quality="low", list=False)
    page = found.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    page.wait_for_function("window.__times?.picture > 0")
    times = page.evaluate("__times")
    time.sleep(_SETTLE_S)
    before_s = _browser_cpu_s()
    frames = page.evaluate(_FRAMES, seconds)
    cpu_s = {kind: used - before_s.get(kind, 0) for kind, used in _browser_cpu_s().items()}
    scene = page.evaluate("__world.scene()")
    session = found.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = {row["name"]: row["value"] for row in session.send("Performance.getMetrics")["metrics"]}
    found.close()
    return {
        "door_ms": times["door"], "picture_ms": times["picture"], "fps": frames["frames"] / frames["ms"] * 1000,
        "p95_frame_ms": frames["p95_frame_ms"], "avatars": scene["players"], "draw_calls": scene["drawCalls"],
        "triangles": scene["triangles"], "heap_mb": metrics["JSHeapUsedSize"] / 2**20,
        **{f"{kind}_ms_per_frame": used / frames["frames"] * 1000 for kind, used in cpu_s.items()},
        "load_average": psutil.getloadavg()[0],
    }  # fmt: skip


def _browser_cpu_s() -> dict[str, float]:
    """Return the CPU time of the processes that draw and that run the pages."""
    used = {"gpu": 0.0, "page": 0.0}
    for process in psutil.Process().children(recursive=True):
        try:
            command, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:
            continue
        kind = "gpu" if "--type=gpu-process" in command else "page" if "--type=renderer" in command else None
        if kind:
            used[kind] += times.user + times.system
    return used


def javascript_kb() -> dict[str, float]:
    """Return the size of each script of the built client, compressed, in kB."""
    scripts = sorted((CHECKOUT / "world" / "client" / "dist" / "assets").glob("*.js"))
    return {path.name.split("-")[0]: len(gzip.compress(path.read_bytes(), 9)) / 1000 for path in scripts}


def browser(
    home: Path, seconds: float, rounds: int, say: Callable[[str], None], *, stack_at_rest: str | None = None
) -> dict[str, Any]:
    """Measure in rounds.

    Args:
        home: folder for logs.
        seconds: for how long frames are counted.
        rounds: number of repetitions; the figures are medians.
        say: called with lines of progress.
        stack_at_rest: address of a running stack's gateway, at which only who is there already is seen; None for a
            gateway of the benchmark with walkers.

    Returns:
        By way of drawing, the figures with those of each round; and the size of the scripts.

    Raises:
        BrowserMissing: Playwright or Chromium is not there.
    """
    rows: dict[str, list[dict[str, Any]]] = {SOFTWARE: [], CARD: []}
    for _ in range(rounds):
        for drawing, found in rows.items():
            with ExitStack() as running:
                url = stack_at_rest or _walked_world(running, home)
                found.append(visit(running.enter_context(chromium(drawing)), url, seconds))
                figures = {name: round(value, 1) for name, value in found[-1].items()}
                say(f"browser, {drawing}: {json.dumps(figures)}")
    return {
        **{drawing: _medians(found) for drawing, found in rows.items()},
        "javascript_kb": javascript_kb(), "at": stack_at_rest or "a gateway of the benchmark",
    }  # fmt: skip


def _medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {**{name: median(row[name] for row in rows) for name in rows[0]}, "rounds": rows}


def _walked_world(running: ExitStack, home: Path) -> str:
    """Start a gateway with walkers; return its address."""
    _, port = running.enter_context(gateway(home))
    lines = running.enter_context(load(walkers(port, WALKERS, 10 * _TIMEOUT_S)))
    next(lines)
    return f"http://127.0.0.1:{port}"
