"""The world's gateway on a real broker: it is killed, its keys change, and others use a player's name or session.

Nobody is asked twice, and each answer is shown once, to the player who asked.
"""

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from kogpt2_chat.client.world_player import Event, WorldPlayer
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import legacy_text
from kogpt2_chat.errors import InvalidInput, Unavailable
from kogpt2_chat.ports import Outgoing, Record, Topics
from tests.faults.broker_process import BrokerProcess
from tests.faults.gateway_process import GatewayProcess, PagePlayer, QuestionLog, gateway_process, guest_id
from tests.world.served import EchoBot
from tests.world.waiting import wait_until
from world.gateway.rooms.asking import ANSWER_S, WAIT_S

DEADLINE_S = 60.0
OLD, NEW = "the-old-key-" + "o" * 32, "the-new-key-" + "n" * 32


@pytest.fixture
def log(kafka: BrokerProcess) -> QuestionLog:
    return QuestionLog(kafka.settings)


def test_the_time_for_the_answer_is_in_the_record(gateway: GatewayProcess, echo_bot: EchoBot, log: QuestionLog) -> None:
    """12 s after the gateway has taken the question, whatever the machine does: between these two moments."""
    with closing(PagePlayer(gateway.url, "가나")) as player:
        before = datetime.now(UTC)
        question = player.ask("ChatbotA", "언제까지?")
        player.end_of(question)
        after = datetime.now(UTC)
    (asked,) = log.read()
    assert asked.reply_by is not None
    assert before <= asked.reply_by - timedelta(seconds=ANSWER_S) <= after
    assert ANSWER_S == 12


@pytest.mark.parametrize("is_away", [True, False], ids=["answered while it is away", "answered when it is back"])
def test_a_killed_gateway_delivers_what_was_asked_before(
    gateway: GatewayProcess, echo_bot: EchoBot, log: QuestionLog, is_away: bool
) -> None:
    """With SIGKILL, while three players wait."""
    players = [PagePlayer(gateway.url, name) for name in ("가나", "다라", "마바")]
    echo_bot.may_answer.clear()
    asked = [player.ask(bot, f"{bot}, 들려?") for player, bot in zip(players, BOT_IDS, strict=True)]
    asked_at_s = time.monotonic()
    wait_until(lambda: log.counts() == dict.fromkeys(asked, 1), DEADLINE_S)
    gateway.kill()
    if is_away:
        echo_bot.may_answer.set()
        wait_until(lambda: len(echo_bot.answered) == 3, DEADLINE_S)
    gateway.start()
    for player in players:
        player.come_back()
    echo_bot.may_answer.set()
    is_in_time = is_away or time.monotonic() - asked_at_s < WAIT_S / 2  # a busy machine may start it too late
    for player, bot, question in zip(players, BOT_IDS, asked, strict=True):
        end = player.end_of(question)
        if is_in_time:
            assert (end["t"], end["question"], end["text"]) == ("answered", f"{bot}, 들려?", f"{bot}, 들려?!")
        assert len(player.all_shown(question)) == 1
        player.close()
    assert set(log.counts().values()) == {1}


def test_kills_at_any_moment_ask_nobody_twice(gateway: GatewayProcess, echo_bot: EchoBot, log: QuestionLog) -> None:
    """A question that the gateway had confirmed, and not sent yet, ends in a notice. All others are answered."""
    draw = random.Random(5)
    with closing(PagePlayer(gateway.url, "가나")) as player:
        for number in range(4):
            question = player.ask(BOT_IDS[number % 3], f"{number}번?")
            time.sleep(draw.uniform(0, 0.04))
            gateway.kill()
            gateway.start()
            player.come_back()
            end = player.end_of(question)
            was_sent = log.counts()[question] == 1
            assert (end["t"] == "answered") is was_sent
            assert len(player.all_shown(question)) == 1
    assert set(log.counts().values()) == {1}


def test_keys_change_under_players(kafka: BrokerProcess, topics: Topics, log: QuestionLog, tmp_path: Path) -> None:
    """First both keys are valid, then only the new one: who came by in between stays signed in."""
    both = SigningKeys((NEW, OLD))
    with (
        running(EchoBot(topics, both)) as bot,
        gateway_process(kafka.settings, tmp_path) as gateway,
    ):
        gateway.start([OLD])
        stays, visits = PagePlayer(gateway.url, "가나"), PagePlayer(gateway.url, "다라")
        guest = guest_id(visits.player)
        ask_all(stays, visits)
        bot.may_answer.clear()
        waiting = stays.ask("ChatbotB", "열쇠가 바뀌는 동안?")
        wait_until(lambda: log.counts()[waiting] == 1, DEADLINE_S)
        gateway.stop()
        bot.may_answer.set()
        wait_until(lambda: bot.answered[-1].text == "열쇠가 바뀌는 동안?", DEADLINE_S)
        gateway.start([NEW, OLD])
        for player in (stays, visits):
            player.come_back()
        assert stays.end_of(waiting)["question"] == "열쇠가 바뀌는 동안?"
        ask_all(stays, visits)
        visits.player.cookie = visit_again(visits.player)
        gateway.stop()
        gateway.start([NEW])
        visits.come_back()
        assert guest_id(visits.player) == guest
        ask_all(visits)
        with pytest.raises((InvalidInput, Unavailable), match="session"):
            stays.come_back()
        visits.close()
    assert all(question.authenticated for question in bot.asked)
    assert [question.authenticated for question in bot.asked] == [question.authenticated for question in log.read(both)]
    signed = {key: sum(one.authenticated for one in log.read(SigningKeys((key,)))) for key in (OLD, NEW)}
    assert signed == {OLD: 3, NEW: 3}
    assert set(log.counts().values()) == {1}


