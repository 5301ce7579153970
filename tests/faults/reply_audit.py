"""Ask questions, and count what readers of committed records see for each of them: answers, turns and dead letters."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from kafka import KafkaConsumer, TopicPartition

from kogpt2_chat import bootstrap
from kogpt2_chat.adapters.kafka.topics import connection
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.wire import turn_id, v1_text
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Outgoing, Record
from kogpt2_chat.settings import Kafka, Settings

WATCHED = (*BOT_IDS, DEAD_LETTER_TOPIC, TURN_TOPIC)
DEADLINE_S = 240.0
REQUEST_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """The result of a scenario.

    Attributes:
        questions: records of `bot_question`, also those that cannot be answered.
        answers: visible answers to them.
        dead_letters: visible dead letters of them.
        lost: questions without an answer and without a dead letter.
        double: answers and dead letters beyond the first one of each question.
        unmatched: answers without a turn, and turns without an answer.
        aborted: answers that were written, but are invisible because their transaction was aborted; also to questions of
            earlier tests, which the workers may have to answer first.
    """

    questions: int
    answers: int
    dead_letters: int
    lost: int
    double: int
    unmatched: int
    aborted: int

    @property
    def is_exactly_once(self) -> bool:
        """Whether each question has exactly one visible answer or dead letter, and each answer a turn."""
        return not (self.lost or self.double or self.unmatched)


class ReplyAudit:
    """Asks questions, and follows the replies to them from its start on. The key marks its own questions.

    Attributes:
        asked: number of records sent.
        seen: the records read so far, by topic, including replies to other questions.
        key_prefix: the beginning of the keys of its questions.
    """

    def __init__(self, settings: Settings) -> None:
        # With a long timeout, requests to a broker that is down would distort the measured recovery times.
        self.settings = settings.model_copy(update={"kafka": Kafka(request_timeout_s=REQUEST_TIMEOUT_S)})
        self.topics = bootstrap.topics(self.settings)
        self.key_prefix = uuid.uuid4().hex[:8]
        self._starts = {topic: self.topics.end_positions(topic) for topic in (*WATCHED, QUESTION_TOPIC)}
        self._read_to = {topic: dict(self._starts[topic]) for topic in WATCHED}
        self.seen: dict[str, list[Record]] = {topic: [] for topic in WATCHED}
        self.asked = 0
        self._own_ids: set[str] = set()
        self._has_failed_send = False

    def ask(self, count: int, text: str = "안녕? '따옴표'도 괜찮지?") -> None:
        """Ask valid questions, on all partitions and to all bots."""
        self._send([self._question(number, text) for number in range(self.asked, self.asked + count)])

    def send(self, *values: bytes) -> None:
        """Send records with these values, valid or not."""
        self._send([(f"{self.key_prefix}-{self.asked + n}", value) for n, value in enumerate(values)])

    def read_new(self) -> None:
        """Read the records that have become visible; while the broker is down, do nothing."""
        with suppress(Unavailable):
            for topic in WATCHED:
                for partition, end in self.topics.end_positions(topic).items():
                    start = self._read_to[topic][partition]
                    found = list(self.topics.read(topic, partition, start, end))
                    self._read_to[topic][partition] = end
                    self.seen[topic] += found

    @property
    def replied(self) -> int:
        """Number of its questions with a visible reply."""
        return len({record.headers["turn_id"] for record in self._replies()} & self._own_turn_ids())

    @property
    def unanswered(self) -> int:
        """Number of its questions without a visible reply."""
        return max(self.asked, len(self._own_turn_ids())) - self.replied

    def wait_for_replies(self, deadline_s: float = DEADLINE_S, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until every question has a reply."""
        self.wait(lambda: self.unanswered == 0, deadline_s, on_wait)

    def wait(
        self,
        condition: Callable[[], bool],
        deadline_s: float = DEADLINE_S,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Read new records until a condition holds, and call `on_wait` before each pause."""
        deadline = time.monotonic() + deadline_s
        self.read_new()
        while not condition():
            assert time.monotonic() < deadline, f"{self.replied} of {self.asked} questions have a reply"
            on_wait()
            time.sleep(0.1)
            self.read_new()

    def result(self) -> AuditResult:
        """Return the result; call it when no worker runs any more.

        Waits until no transaction is open, because an open one hides answers that may still become visible.
        """
        deadline = time.monotonic() + DEADLINE_S
        while any(self.topics.end_positions(topic) != self.written_ends(topic) for topic in WATCHED):
            assert time.monotonic() < deadline, "a transaction is still open"
            time.sleep(0.1)
        self.read_new()
        own = self._own_turn_ids()
        replies = Counter(record.headers["turn_id"] for record in self._replies())
        answers = self._count_own(*BOT_IDS)
        turns = self._count_own(TURN_TOPIC)
        return AuditResult(
            questions=len(own),
            answers=sum(answers.values()),
            dead_letters=sum(self._count_own(DEAD_LETTER_TOPIC).values()),
            lost=sum(replies[turn] == 0 for turn in own),
            double=sum(max(0, replies[turn] - 1) for turn in own),
            unmatched=sum(((answers - turns) + (turns - answers)).values()),
            aborted=self._written() - sum(len(self.seen[bot]) for bot in BOT_IDS),
        )

    def _question(self, number: int, text: str) -> tuple[str, bytes]:
        question_id = f"{self.key_prefix}-{number}"
        bot = BOT_IDS[number % len(BOT_IDS)]
        return question_id, v1_text(question_id=question_id, bot=bot, sender=f"하늘{number}", text=text).encode()

    def _send(self, values: list[tuple[str, bytes]]) -> None:
        try:
            self.topics.send(Outgoing(topic=QUESTION_TOPIC, key=key.encode(), value=value) for key, value in values)
        except Unavailable:
            self._has_failed_send = True  # the broker may have stored some of them, or may still do so
            raise
        self.asked += len(values)

    def _own_turn_ids(self) -> set[str]:
        """Return the turn ids of its questions; the topic is read again only if questions may have been added."""
        if len(self._own_ids) < self.asked or self._has_failed_send:
            for partition, end in self.topics.end_positions(QUESTION_TOPIC).items():
                start = self._starts[QUESTION_TOPIC][partition]
                for record in self.topics.read(QUESTION_TOPIC, partition, start, end):
                    if (record.key or b"").startswith(self.key_prefix.encode()):
                        self._own_ids.add(turn_id(partition, record.offset))
                self._starts[QUESTION_TOPIC][partition] = end
        return self._own_ids

    def _replies(self) -> list[Record]:
        return [record for topic in (*BOT_IDS, DEAD_LETTER_TOPIC) for record in self.seen[topic]]

    def _count_own(self, *names: str) -> Counter[str]:
        own = self._own_turn_ids()
        found = (record.headers["turn_id"] for topic in names for record in self.seen[topic])
        return Counter(turn for turn in found if turn in own)

    def written_ends(self, topic: str) -> dict[int, int]:
        """Return the end offsets of a topic's partitions for a read_uncommitted reader."""
        return {partition.partition: end for partition, end in self._raw.end_offsets(self._partitions(topic)).items()}

    def _written(self) -> int:
        """Count the answers since its start that a read_uncommitted reader sees."""
        starts = {partition: self._starts[partition.topic][partition.partition] for bot in BOT_IDS
                 for partition in self._partitions(bot)}  # fmt: skip
        ends = self._raw.end_offsets(list(starts))
        self._raw.assign(list(starts))
        for partition, start in starts.items():
            self._raw.seek(partition, start)
        count = 0
        deadline = time.monotonic() + DEADLINE_S
        while any(self._raw.position(partition) < ends[partition] for partition in starts):
            assert time.monotonic() < deadline
            count += sum(map(len, self._raw.poll(timeout_ms=500).values()))
        return count

    @cached_property
    def _raw(self) -> KafkaConsumer:
        return KafkaConsumer(**connection(self.settings), enable_auto_commit=False)

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in self._starts[topic]]
