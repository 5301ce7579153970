"""The old Unity client: librdkafka, the bot's name as group id, string keys and values, no escaping.

It also runs beside a player with a browser and beside a second Unity client. docs/unity.md has tests of its own.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from confluent_kafka import DeserializingConsumer, Message, SerializingProducer
from confluent_kafka.serialization import StringDeserializer, StringSerializer

from kogpt2_chat import bootstrap
from kogpt2_chat.client.world_player import WorldPlayer
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.world_keys import signing_keys
from tests.integration.worker_process import WorkerProcess

DEADLINE_S = 60.0
ORDINAL = 8
TEXTS = (
    "안녕?",
    "그건 '진짜' \"대박\"이야",
    "{중괄호} }'{ '",
    "첫 줄\n둘째 줄",
    "quit",
    "😀 좋아 👍🏽",
    "', 'message' : '",
    "\\n 역슬래시",
)


class UnityClient:
    """Sends a hand-made frame, as the game does, and waits on the bot's topic for a record with its nickname as key.

    Args:
        bootstrap_servers: the broker.
        nick: the player's name.
        bot: the bot to ask.
        group: the consumer group; None for that of the original client.
    """

    def __init__(self, bootstrap_servers: str, nick: str, bot: str, group: str | None = None) -> None:
        text = StringSerializer("utf_8")
        self._nick, self._bot = nick, bot
        self.read: list[Message] = []
        self._producer = SerializingProducer(
            {"bootstrap.servers": bootstrap_servers, "key.serializer": text, "value.serializer": text}
        )
        self._consumer = DeserializingConsumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": group or bot,
                "auto.offset.reset": "earliest",
                "key.deserializer": StringDeserializer("utf_8"),
                "value.deserializer": StringDeserializer("utf_8"),
            }
        )
        self._consumer.subscribe([bot])

    def send(self, text: str) -> str:
        """Send a question, and return its id: the place that the delivery report names."""
        frame = "{'from' : '" + self._nick + "', 'to' : '" + self._bot + "', 'message' : '" + text + "'}"
        reports: list[Message] = []
        self._producer.produce(QUESTION_TOPIC, value=frame, on_delivery=lambda _, report: reports.append(report))
        self._producer.flush(10)
        (report,) = reports
        assert report.error() is None
        return f"{QUESTION_TOPIC}-{report.partition()}-{report.offset()}"

    def ask(self, text: str) -> str:
        self.send(text)
        return self._wait_for(lambda message: message.key() == self._nick, text).value()

    def answer_to(self, question_id: str) -> str:
        """Wait for an answer by the question's id, as docs/unity.md advises."""
        return self._wait_for(lambda message: question_id_of(message) == question_id, question_id).value()

    def poll(self) -> Message | None:
        message = self._consumer.poll(0.5)
        if message is None or message.error() is not None:
            return None
        assert message.topic() == self._bot
        self.read.append(message)
        return message

    def close(self) -> None:
        self._consumer.close()

    def _wait_for(self, condition: Callable[[Message], bool], what: str) -> Message:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert time.monotonic() < deadline, f"no answer to {what!r}"
            message = self.poll()
            if message is not None and condition(message):
                return message


def question_id_of(message: Message) -> str:
    return dict(message.headers())["question_id"].decode()


def letters() -> str:
    """Return random letters: digits in a name might look like personal data."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in uuid.uuid4().hex[:8])


@pytest.fixture(scope="module")
def worker(stack_settings, tmp_path_factory) -> Iterator[WorkerProcess]:
    keys = {"KOGPT2_WORLD__KEYS": json.dumps(signing_keys(stack_settings).keys)}
    running = WorkerProcess(stack_settings, ORDINAL, tmp_path_factory.mktemp("unity"), more=keys)
    yield running.wait_ready()
    running.terminate()


@pytest.mark.parametrize("bot", BOT_IDS)
def test_the_old_unity_client_gets_answers(stack_settings, worker, bot):
    """The topic is the bot, the key the nickname, the value the text, also for frames with quotes, braces and emoji."""
    client = UnityClient(stack_settings.kafka_bootstrap, f"유니티 '{uuid.uuid4().hex[:6]}'", bot)
    try:
        for text in TEXTS:
            answer = client.ask(text)
            assert answer.strip() == answer
            assert 0 < len(answer) <= 300
    finally:
        client.close()


CRISIS, CALM = "요즘 너무 힘들어서 죽고 싶어", "같이 산책할래?"


@pytest.mark.parametrize("unity_text", [CRISIS, CALM])
def test_a_unity_and_a_browser_player_with_one_name_each_get_their_own_answer(stack_settings, worker, unity_text):
    """The same name, the same bot, at the same time. One of them asks about a crisis, so the answers differ."""
    broker, topics, bot, nick = stack_settings.kafka_bootstrap, bootstrap.topics(stack_settings), BOT_IDS[1], letters()
    browser_text = CALM if unity_text == CRISIS else CRISIS
    starts = topics.end_positions(TURN_TOPIC)
    browser = WorldPlayer(stack_settings.world_url, nick)
    with (
        closing(browser),
        closing(UnityClient(broker, nick, bot)) as unity,
        closing(UnityClient(broker, nick, bot, group=f"unity-{uuid.uuid4()}")) as second,
    ):
        browser.enter()
        asked = browser.ask(bot, browser_text)
        first_id, second_id = unity.send(unity_text), second.send(unity_text)
        unity_answers = [unity.answer_to(first_id), second.answer_to(second_id)]
        answered = browser.answer_to(asked)
        browser_turn, *unity_turns = turns_of(topics, starts, nick)
        read_until(second, {first_id, second_id, browser_turn.question_id})
    assert (answered["t"], answered["question"]) == ("answered", browser_text)
    assert (answered["source"] == "safety") is (browser_text == CRISIS)
    assert [event["id"] for event in browser.events if event["t"] in ("answered", "thinking")] == [asked]
    assert not [event for event in browser.events if event.get("text") in unity_answers]
    assert answered["text"] not in unity_answers
    own = [question_id_of(message) for message in second.read if message.key() == nick]
    assert sorted(own) == sorted([first_id, second_id, browser_turn.question_id]), "each answer once"
    assert (browser_turn.authenticated, browser_turn.source) == (True, "v1")
    assert browser_turn.player_id.startswith("w-")
    assert {turn.turn_id for turn in unity_turns} == {first_id, second_id}
    for turn in unity_turns:
        assert (turn.authenticated, turn.source, turn.player_id) == (False, "legacy", f"legacy:{nick}")
        assert turn.text == unity_text


def turns_of(topics, starts: dict[int, int], sender: str) -> list[Turn]:
    """Return the turns of a name since some positions; those of browser players first."""
    ends = topics.end_positions(TURN_TOPIC)
    read = (record for number, end in ends.items() for record in topics.read(TURN_TOPIC, number, starts[number], end))
    turns = [turn for record in read if (turn := Turn.from_json(record.value)).sender == sender]
    return sorted(turns, key=lambda turn: turn.source == "legacy")


def read_until(client: UnityClient, question_ids: set[str]) -> None:
    """Read until all these answers have arrived."""
    deadline = time.monotonic() + DEADLINE_S
    while not question_ids <= {question_id_of(message) for message in client.read}:
        assert time.monotonic() < deadline
        client.poll()
