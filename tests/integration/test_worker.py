"""A worker process on a real broker: one answer or dead letter for each record. tests/faults kills workers."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC, TURN_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.chat.wire import legacy_text, v1_text
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Settings
from tests.integration.worker_process import WorkerProcess

DEADLINE_S = 180.0
ORDINAL = 9


class Conversation:
    """Asks questions, and reads the records that became visible since its start."""

    def __init__(self, settings: Settings) -> None:
        self.topics = bootstrap.topics(settings)
        self.topics.ensure()
        self.key_prefix = uuid.uuid4().hex[:8]
        self.asked: list[str] = []
        self.starts = {topic: self.topics.end_positions(topic) for topic in (*BOT_IDS, TURN_TOPIC, DEAD_LETTER_TOPIC)}

    def ask(self, count: int) -> None:
        """Ask questions on all partitions, to all bots."""
        records = []
        for _ in range(count):
            question_id = f"{self.key_prefix}-{len(self.asked)}"
            bot = BOT_IDS[len(self.asked) % len(BOT_IDS)]
            value = v1_text(
                question_id=question_id, bot=bot, sender=f"하늘{question_id}", text="안녕? '따옴표'도 괜찮지?"
            )
            records.append(Outgoing(topic=QUESTION_TOPIC, key=question_id.encode(), value=value.encode()))
            self.asked.append(question_id)
        self.topics.send(records)

    def send(self, value: bytes) -> None:
        self.topics.send([Outgoing(topic=QUESTION_TOPIC, key=self.key_prefix.encode(), value=value)])

    def new(self, *names: str) -> list[Record]:
        found = []
        for topic in names:
            for partition, end in self.topics.end_positions(topic).items():
                found += self.topics.read(topic, partition, self.starts[topic][partition], end)
        return found

    def answers(self) -> list[Record]:
        return [record for record in self.new(*BOT_IDS) if record.headers["question_id"].startswith(self.key_prefix)]

    def dead_letters(self) -> list[Record]:
        return [record for record in self.new(DEAD_LETTER_TOPIC) if record.key.startswith(self.key_prefix.encode())]

    def wait_for_answers(self) -> list[Record]:
        wait_until(
            lambda: len(self.answers()) >= len(self.asked),
            lambda: (
                f"{len(self.answers())} of {len(self.asked)} answers, and dead letters: "
                f"{[record.headers for record in self.dead_letters()]}"
            ),
        )
        return self.answers()


def wait_until(condition, describe) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.2)


@pytest.fixture
def conversation(stack_settings) -> Conversation:
    return Conversation(stack_settings)


@pytest.fixture(scope="module")
def worker(stack_settings, tmp_path_factory) -> Iterator[WorkerProcess]:
    running = WorkerProcess(stack_settings, ORDINAL, tmp_path_factory.mktemp("worker"))
    yield running.wait_ready()
    assert running.terminate() < 10, "SIGTERM must end a worker before the supervisor sends SIGKILL"


def test_each_question_has_one_answer_and_one_turn(conversation, worker):
    """The answer's headers have the question's position, so that a reader could drop a second answer."""
    conversation.ask(30)
    answers = conversation.wait_for_answers()
    positions = Counter((record.headers["question_partition"], record.headers["question_offset"]) for record in answers)
    assert set(positions.values()) == {1}
    assert {record.headers["question_id"] for record in answers} == set(conversation.asked)
    turns = [Turn.from_json(record.value) for record in conversation.new(TURN_TOPIC)]
    turns = [turn for turn in turns if turn.question_id.startswith(conversation.key_prefix)]
    assert {turn.turn_id: turn.answer for turn in turns} == {r.headers["turn_id"]: r.value.decode() for r in answers}
    assert all(record.key.decode() == f"하늘{record.headers['question_id']}" for record in answers)


def test_a_malformed_or_oversized_question_is_a_dead_letter_and_the_next_one_is_answered(conversation, worker):
    """All in one partition: 17 KiB, almost 1 MiB, invalid UTF-8, invalid JSON, deep nesting, empty, an unknown bot."""
    bad = [
        b"{'from' : 'n', 'to' : 'ChatbotA', 'message' : '" + b"a" * 17 * 1024 + b"'}",
        b"x" * (1024 * 1024 - 200),
        b"\xff\xfe\x00",
        b'{"v": 1',
        b'{"v": ' + b"[" * 8000,
        b"",
        b"{'from' : 'n', 'to' : 'ChatbotZ', 'message' : 'x'}",
    ]
    for value in bad:
        conversation.send(value)
    conversation.ask(1)
    conversation.wait_for_answers()
    wait_until(
        lambda: len(conversation.dead_letters()) >= len(bad),
        lambda: f"{len(conversation.dead_letters())} of {len(bad)} dead letters",
    )
    letters = conversation.dead_letters()
    assert [letter.value for letter in letters] == bad
    reasons = ["too_large", "too_large", "not_utf8", "schema", "schema", "not_a_question", "unknown_bot"]
    assert [letter.headers["reason"] for letter in letters] == reasons
    assert all(
        {"error", "turn_id", "question_partition", "question_offset"} <= letter.headers.keys() for letter in letters
    )


def test_legacy_questions_are_answered_to_the_sender_in_the_body(conversation, worker):
    """Also if the message is `quit`, or has quotes, line feeds or emoji."""
    texts = ["quit", "그건 '진짜' \"대박\"", "{'a' : 'b'}", "첫 줄\n둘째 줄", "😀👍🏽"]
    for text in texts:
        conversation.send(legacy_text(f"나리-{conversation.key_prefix}", "ChatbotB", text).encode())

    def own_turns() -> list[Turn]:
        turns = [Turn.from_json(record.value) for record in conversation.new(TURN_TOPIC)]
        return [turn for turn in turns if turn.sender == f"나리-{conversation.key_prefix}"]

    wait_until(lambda: len(own_turns()) >= len(texts), lambda: f"turns: {[turn.text for turn in own_turns()]}")
    assert [turn.text for turn in own_turns()] == texts
    assert all(turn.source == "legacy" for turn in own_turns())


def test_a_worker_reports_its_state(conversation, worker):
    """It reports over HTTP, and with heartbeats on `worker_state`."""
    health = worker.health()
    assert health["ready"]
    assert {slot["bot"] for slot in health["slots"]} == set(BOT_IDS)
    assert health["double_drops"] == 0
    assert f"worker-{ORDINAL}" in conversation.topics.latest_by_key(WORKER_TOPIC)
