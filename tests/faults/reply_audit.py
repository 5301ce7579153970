"""Asks questions, and keeps the books: what each position of `bot_question` led to, as a reader sees it."""

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
PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a scenario ended.

    Attributes:
        lost: questions without an answer or a dead letter.
        double: answers and dead letters too many.
        unmatched: answers without their turn, or turns without their answer.
        aborted: answers that were written and that no reader will ever see.
    """

    questions: int
    answers: int
    dead_letters: int
    lost: int
    double: int
    unmatched: int
    aborted: int

    @property
    def holds(self) -> bool:
        """Exactly one visible answer or dead letter each, and a turn to each answer."""
        return not (self.lost or self.double or self.unmatched)


class ReplyAudit:
    """Everything since its own beginning; its questions are known by their key."""

    def __init__(self, settings: Settings) -> None:
        # Whoever asks a broker that is away should not wait long, or times until its return are measured badly.
        self.settings = settings.model_copy(update={"kafka": Kafka(request_timeout_s=PATIENCE_S)})
        self.topics = bootstrap.topics(self.settings)
        self.mark = uuid.uuid4().hex[:8]
        self.begin = {topic: self.topics.end_positions(topic) for topic in (*WATCHED, QUESTION_TOPIC)}
        self._read_to = {topic: dict(self.begin[topic]) for topic in WATCHED}
        self.seen: dict[str, list[Record]] = {topic: [] for topic in WATCHED}
        self.asked = 0
        self._is_mine: set[str] = set()
        self._is_unsure = False

    def ask(self, count: int, text: str = "안녕? '따옴표'도 괜찮지?") -> None:
        """Good questions on all partitions, to all bots."""
        self._send([self._question(number, text) for number in range(self.asked, self.asked + count)])

    def send(self, *values: bytes) -> None:
        """Records as they are, good or bad."""
        self._send([(f"{self.mark}-{self.asked + n}", value) for n, value in enumerate(values)])

    def look(self) -> None:
        """Read what has become visible; with the broker away, nothing has."""
        with suppress(Unavailable):
            for topic in WATCHED:
                for partition, end in self.topics.end_positions(topic).items():
                    start = self._read_to[topic][partition]
                    found = list(self.topics.read(topic, partition, start, end))
                    self._read_to[topic][partition] = end
                    self.seen[topic] += found

    @property
    def replied(self) -> int:
        """Distinct questions of this ledger that are known to be done with."""
        return len({record.headers["turn_id"] for record in self._replies()} & self._mine())

    @property
    def open(self) -> int:
        """Questions without a visible reply."""
        return max(self.asked, len(self._mine())) - self.replied

    def settle(self, deadline_s: float = DEADLINE_S, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until every question has a reply."""
        self.wait(lambda: self.open == 0, deadline_s, meanwhile)

    def wait(
        self,
        condition: Callable[[], bool],
        deadline_s: float = DEADLINE_S,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Look until a condition holds."""
        deadline = time.monotonic() + deadline_s
        self.look()
        while not condition():
            assert time.monotonic() < deadline, f"{self.replied} of {self.asked} questions have a reply"
            meanwhile()
            time.sleep(0.1)
            self.look()

    def verdict(self) -> Verdict:
        """The books, closed: call it once no worker runs any more.

        Waits until no transaction is open: what it would hide is neither lost nor there.
        """
        deadline = time.monotonic() + DEADLINE_S
        while any(self.topics.end_positions(topic) != self.written_ends(topic) for topic in WATCHED):
            assert time.monotonic() < deadline, "a transaction stays open"
            time.sleep(0.1)
        self.look()
        mine = self._mine()
        replies = Counter(record.headers["turn_id"] for record in self._replies())
        answers = self._of_mine(*BOT_IDS)
        turns = self._of_mine(TURN_TOPIC)
        return Verdict(
            questions=len(mine),
            answers=sum(answers.values()),
            dead_letters=sum(self._of_mine(DEAD_LETTER_TOPIC).values()),
            lost=sum(replies[turn] == 0 for turn in mine),
            double=sum(max(0, replies[turn] - 1) for turn in mine),
            unmatched=sum(((answers - turns) + (turns - answers)).values()),
            aborted=self._written() - sum(answers.values()),
        )

    def _question(self, number: int, text: str) -> tuple[str, bytes]:
        question_id = f"{self.mark}-{number}"
        bot = BOT_IDS[number % len(BOT_IDS)]
        return question_id, v1_text(question_id=question_id, bot=bot, sender=f"하늘{number}", text=text).encode()

    def _send(self, values: list[tuple[str, bytes]]) -> None:
        try:
            self.topics.send(Outgoing(topic=QUESTION_TOPIC, key=key.encode(), value=value) for key, value in values)
        except Unavailable:
            self._is_unsure = True  # some of them may be there, or will be
            raise
        self.asked += len(values)

    def _mine(self) -> set[str]:
        """Turn ids of all that was asked here; read anew only when something was added."""
        if len(self._is_mine) < self.asked or self._is_unsure:
            for partition, end in self.topics.end_positions(QUESTION_TOPIC).items():
                start = self.begin[QUESTION_TOPIC][partition]
                for record in self.topics.read(QUESTION_TOPIC, partition, start, end):
                    if (record.key or b"").startswith(self.mark.encode()):
                        self._is_mine.add(turn_id(partition, record.offset))
                self.begin[QUESTION_TOPIC][partition] = end
        return self._is_mine

    def _replies(self) -> list[Record]:
        return [record for topic in (*BOT_IDS, DEAD_LETTER_TOPIC) for record in self.seen[topic]]

    def _of_mine(self, *names: str) -> Counter[str]:
        mine = self._mine()
        found = (record.headers["turn_id"] for topic in names for record in self.seen[topic])
        return Counter(turn for turn in found if turn in mine)

    def written_ends(self, topic: str) -> dict[int, int]:
        """Ends of a topic's partitions in the read_uncommitted view."""
        return {partition.partition: end for partition, end in self._raw.end_offsets(_partitions(self, topic)).items()}

    def _written(self) -> int:
        """Answers of these questions in the read_uncommitted view."""
        where = {partition: self.begin[partition.topic][partition.partition] for bot in BOT_IDS
                 for partition in _partitions(self, bot)}  # fmt: skip
        ends = self._raw.end_offsets(list(where))
        self._raw.assign(list(where))
        for partition, start in where.items():
            self._raw.seek(partition, start)
        mine, count = self._mine(), 0
        deadline = time.monotonic() + DEADLINE_S
        while any(self._raw.position(partition) < ends[partition] for partition in where):
            assert time.monotonic() < deadline
            for records in self._raw.poll(timeout_ms=500).values():
                count += sum(dict(record.headers)["turn_id"].decode() in mine for record in records)
        return count

    @cached_property
    def _raw(self) -> KafkaConsumer:
        return KafkaConsumer(**connection(self.settings), enable_auto_commit=False)


def _partitions(ledger: ReplyAudit, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in ledger.begin[topic]]
