"""axe finds no violation in any view of the world."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Visitors
from tests.e2e.world_page import PHONE, SAFETY, WorldPage

pytestmark = pytest.mark.e2e

LOOKS = [("ko-KR", "dark"), ("en-US", "light")]


def answers(player: WorldPage) -> str:
    """A line, an answer with a thumb and the form for a correction."""
    player.send("안녕하세요")
    player.ask("ChatbotA", "여기 어디야?")
    player.page.click(".answer .teach")
    player.page.wait_for_selector(".teach-form input")
    return ".chat"


def safety_card(player: WorldPage) -> str:
    player.send(SAFETY, "bot:ChatbotB")
    player.page.wait_for_selector(".safety:visible")
    return ".safety"


def settings_dialog(player: WorldPage) -> str:
    player.page.click(".top-bar nav button >> nth=2")
    player.page.wait_for_selector("dialog.settings[open]")
    return "dialog[open]"


def looks_dialog(player: WorldPage) -> str:
    settings_dialog(player)
    player.page.click("dialog.settings h3 + button")
    player.page.wait_for_selector("dialog .looks")
    return "dialog[open]"


def help_dialog(player: WorldPage) -> str:
    player.page.click(".top-bar nav button >> nth=3")
    player.page.wait_for_selector("dialog[open]")
    return "dialog[open]"


def rooms_dialog(player: WorldPage) -> str:
    player.page.click(".room-button")
    player.page.wait_for_selector("dialog .rooms .room")
    return "dialog[open]"


def report_dialog(player: WorldPage) -> str:
    player.page.click("[data-seat] .row-buttons button >> nth=2")
    player.page.wait_for_selector("dialog textarea")
    return "dialog[open]"


def book_dialog(player: WorldPage) -> str:
    player.page.click("[data-bot='ChatbotA'] .bot-buttons button >> nth=1")
    player.page.wait_for_selector("dialog .pages")
    return "dialog[open]"


def forget_dialog(player: WorldPage) -> str:
    settings_dialog(player)
    player.page.click("dialog.settings .danger")
    player.until("document.querySelectorAll('dialog[open]').length === 2")
    return "dialog[open]"


def web_portal_dialog(player: WorldPage) -> str:
    player.page.click(".door-link")
    player.page.wait_for_selector("dialog .host")
    return "dialog[open]"


VIEWS = (
    answers,
    safety_card,
    settings_dialog,
    looks_dialog,
    help_dialog,
    rooms_dialog,
    report_dialog,
    book_dialog,
    forget_dialog,
    web_portal_dialog,
)


def violations_by_view(player: WorldPage, *views: Callable[[WorldPage], str]) -> dict[str, list[str]]:
    """Return what axe finds in each view; each is opened, looked at and closed.

    Args:
        player: the page, inside the world.
        views: functions that open a view and return the selector of its part of the page.
    """
    found = {"inside": player.violations()}
    for view in views:
        found[view.__name__] = player.violations(view(player))
        if player.page.locator(".safety[open]").count():  # only its button closes it
            player.page.click(".safety .primary")
        for _ in range(len(VIEWS)):
            if player.page.locator("dialog[open]").count():
                player.page.keyboard.press("Escape")
        player.until("document.querySelectorAll('dialog[open]').length === 0")
    return {name: faults for name, faults in found.items() if faults}


@pytest.mark.parametrize(("locale", "theme"), LOOKS)
def test_the_door_has_no_violation(person: Visitors, locale: str, theme: str) -> None:
    """The form, its complaint about a name, and the greeting of a guest who is known."""
    player = person.at_door(settings={"theme": theme, "list": True}, locale=locale)
    player.page.wait_for_selector("#guest-name")
    assert player.violations() == []
    player.page.fill("#guest-name", "마루")
    player.page.press("#guest-name", "Enter")
    player.until("document.querySelector('#name-problem').textContent !== ''")
    assert player.violations() == []
    player.enter("별똥별")
    player.page.reload()
    player.page.wait_for_selector(".welcome-back")
    assert player.violations() == []


@pytest.mark.parametrize(("locale", "theme"), LOOKS)
def test_no_dialog_of_the_list_view_has_a_violation(person: Visitors, locale: str, theme: str) -> None:
    """With another player in the room."""
    person("도윤")
    player = person("하늘", settings={"theme": theme}, locale=locale)
    player.until("document.querySelectorAll('[data-seat]').length === 1")
    assert violations_by_view(player, *VIEWS) == {}


@pytest.mark.parametrize("device", [{}, PHONE], ids=["desk", "phone"])
def test_the_3d_world_has_no_violation(person: Visitors, device: dict[str, Any]) -> None:
    """Also on a phone, whose people are behind a button."""
    player = person("하늘", in_list=False, **device)
    player.until_drawn()
    chosen = (help_dialog, rooms_dialog, settings_dialog, safety_card)
    assert violations_by_view(player, *chosen) == {}
