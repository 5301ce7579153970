"""What players do with each other and with answers: thumbs, corrections, safety, whispers, reports, rooms, settings."""

import json
import uuid
from typing import Any

import pytest

from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC, REPORT_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback
from kogpt2_chat.testing.kafka import InMemoryTopics
from tests.e2e.conftest import Visitors
from tests.e2e.world_page import SAFETY, WorldPage
from tests.world.served import EchoBot, Served
from tests.world.waiting import wait_until
from world.gateway.places import load_places
from world.gateway.protocol.events import Said

pytestmark = pytest.mark.e2e

FURTHER_EVENTS = 20
ONYU = next(stand for stand in load_places().bots if stand.bot == "ChatbotB")


def feedback_on(topics: InMemoryTopics, turn: str, count: int) -> list[Feedback]:
    """Wait for the records of feedback on a turn, and return them in their order."""

    def found() -> list[Feedback]:
        records = topics._broker.all(FEEDBACK_TOPIC)
        return [one for record in records if (one := Feedback.from_json(record.value or b"")).turn_id == turn]

    wait_until(lambda: len(found()) >= count)
    return found()


def pressed(player: WorldPage) -> list[str]:
    """Return which thumbs are shown as pressed, up and down."""
    buttons = player.page.locator(".answer .answer-actions button[aria-pressed]")
    return [buttons.nth(index).get_attribute("aria-pressed") or "" for index in range(2)]


def test_thumbs_and_corrections_reach_the_topic(person: Visitors, topics: InMemoryTopics, bot: EchoBot) -> None:
    """With the answer's turn, the player's id and consent; the player sees what was noted, after a reconnect too."""
    player = person("하늘")
    page = player.page
    player.ask("ChatbotA", "거울동굴이 어디야?")
    turn, guest = bot.asked[-1].turn_id, guest_of(player)
    page.get_by_role("button", name="좋아요").click()
    page.wait_for_selector(".noted:has-text('고마워요, 전했어요.')")
    assert pressed(player) == ["true", "false"]
    player.page.evaluate("__world.disconnect()")
    player.until("__world.state().link === 'online'")
    assert pressed(player) == ["true", "false"]
    page.get_by_role("button", name="별로예요").click()
    page.wait_for_selector(".noted:has-text('알려 줘서 고마워요.')")
    assert pressed(player) == ["false", "true"]
    page.get_by_role("button", name="이렇게 말해 줘").click()
    page.keyboard.type("바람언덕 아래에 있어요.")
    page.keyboard.press("Enter")
    page.wait_for_selector(".noted:has-text('다음에 배울게요')")
    found = feedback_on(topics, turn, 3)
    assert [(one.kind, one.text) for one in found] == [
        ("up", None),
        ("down", None),
        ("correction", "바람언덕 아래에 있어요."),
    ]
    assert {(one.player_id, one.consent_train, one.minor) for one in found} == {(guest["id"], True, False)}


def test_a_correction_says_that_it_must_not_be_learned(person: Visitors, topics: InMemoryTopics, bot: EchoBot) -> None:
    """By a player who lets the talk be stored, but lets nobody learn from it."""
    player = person("하늘", consent=["store"])
    player.ask("ChatbotA", "누구야?")
    player.page.get_by_role("button", name="이렇게 말해 줘").click()
    player.page.keyboard.type("마루예요.")
    player.page.keyboard.press("Enter")
    found = feedback_on(topics, bot.asked[-1].turn_id, 1)
    assert [(one.kind, one.text, one.consent_train) for one in found] == [("correction", "마루예요.", False)]


def guest_of(player: WorldPage) -> dict[str, Any]:
    found: dict[str, Any] = player.page.evaluate("fetch('/session').then(reply => reply.json())")["guest"]
    return found


def test_a_safety_answer_stays_until_it_is_closed(person: Visitors, served: Served) -> None:
    """Its number can be dialed; it is in no list, has no thumb, and nobody else gets it, however near."""
    player, other = person("하늘"), person("도윤")
    for name in ("하늘", "도윤"):
        served.put(name, ONYU.x + 2, ONYU.z - 2)
    player.page.select_option(".target", "bot:ChatbotB")
    player.page.get_by_role("radio", name="근처에 보이게").check()
    player.send(SAFETY, "bot:ChatbotB")
    player.page.wait_for_selector(".safety:visible")
    assert player.page.eval_on_selector_all(".safety a", "x => x.map(e => e.getAttribute('href'))") == ["tel:109"]
    assert player.page.locator(".answer, .answer-actions").count() == 0
    for number in range(FURTHER_EVENTS):
        said = Said(id=uuid.uuid4().hex, line=uuid.uuid4().hex, seat=other.seat, name="도윤", text=f"{number}번째 말")
        served.run(lambda said=said: served.gateway.rooms.tell_all(said))  # type: ignore[misc]
    for one in (player, other):
        one.until(f"document.querySelectorAll('.line.public').length === {FURTHER_EVENTS}")
    player.page.evaluate("__world.disconnect()")
    player.until("__world.state().link === 'online'")
    assert player.page.locator(".safety").is_visible()
    assert f"{SAFETY}!" not in player.page.inner_text(".chat")  # the question, without the answer's mark, is there
    assert SAFETY not in other.page.inner_text("body")
    player.page.click(".safety .primary")
    player.until("document.querySelector('.safety') === null || !document.querySelector('.safety').checkVisibility()")