def ask_slowly(player: WorldPlayer, bot: str, text: str) -> Event:
    """Ask as soon as the limits allow it, and return the end."""
    while (end := player.answer_to(player.ask(bot, text))).get("reason") == "too_fast":
        time.sleep(end["wait_s"])
    return end


def ask_all(*players: PagePlayer) -> None:
    for player in players:
        assert player.end_of(player.ask("ChatbotA", "들려?"))["text"] == "들려?!"


def visit_again(player: WorldPlayer) -> str:
    """Open the page again; return the cookie."""
    reply = requests.get(f"{player.url}/session", headers={"Cookie": player.cookie}, timeout=10)
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in reply.cookies) or player.cookie


@contextmanager
def running(bot: EchoBot) -> Iterator[EchoBot]:
    try:
        yield bot
    finally:
        bot.stop()


def test_a_session_in_two_tabs_gets_its_answer_once(
    gateway: GatewayProcess, echo_bot: EchoBot, log: QuestionLog
) -> None:
    """In the tab that was opened last. The other one is told that it was replaced."""
    first, second = PagePlayer(gateway.url, "가나"), WorldPlayer(gateway.url, "다른이름")
    second.cookie = first.player.cookie
    echo_bot.may_answer.clear()
    question = first.ask("ChatbotA", "어느 쪽?")
    first.player.wait_for(lambda event: event["t"] == "thinking")
    second.enter()
    with pytest.raises(Unavailable, match="4001"):
        first.player.wait_for(lambda event: event["t"] == "never")
    assert second.answer_to(second.ask("ChatbotA", "나도?"))["reason"] == "already_asking"
    echo_bot.may_answer.set()
    assert second.answer_to(question)["text"] == "어느 쪽?!"
    assert ask_slowly(second, "ChatbotA", "또?")["text"] == "또?!"
    assert answers(second) == answers(first.player) == []
    assert log.counts()[question] == 1
    second.close()


def test_a_unity_player_with_the_same_name_gets_only_its_own_answer(
    gateway: GatewayProcess, echo_bot: EchoBot, topics: Topics, log: QuestionLog
) -> None:
    """Answers have the name as key, for both. A copy of an answer, and answers to other questions, are shown to nobody."""
    name, arrived = "민수", []
    with closing(topics.follow(BOT_IDS)) as unity, closing(WorldPlayer(gateway.url, name)) as browser:
        browser.enter()
        topics.send([unity_question(name, "유니티에서")])
        asked = browser.ask("ChatbotA", "브라우저에서")
        assert browser.answer_to(asked)["text"] == "브라우저에서!"
        wait_until(lambda: len(follow(unity, arrived)) == 2, DEADLINE_S)
        topics.send([as_outgoing(record) for record in arrived])
        topics.send([as_outgoing(record, question_id="w-somebody.else-1") for record in arrived])
        assert browser.answer_to(browser.ask("ChatbotA", "끝"))["text"] == "끝!"
        wait_until(lambda: len(follow(unity, arrived)) == 7, DEADLINE_S)
    assert answers(browser) == []
    assert not [event for event in browser.events if "유니티" in str(event)]
    own = [record for record in arrived[:2] if record.headers["question_id"] == record.headers["turn_id"]]
    assert [(record.key, record.value) for record in own] == [(name.encode(), "유니티에서!".encode())]
    assert log.counts()[asked] == 1


def unity_question(name: str, text: str) -> Outgoing:
    return Outgoing(topic=QUESTION_TOPIC, key=None, value=legacy_text(name, "ChatbotA", text).encode())


def as_outgoing(record: Record, **headers: str) -> Outgoing:
    return Outgoing(topic=record.topic, key=record.key, value=record.value, headers={**record.headers, **headers})


def follow(follower, arrived: list[Record]) -> list[Record]:
    arrived += follower.poll(0.1)
    return arrived


def answers(player: WorldPlayer) -> list[object]:
    return [event for event in player.events if event["t"] in ("answered", "unanswered")]
