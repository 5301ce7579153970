"""The old Unity client: librdkafka, the bot's name as group id, string keys and values, no escaping."""

import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import DeserializingConsumer, SerializingProducer
from confluent_kafka.serialization import StringDeserializer, StringSerializer

from kogpt2_chat.domain.chat.bots import BOT_IDS
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
    """Sends a hand-made frame, as the game does, and waits on the bot's topic for a record with its nickname as key."""

    def __init__(self, bootstrap_servers: str, nick: str, bot: str) -> None:
        text = StringSerializer("utf_8")
        self._nick, self._bot = nick, bot
        self._producer = SerializingProducer(
            {"bootstrap.servers": bootstrap_servers, "key.serializer": text, "value.serializer": text}
        )
        self._consumer = DeserializingConsumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": bot,
                "auto.offset.reset": "earliest",
                "key.deserializer": StringDeserializer("utf_8"),
                "value.deserializer": StringDeserializer("utf_8"),
            }
        )
        self._consumer.subscribe([bot])

    def ask(self, text: str) -> str:
        frame = "{'from' : '" + self._nick + "', 'to' : '" + self._bot + "', 'message' : '" + text + "'}"
        self._producer.produce("bot_question", value=frame)
        self._producer.flush(10)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert time.monotonic() < deadline, f"no answer to {text!r}"
            message = self._consumer.poll(0.5)
            if message is not None and message.error() is None and message.key() == self._nick:
                assert message.topic() == self._bot
                return message.value()

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture(scope="module")
def worker(stack_settings, tmp_path_factory) -> Iterator[WorkerProcess]:
    running = WorkerProcess(stack_settings, ORDINAL, tmp_path_factory.mktemp("unity"))
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