def test_entering_and_leaving_are_told(person: Visitors) -> None:
    """To those who are there, by name."""
    first = person("가람")
    second = person("도윤")
    first.until(f"({NOTICES}).includes('도윤 님이 입장하셨습니다.')")
    second.page.get_by_role("button", name="설정", exact=True).click()
    second.page.get_by_role("button", name="문 앞으로 나가기").click()
    second.page.wait_for_selector(".welcome-back")
    first.until(f"({NOTICES}).includes('도윤 님이 퇴장하셨습니다.')")
    assert first.state()["players"] == []


NOTICES = "[...document.querySelectorAll('.line.notice')].map(line => line.textContent)"


def test_people_are_whispered_to_blocked_and_reported_by_keyboard(person: Visitors, topics: InMemoryTopics) -> None:
    """From the list of people. A report carries the reason and the last lines of the room."""
    player, other = person("하늘"), person("도윤")
    page, row = player.page, f"[data-seat='{other.seat}'] .row-buttons"
    other.send("듣기 싫은 말")
    player.until("document.querySelectorAll('.line.public').length === 1")
    player.tab_to(f"{row} [aria-label*='귓속말']")
    page.keyboard.press("Enter")
    player.until("document.activeElement.className === 'message'")
    page.keyboard.type("그만해 주세요")
    page.keyboard.press("Enter")
    other.until("document.querySelector('.line.whisper')?.textContent.includes('그만해 주세요')")
    player.tab_to(f"{row} [aria-label*='신고']")
    page.keyboard.press("Enter")
    player.tab_to("dialog textarea")
    page.keyboard.type("나쁜 말을 해요")
    player.tab_to("dialog .danger")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('신고를 받았어요')")
    wait_until(lambda: len(topics._broker.all(REPORT_TOPIC)) == 1)
    report = json.loads(topics._broker.all(REPORT_TOPIC)[0].value or b"")
    assert (report["name"], report["text"]) == ("도윤", "나쁜 말을 해요")
    assert [line["text"] for line in report["lines"]] == ["듣기 싫은 말"]
    player.tab_to(f"{row} [aria-label*='차단']")
    page.keyboard.press("Enter")
    page.wait_for_selector(".player-row.blocked")
    other.send("아직 있나요")
    other.until("document.querySelectorAll('.line.public').length === 2")
    player.send("나만 보여요")
    player.until("[...document.querySelectorAll('.line.public .what')].at(-1).textContent === '나만 보여요'")
    assert "아직 있나요" not in player.lines()


WHISPER_TOO_FAST = """next => {
    const [box, target] = [".message", ".target"].map(name => document.querySelector(name));
    for (let number = 1; number <= 7; number += 1) {
        box.value = `비밀 ${number}`;
        document.querySelector(".composer .send").click();
    }
    target.value = next;
    target.dispatchEvent(new Event("change"));
}"""
"""Whispers more than the gateway allows at once, and turns to somebody else before its refusal can come."""


def test_a_refused_whisper_is_not_given_back_to_be_said_to_everyone(person: Visitors) -> None:
    """It becomes a notice. For the same player it stands in the box again."""
    player, other = person("하늘"), person("도윤")
    player.until("__world.state().players.length === 1")
    them = f"player:{other.seat}"
    player.page.select_option(".target", them)
    player.page.evaluate(WHISPER_TOO_FAST, "everyone")
    player.until(f"({NOTICES}).some(notice => notice.startsWith('보내지 못했어요: 비밀'))")
    assert player.page.input_value(".message") == ""
    assert player.page.evaluate("document.querySelector('.composer').dataset.to") == "everyone"
    player.page.select_option(".target", them)
    player.page.evaluate(WHISPER_TOO_FAST, them)
    player.until("document.querySelector('.message').value.startsWith('비밀 ')")
    assert player.lines() == other.lines() == []


