"""A worker process on a real broker: one answer to each question, whatever is asked. tests/faults kills workers."""

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
    """Asks, and looks at everything that became visible since it began."""

    def __init__(self, settings: Settings) -> None:
        self.topics = bootstrap.topics(settings)
        self.topics.ensure()
        self.mark = uuid.uuid4().hex[:8]
        self.asked: list[str] = []
        self.begin = {topic: self.topics.end_positions(topic) for topic in (*BOT_IDS, TURN_TOPIC, DEAD_LETTER_TOPIC)}

    def ask(self, count: int) -> None:
        """Questions on all partitions, to all bots."""
        records = []
        for _ in range(count):
            question_id = f"{self.mark}-{len(self.asked)}"
            bot = BOT_IDS[len(self.asked) % len(BOT_IDS)]
            value = v1_text(
                question_id=question_id, bot=bot, sender=f"하늘{question_id}", text="안녕? '따옴표'도 괜찮지?"
            )
            records.append(Outgoing(topic=QUESTION_TOPIC, key=question_id.encode(), value=value.encode()))
            self.asked.append(question_id)
        self.topics.send(records)

    def send(self, value: bytes) -> None:
        self.topics.send([Outgoing(topic=QUESTION_TOPIC, key=self.mark.encode(), value=value)])

    def new(self, *names: str) -> list[Record]:
        found = []
        for topic in names:
            for partition, end in self.topics.end_positions(topic).items():
                found += self.topics.read(topic, partition, self.begin[topic][partition], end)
        return found

    def answers(self) -> list[Record]:
        return [record for record in self.new(*BOT_IDS) if record.headers["question_id"].startswith(self.mark)]

    def dead_letters(self) -> list[Record]:
        return [record for record in self.new(DEAD_LETTER_TOPIC) if record.key.startswith(self.mark.encode())]

    def wait_for_answers(self) -> list[Record]:
        until(
            lambda: len(self.answers()) >= len(self.asked),
            lambda: (
                f"{len(self.answers())} of {len(self.asked)} answers, and dead letters: "
                f"{[record.headers for record in self.dead_letters()]}"
            ),
        )
        return self.answers()


def until(condition, otherwise) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)


@pytest.fixture
def talk(stack_settings) -> Conversation:
    return Conversation(stack_settings)


@pytest.fixture(scope="module")
def worker(stack_settings, tmp_path_factory) -> Iterator[WorkerProcess]:
    running = WorkerProcess(stack_settings, ORDINAL, tmp_path_factory.mktemp("worker"))
    yield running.wait_ready()
    assert running.terminate() < 10, "SIGTERM has to end a worker before the supervisor loses patience"


def test_each_question_has_one_answer_and_one_turn(talk, worker):
    """With the question's position, so that a reader could drop a second one."""
    talk.ask(30)
    answers = talk.wait_for_answers()
    positions = Counter((record.headers["question_partition"], record.headers["question_offset"]) for record in answers)
    assert set(positions.values()) == {1}
    assert {record.headers["question_id"] for record in answers} == set(talk.asked)
    turns = [Turn.from_json(record.value) for record in talk.new(TURN_TOPIC)]
    turns = [turn for turn in turns if turn.question_id.startswith(talk.mark)]
    assert {turn.turn_id: turn.answer for turn in turns} == {r.headers["turn_id"]: r.value.decode() for r in answers}
    assert all(record.key.decode() == f"하늘{record.headers['question_id']}" for record in answers)


def test_a_malformed_or_oversized_question_is_a_dead_letter_and_the_next_one_is_answered(talk, worker):
    """17 KiB, just under 1 MiB, no UTF-8, no JSON, deep nesting: all in a row on one partition."""
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
        talk.send(value)
    talk.ask(1)
    talk.wait_for_answers()
    until(
        lambda: len(talk.dead_letters()) >= len(bad), lambda: f"{len(talk.dead_letters())} of {len(bad)} dead letters"
    )
    letters = talk.dead_letters()
    assert [letter.value for letter in letters] == bad
    reasons = ["too_large", "too_large", "not_utf8", "schema", "schema", "not_a_question", "unknown_bot"]
    assert [letter.headers["reason"] for letter in letters] == reasons
    assert all(
        {"error", "turn_id", "question_partition", "question_offset"} <= letter.headers.keys() for letter in letters
    )


def test_legacy_questions_are_answered_to_the_sender_in_the_body(talk, worker):
    """Whatever the message looks like, `quit` and quotes and line feeds."""
    texts = ["quit", "그건 '진짜' \"대박\"", "{'a' : 'b'}", "첫 줄\n둘째 줄", "😀👍🏽"]
    for text in texts:
        talk.send(legacy_text(f"나리-{talk.mark}", "ChatbotB", text).encode())

    def mine() -> list[Turn]:
        turns = [Turn.from_json(record.value) for record in talk.new(TURN_TOPIC)]
        return [turn for turn in turns if turn.sender == f"나리-{talk.mark}"]

    until(lambda: len(mine()) >= len(texts), lambda: f"turns: {[turn.text for turn in mine()]}")
    assert [turn.text for turn in mine()] == texts
    assert all(turn.source == "legacy" for turn in mine())


def test_a_worker_says_how_it_is(talk, worker):
    """Over HTTP and on worker_state, heartbeat included."""
    health = worker.health()
    assert health["ready"]
    assert {slot["bot"] for slot in health["slots"]} == set(BOT_IDS)
    assert health["double_drops"] == 0
    assert f"worker-{ORDINAL}" in talk.topics.latest_by_key(WORKER_TOPIC)
