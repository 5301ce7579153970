"""Players in the browser, on a gateway with Kafka's double: Korean input, hostile text, lost connections, other views."""

import pytest

from tests.e2e.conftest import Visitors

pytestmark = pytest.mark.e2e

HOSTILE = (
    "<script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "<svg/onload=window.hacked=1>",
    "<b>굵게</b>", "<iframe src=javascript:window.hacked=1>", "javascript:window.hacked=1", "<a href=javascript:hacked=1>x</a>",
    '"><script>window.hacked=1</script>', "'-window.hacked=1-'", "{{constructor.constructor('window.hacked=1')()}}",
    "${window.hacked=1}", "<style>*{display:none}</style>", "<body onload=window.hacked=1>", "<input autofocus onfocus=hacked=1>",
    "<details open ontoggle=window.hacked=1>", "<math><mtext></mtext><script>hacked=1</script></math>", "&lt;script&gt;",
    "<!--<script>window.hacked=1</script>-->", "<link rel=stylesheet href=//x>", "<meta http-equiv=refresh content=0;url=//x>",
    "<object data=javascript:hacked=1>", "<embed src=javascript:hacked=1>", "<form action=//x><button>x</button></form>",
    "<video><source onerror=window.hacked=1></video>", "<audio src=x onerror=window.hacked=1>", "<marquee onstart=hacked=1>",
    "<template><script>hacked=1</script></template>", "data:text/html,<script>hacked=1</script>", "\\u003cscript\\u003e", "<x contenteditable>",
)  # fmt: skip


ENTER = {"code": "Enter", "key": "Enter", "windowsVirtualKeyCode": 13}
COMPOSING_ENTER = {"code": "Enter", "key": "Process", "windowsVirtualKeyCode": 229}


@pytest.mark.parametrize("order", ["key before commit", "commit before key", "second key"])
def test_an_enter_that_ends_a_composition_sends_once(person: Visitors, order: str) -> None:
    """In whatever order the browser reports the key and the end of the composition; a second Enter finds an empty box."""
    player = person("한글이")
    page = player.page
    cdp = player.context.new_cdp_session(page)
    page.focus(".message")
    cdp.send("Input.imeSetComposition", {"selectionStart": 2, "selectionEnd": 2, "text": "한글"})
    if order == "commit before key":
        cdp.send("Input.insertText", {"text": "한글"})
        cdp.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **ENTER})
    else:
        cdp.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **COMPOSING_ENTER})
        cdp.send("Input.insertText", {"text": "한글"})
    if order == "second key":
        page.press(".message", "Enter")
    player.until("document.querySelectorAll('.line.public').length > 0")
    player.send("끝")
    player.until("[...document.querySelectorAll('.line.public .what')].some(line => line.textContent === '끝')")
    assert player.lines() == ["한글", "끝"]


def test_hostile_text_is_text_everywhere(person: Visitors) -> None:
    """In the chat, in whispers, in questions and in answers."""
    first, second = person("가람"), person("도윤")
    for number, text in enumerate(HOSTILE):
        to = ("everyone", f"player:{second.seat}", "bot:ChatbotA")[number % 3]
        before = first.page.evaluate("document.querySelectorAll('.line, .answer').length")
        first.page.wait_for_timeout(1100 if number % 3 else 700)
        first.send(text, to)
        first.until(f"document.querySelectorAll('.line, .answer').length > {before}")
    for player in (first, second):
        assert player.page.evaluate("window.hacked === undefined")
        found = player.page.locator(
            ".log :is(script, img, svg[onload], iframe, b, style, form, video, object, marquee)"
        )
        assert found.count() == 0
    shown = first.page.inner_text(".log")
    assert HOSTILE[0] in shown
    assert HOSTILE[1] in shown


def test_whispers_blocks_and_names_in_use(person: Visitors) -> None:
    """A whisper is for two; a blocked player is no longer heard; a name in use is refused at the door."""
    first, second, third = person("하늘"), person("별똥별"), person("토끼굴")
    first.send("비밀이에요", f"player:{second.seat}")
    second.until("document.querySelector('.line.whisper')?.textContent.includes('비밀이에요')")
    first.page.click(f"[data-seat='{third.seat}'] [aria-label*='차단하기']")
    first.until("document.querySelectorAll('.player-row.blocked').length === 1")
    third.send("들리나요")
    second.until("[...document.querySelectorAll('.line.public .what')].some(line => line.textContent === '들리나요')")
    assert "들리나요" not in first.lines()
    assert third.lines("whisper") == []


def test_an_answer_survives_drops_and_a_reload(person: Visitors) -> None:
    """It is shown once."""
    player = person("끊김이")
    for _ in range(5):
        player.page.evaluate("__world.disconnect()")
        player.until("__world.state().link === 'online'")
    assert player.ask("ChatbotA", "여기 있어?") == "여기 있어?!"
    for _ in range(5):
        player.page.evaluate("__world.disconnect()")
        player.until("__world.state().link === 'online'")
    assert player.page.locator(".answer").count() == 1
    player.page.reload()
    player.come_back()
    assert player.state()["me"]["name"] == "끊김이"
    assert player.state()["waiting"] == []


def test_a_second_tab_takes_over(person: Visitors) -> None:
    """The first one says so, and can come back."""
    first = person("두탭이")
    tab = first.context.new_page()
    tab.goto(first.page.url)
    tab.click(".welcome-back .primary")
    first.until("__world.state().link === 'replaced'")
    first.page.click(".link-cover .primary")
    first.until("__world.state().link === 'online'")