def test_the_card_of_who_has_left_aims_at_nobody(person: Visitors) -> None:
    """The player is told, and the text is still for whom it was."""
    player, other = person("하늘"), person("도윤")
    player.page.click(f"[data-seat='{other.seat}'] .player-name")
    other.page.get_by_role("button", name="설정", exact=True).click()
    other.page.get_by_role("button", name="문 앞으로 나가기").click()
    player.until("__world.state().players.length === 0")
    player.page.locator("dialog[open]").get_by_role("button", name="귓속말", exact=True).click()
    player.page.wait_for_selector(".toast:has-text('도윤 님이 퇴장하셨습니다.')")
    assert player.page.input_value(".target") == "everyone"
    assert player.page.evaluate("document.activeElement.className") != "message"


def test_each_question_is_private_unless_the_player_says_otherwise(person: Visitors) -> None:
    """And what was begun is gone for whoever comes in next."""
    player = person("하늘")
    player.page.select_option(".target", "bot:ChatbotB")
    player.page.get_by_role("radio", name="근처에 보이게").check()
    player.ask("ChatbotB", "잘 지내?")
    assert player.page.get_by_role("radio", name="둘이서만").is_checked()
    player.page.fill(".message", "사실은")
    player.page.get_by_role("button", name="설정", exact=True).click()
    player.page.get_by_role("button", name="문 앞으로 나가기").click()
    player.come_back()
    assert (player.page.input_value(".message"), player.page.input_value(".target")) == ("", "everyone")


def test_rooms_are_changed_by_keyboard(person: Visitors) -> None:
    """The list says how many are where; those who stay are told."""
    player, other = person("하늘"), person("도윤")
    player.tab_to(".room-button")
    player.page.keyboard.press("Enter")
    player.page.wait_for_selector("dialog .rooms .room:has-text('2/20명')")
    player.tab_to("dialog .rooms li:nth-child(2) .room")
    player.page.keyboard.press("Enter")
    player.until("__world.state().room === 2 && __world.state().link === 'online'")
    player.until("document.querySelector('dialog[open]') === null")
    other.until(f"({NOTICES}).includes('하늘 님이 퇴장하셨습니다.')")
    assert (player.state()["players"], other.state()["players"]) == ([], [])


def test_settings_are_changed_by_keyboard(person: Visitors, served: Served) -> None:
    """Language, theme and picture stay over a reload; a consent that is taken back holds for the next question."""
    player = person("하늘", settings={"quality": "low", "theme": "dark"})
    page = player.page
    open_settings(player)
    player.tab_to("dialog .languages [lang=en]")
    page.keyboard.press("Enter")
    player.until("document.documentElement.lang === 'en'")
    choose_next(player, "Theme", "document.documentElement.dataset.theme === 'light'")
    choose_next(player, "Picture quality", "JSON.parse(localStorage['byeolmaru.settings']).quality === 'medium'")
    player.tab_to("dialog .consent .check:nth-of-type(2) input")
    page.keyboard.press("Space")
    page.wait_for_selector(".toast")
    seat = next(iter(served.gateway.rooms))
    wait_until(lambda: (seat.guest.store, seat.guest.learn) == (True, False))
    wait_until(lambda: guest_of(player)["learn"] is False)
    page.reload()
    player.come_back()
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == ["en", "light"]


def choose_next(player: WorldPage, label: str, until: str) -> None:
    """Choose the next value of a list of the settings with the arrow key."""
    field = player.page.get_by_role("combobox", name=label)
    player.tab_to(f"#{field.get_attribute('id')}")
    player.page.keyboard.press("ArrowDown")
    player.until(until)


def open_settings(player: WorldPage) -> None:
    player.tab_to(".top-bar nav button:nth-of-type(3)")
    player.page.keyboard.press("Enter")
    player.page.wait_for_selector("dialog.settings[open]")


def test_signing_out_by_keyboard_forgets_the_player(person: Visitors, served: Served) -> None:
    """After a question whether that is meant: the door does not know the browser, and the name is free at once."""
    player = person("하늘")
    open_settings(player)
    player.tab_to("dialog.settings .danger")
    player.page.keyboard.press("Enter")
    player.tab_to("dialog:not(.settings) .danger")
    player.page.keyboard.press("Enter")
    player.page.wait_for_selector("#guest-name")
    player.until("document.querySelector('#guest-name')?.value === ''")
    assert guest_of(player) is None
    wait_until(lambda: len(served.gateway.rooms) == 0)
    assert player.page.evaluate("localStorage['byeolmaru.look'] === undefined")
    person("하늘")
