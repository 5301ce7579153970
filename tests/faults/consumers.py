"""Exchanges of a test's own group in this process, and one-line workers that answer with them."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition

from kogpt2_chat.adapters.kafka.topics import connection
from kogpt2_chat.adapters.kafka.transactional_consumer import KafkaTransactionalConsumer
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.wire import turn_id
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Batch, Outgoing, Record
from kogpt2_chat.settings import Kafka, Serving, Settings
from tests.faults.broker_process import PROXY, BrokerProcess
from tests.faults.reply_audit import ReplyAudit

DEADLINE_S = 90.0


class Died(BaseException):
    """Stands for kill -9: nothing catches it but the test."""


class Group:
    """A consumer group that begins at the end of the questions, so that no other test's are in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = ReplyAudit(settings)
        self.name = f"guards-{uuid.uuid4().hex[:8]}"
        self.opened: list[KafkaTransactionalConsumer] = []
        self._offsets = KafkaConsumer(**connection(settings), group_id=self.name, enable_auto_commit=False)
        self._partitions = [
            TopicPartition(QUESTION_TOPIC, number) for number in self.ledger.topics.end_positions(QUESTION_TOPIC)
        ]
        self._offsets.assign(self._partitions)
        ends = self._offsets.end_offsets(self._partitions)
        self._offsets.commit({partition: OffsetAndMetadata(end) for partition, end in ends.items()})

    def exchange(
        self, slot: int, on_step: Callable[[str], None] = lambda _: None, settings: Settings | None = None
    ) -> KafkaTransactionalConsumer:
        """A new one, as of a process that has just started."""
        made = KafkaTransactionalConsumer(settings or self.settings, slot, self.name, on_step)
        self.opened.append(made)
        made.recover()
        return made

    def poll(self, exchange: KafkaTransactionalConsumer, count: int) -> Batch:
        """Exactly that many questions, under the assignment of the last poll."""
        records: list[Record] = []
        deadline = time.monotonic() + DEADLINE_S
        while len(records) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} questions were polled"
            batch = exchange.poll(0.2, count - len(records))
            records += batch.records
        return Batch(tuple(records), batch.assignment)

    def drain(self, exchange: KafkaTransactionalConsumer) -> None:
        """Answer whatever comes, until the group's positions are the end of the questions."""
        deadline = time.monotonic() + DEADLINE_S
        while not self.is_done():
            assert time.monotonic() < deadline, "the heir did not reach the end of the questions"
            batch = exchange.poll(0.2, 100)
            if batch.records and not publish(exchange, batch):
                exchange.recover()

    def recover(self, exchange: KafkaTransactionalConsumer) -> None:
        """As a worker does: again, while a rebalance is waiting for somebody."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                exchange.recover()
            except Unavailable:
                assert time.monotonic() < deadline
            else:
                return

    def small_topic(self) -> str:
        """A new topic that takes no large records."""
        name = f"small.{self.name}"
        with closing(KafkaAdminClient(**connection(self.settings))) as admin:
            topic = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "100000"}}
            admin.create_topics({name: topic}, wait_for_metadata=True)
        return name

    def is_done(self) -> bool:
        """Whether the committed positions stand behind the last question."""
        ends = self._offsets.end_offsets(self._partitions)
        return all((self._offsets.committed(partition) or 0) >= end for partition, end in ends.items())

    def close(self) -> None:
        """End what the test has opened."""
        for exchange in self.opened:
            with suppress(Exception):
                exchange.close()
        self._offsets.close()


def through_proxy(kafka: BrokerProcess) -> Settings:
    """Of an exchange that knows the broker by its proxy's address only."""
    proxied = Kafka(bootstrap=kafka.settings.local(PROXY), request_timeout_s=5)
    settings = kafka.settings.model_copy(update={"kafka": proxied, "serving": Serving(session_timeout_s=6)})
    settings.__dict__.pop("kafka_bootstrap", None)  # remembered from before
    return settings


def publish(exchange: KafkaTransactionalConsumer, batch: Batch, *more: Outgoing) -> bool:
    """Answers to a batch, and its positions."""
    outgoing = [*answers_to(batch.records), *more]
    return exchange.publish(batch.assignment, positions_of(batch.records), outgoing).published


def positions_of(records: Sequence[Record]) -> dict[int, int]:
    """After the last question of each partition."""
    positions: dict[int, int] = {}
    for record in records:
        positions[record.partition] = max(positions.get(record.partition, 0), record.offset + 1)
    return positions


def answers_to(records: Sequence[Record], text: str = "네") -> list[Outgoing]:
    """One answer each, told apart by the question's position."""
    return [
        Outgoing(
            topic=BOT_IDS[0],
            key=record.key,
            value=text.encode(),
            headers={"turn_id": turn_id(record.partition, record.offset)},
        )
        for record in records
    ]


def turns_of(records: Sequence[Record]) -> list[Outgoing]:
    """What a worker writes beside each answer, as far as the books look at it."""
    return [
        Outgoing(
            topic=TURN_TOPIC, key=record.key, value=b"{}", headers={"turn_id": turn_id(record.partition, record.offset)}
        )
        for record in records
    ]


class Publishing(threading.Thread):
    """A publication in a thread that stops at a step of its transaction until it is let go."""

    def __init__(self, step: str) -> None:
        super().__init__(daemon=True)
        self._step = step
        self._reached, self._go_on = threading.Event(), threading.Event()
        self._is_dead = False
        self._work: Callable[[], bool] = lambda: False
        self.outcome: bool | None = None

    def on_step(self, step: str) -> None:
        """For the exchange."""
        if step == self._step and threading.current_thread() is self:
            self._reached.set()
            self._go_on.wait(DEADLINE_S)
            if self._is_dead:
                raise Died

    def begin(self, work: Callable[[], bool]) -> None:
        """Publish as far as the step."""
        self._work = work
        self.start()
        assert self._reached.wait(DEADLINE_S), f"{self._step} was not reached"

    def finish(self) -> None:
        """Go on to the end."""
        self._go_on.set()
        self.join(DEADLINE_S)
        assert not self.is_alive()

    def die(self) -> None:
        """Never come back from the step."""
        self._is_dead = True
        self.finish()

    def run(self) -> None:
        """The thread's own."""
        with suppress(Died):
            self.outcome = self._work()
