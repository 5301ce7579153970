"""Pictures of the places without any name, for people who have not seen them: can they tell place and mood?

`python -m benchmarks.world.pictures FOLDER`. It needs Playwright and Chromium, as the benchmark of the browser does.
"""

import argparse
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.world.browser import BrowserMissing, chromium, context, pass_the_door
from benchmarks.world.movement import gateway
from world.gateway.places import load_places

VIEWPORT: Final = {"width": 1280, "height": 720}
DAY: Final = 0.1
EVENING: Final = 0.8
TIMES: Final = {
    "plaza": DAY, "lake": EVENING, "library": DAY, "hill": DAY, "market": EVENING, "village": DAY, "cave": 0.5,
}  # fmt: skip
_ONLY_THE_WORLD: Final = "body * { visibility: hidden !important } canvas { visibility: visible !important }"
_SETTLE_S: Final = 4.0


def arrivals() -> dict[str, tuple[float, float]]:
    """Return where players first stand in each place."""
    places = load_places()
    found = {portal.to: (portal.arrive_x, portal.arrive_z) for portal in places.portals}
    return {**found, "plaza": (places.spawn.x, places.spawn.z)}


def take(browser: Any, url: str, evening: float, path: Path) -> None:
    """Take the first picture that a player sees who enters there."""
    made = context(
        browser, VIEWPORT, pass_the_door(browser, url), quality="high", list=False, evening=evening, theme="dark"
    )
    page = made.new_page()
    page.goto(f"{url}/?nameless")
    page.click(".welcome-back .primary")
    page.wait_for_function("window.__world?.scene()?.isComplete")
    page.add_style_tag(content=_ONLY_THE_WORLD)
    time.sleep(_SETTLE_S)
    page.screenshot(path=path)
    made.close()


def main() -> None:
    """Take one picture of each place, or of those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--places", nargs="+", choices=TIMES, default=list(TIMES))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    try:
        with chromium() as browser:
            for place in arguments.places:
                with gateway(arguments.folder, arrivals()[place]) as (_, port):
                    take(browser, f"http://127.0.0.1:{port}", TIMES[place], arguments.folder / f"{place}.png")
                print(arguments.folder / f"{place}.png", flush=True)
    except BrowserMissing as error:
        parser.exit(1, f"no pictures: {error}\n")


if __name__ == "__main__":
    main()
