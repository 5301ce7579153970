"""The world for everybody: by keyboard alone, without WebGL, without motion, on a phone, in either language."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import Visitors
from tests.e2e.world_page import PHONE, TWO_FRAMES, WorldPage
from tests.world.served import EchoBot, Served

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def flat_browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """A browser without WebGL."""
    browser = launch("--disable-3d-apis")
    yield browser
    browser.close()


def test_without_webgl_the_list_does_everything_but_walking(
    flat_browser: Browser, served: Served, person: Visitors
) -> None:
    """A player who wants the 3D world gets the list and a notice; asking for 3D again shows the notice again."""
    other = person("도윤")
    player = WorldPage(flat_browser, served.url)
    person.pages.append(player)
    player.page.wait_for_selector("#guest-name")
    assert player.page.evaluate("document.createElement('canvas').getContext('webgl2')") is None
    player.enter("하늘", in_list=False)
    notice = player.page.get_by_text("3D를 그릴 수 없어서").first
    notice.wait_for()
    assert player.page.evaluate("document.body.dataset.view") == "list"
    assert not player.page.locator("canvas.world-canvas").is_visible()
    player.send("들리나요")
    other.until("[...document.querySelectorAll('.line.public .what')].some(line => line.textContent === '들리나요')")
    player.send("우리끼리", f"player:{other.seat}")
    other.until("document.querySelector('.line.whisper')?.textContent.includes('우리끼리')")
    assert player.ask("ChatbotC", "사랑이 뭐야?") == "사랑이 뭐야?!"
    player.page.get_by_role("button", name="설이의 배움 노트").click()
    player.page.wait_for_selector("dialog .pages")
    player.page.keyboard.press("Escape")
    player.page.get_by_role("button", name="3D로 보기").first.click()
    player.until("__world.state().scene === 'failed'")
    notice.wait_for()
    assert player.page.evaluate("document.body.dataset.view") == "list"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_motion_is_reduced_for_those_who_ask_for_it(
    person: Visitors, bot: EchoBot, served: Served, motion: str
) -> None:
    """Nothing moves by itself: neither the picture behind the door nor the signs on the page. The rest works."""
    is_still = motion == "reduce"
    player = person.at_door(viewport={"width": 960, "height": 540}, reduced_motion=motion)
    player.until("__world.state().scene === 'ready'")
    camera = "JSON.stringify(__world.scene().camera)"
    before = player.page.evaluate(camera)
    player.page.evaluate(TWO_FRAMES)
    assert (player.page.evaluate(camera) == before) == is_still
    player.enter("하늘", in_list=False)
    player.until_drawn()
    served.put("하늘", 5.5, 10)
    bot.may_answer.clear()
    player.send("무슨 생각 해?", "bot:ChatbotA")
    player.page.wait_for_selector(".thinking")
    player.page.wait_for_selector(".bubble-thinking:visible")
    running = "document.getAnimations().filter(one => one.playState === 'running').length"
    assert (player.page.evaluate(running) == 0) == is_still
    bot.may_answer.set()
    player.page.wait_for_selector(".answer")
    player.walk_to(5.5, 4.5, within_m=4)
    player.focus_world()
    player.page.keyboard.press("KeyH")
    player.page.wait_for_selector("dialog[open]")


@pytest.mark.parametrize(
    ("locale", "shown", "name"),
    [("ko-KR", "ko", "별마루"), ("en-GB", "en", "Byeolmaru"), ("fr-FR", "ko", "별마루")],
)
def test_the_language_is_the_browsers(person: Visitors, locale: str, shown: str, name: str) -> None:
    """Korean, unless the browser prefers English; the player's choice stays over a reload."""
    player = person.at_door(locale=locale)
    player.page.wait_for_selector("#guest-name")
    page = player.page
    assert page.evaluate("document.documentElement.lang") == shown
    assert (page.title(), page.inner_text(".door h1")) == (name, name)
    has_hangul = "[...document.querySelectorAll('.door-card label')].some(one => /[가-힣]/.test(one.textContent))"
    assert page.evaluate(has_hangul) == (shown == "ko")
    other = "en" if shown == "ko" else "ko"
    page.click(f".languages [lang={other}]")
    assert page.evaluate(has_hangul) == (other == "ko")
    page.reload()
    page.wait_for_selector("#guest-name")
    assert page.evaluate("document.documentElement.lang") == other


def test_an_english_player_reads_english(person: Visitors) -> None:
    """Inside too: the only Korean there is what people have written, and their names."""
    player = person("Comet", locale="en-US")
    assert player.ask("ChatbotA", "Hello?") == "Hello?!"
    for part in (".top-bar", ".people", ".chat"):
        assert not player.page.evaluate(f"/[가-힣]/.test(document.querySelector('{part}').innerText)"), part


def test_everything_but_walking_works_by_keyboard_alone(person: Visitors) -> None:
    """Ask a bot from the list, and read its answer."""
    player = person("누리")
    page = player.page
    player.tab_to(".message")
    page.keyboard.type("키보드로 말해요")
    page.keyboard.press("Enter")
    player.until(
        "[...document.querySelectorAll('.line.public .what')].some(line => line.textContent.startsWith('키보드로'))"
    )
    player.tab_to("[data-bot='ChatbotB'] .primary")
    page.keyboard.press("Enter")
    player.until("document.activeElement.className === 'message'")
    assert page.input_value(".target") == "bot:ChatbotB"
    page.keyboard.type("안녕?")
    page.keyboard.press("Enter")
    player.until("document.querySelectorAll('.answer').length === 1")


def test_a_phone_shows_the_list_without_overlap(person: Visitors) -> None:
    """The controls stay inside the screen, and axe finds nothing."""
    player = person("손안에", in_list=True, **PHONE)
    assert player.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert player.violations() == []
