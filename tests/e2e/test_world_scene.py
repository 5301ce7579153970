"""The 3D scene in the browser: it frees what it used, and begins as the machine can draw it."""

from collections.abc import Iterator
from itertools import count

import pytest
from playwright.sync_api import Browser

from tests.e2e.world_page import WorldPage
from tests.world.served import Served, in_memory_topics, serve

pytestmark = pytest.mark.e2e

SMALL = {"viewport": {"width": 480, "height": 300}}
NUMBERS = count(1)
"""A name is held for a while after its player has gone."""
COMPLETE = "__world.scene()?.isComplete === true"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve(in_memory_topics()) as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[WorldPage]:
    """A page in the 3D world."""
    page = WorldPage(browser, served.url, **SMALL)
    page.enter(f"풍경{next(NUMBERS)}", in_list=False)
    page.until(COMPLETE)
    yield page
    assert page.faults == []
    page.context.close()


def show_list(page: WorldPage, *, on: bool) -> None:
    page.page.evaluate("document.activeElement?.blur()")
    page.page.keyboard.press("KeyL")
    page.until("__world.scene() === null" if on else COMPLETE)


def test_two_loads_in_a_row_leave_nothing_behind(page: WorldPage) -> None:
    """No object of the graphics card and no canvas."""
    for _ in range(2):
        show_list(page, on=True)
        assert page.state()["leftover"] == {"geometries": 0, "textures": 0}
        show_list(page, on=False)
        assert page.page.evaluate("__world.scene().memory.geometries") > 10
        assert page.page.locator("canvas.world-canvas").count() == 1


def test_without_a_graphics_card_the_low_quality_is_chosen(page: WorldPage) -> None:
    """The browser of this test draws in software."""
    assert page.page.evaluate("JSON.parse(localStorage.getItem('byeolmaru.settings')).quality") == "low"
