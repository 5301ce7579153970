"""Transactional consumers of a separate group in the test's process, and functions that publish answers with them."""

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
from tests.simulated_kill import SimulatedKill

DEADLINE_S = 90.0


class ConsumerGroup:
    """A consumer group that starts at the end of the topic, so that it gets no questions of other tests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.audit = ReplyAudit(settings)
        self.name = f"guards-{uuid.uuid4().hex[:8]}"
        self.opened: list[KafkaTransactionalConsumer] = []
        self._offsets = KafkaConsumer(**connection(settings), group_id=self.name, enable_auto_commit=False)
        self._partitions = [
            TopicPartition(QUESTION_TOPIC, number) for number in self.audit.topics.end_positions(QUESTION_TOPIC)
        ]
        self._offsets.assign(self._partitions)
        ends = self._offsets.end_offsets(self._partitions)
        self._offsets.commit({partition: OffsetAndMetadata(end) for partition, end in ends.items()})

    def consumer(
        self, ordinal: int, on_step: Callable[[str], None] = lambda _: None, settings: Settings | None = None
    ) -> KafkaTransactionalConsumer:
        """Return a new, recovered consumer, as a process has after its start."""
        made = KafkaTransactionalConsumer(settings or self.settings, ordinal, self.name, on_step)
        self.opened.append(made)
        made.recover()
        return made

    def poll(self, consumer: KafkaTransactionalConsumer, count: int) -> Batch:
        """Poll exactly so many questions, and return them with the assignment of the last poll."""
        records: list[Record] = []
        deadline = time.monotonic() + DEADLINE_S
        while len(records) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} questions were polled"
            batch = consumer.poll(0.2, count - len(records))
            records += batch.records
        return Batch(tuple(records), batch.assignment)

    def drain(self, consumer: KafkaTransactionalConsumer) -> None:
        """Answer questions until the group's committed positions are the end of the topic."""
        deadline = time.monotonic() + DEADLINE_S
        while not self.is_all_committed():
            assert time.monotonic() < deadline, "the consumer did not reach the end of the questions"
            batch = consumer.poll(0.2, 100)
            if batch.records and not publish(consumer, batch):
                consumer.recover()

    def recover(self, consumer: KafkaTransactionalConsumer) -> None:
        """Recover as a worker does: try again while a rebalance waits for another member."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                consumer.recover()
            except Unavailable:
                assert time.monotonic() < deadline
            else:
                return

    def small_topic(self) -> str:
        """Create a topic that refuses large records, and return its name."""
        name = f"small.{self.name}"
        with closing(KafkaAdminClient(**connection(self.settings))) as admin:
            topic = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "100000"}}
            admin.create_topics({name: topic}, wait_for_metadata=True)
        return name

    def is_all_committed(self) -> bool:
        """Return whether the committed positions are behind the last question of every partition."""
        ends = self._offsets.end_offsets(self._partitions)
        return all((self._offsets.committed(partition) or 0) >= end for partition, end in ends.items())

    def close(self) -> None:
        """Close everything that the test has opened."""
        for consumer in self.opened:
            with suppress(Exception):
                consumer.close()
        self._offsets.close()


def through_proxy(kafka: BrokerProcess) -> Settings:
    """Return the settings of a consumer that connects to the broker only through its proxy."""
    proxied = Kafka(bootstrap=kafka.settings.local(PROXY), request_timeout_s=5)
    settings = kafka.settings.model_copy(update={"kafka": proxied, "serving": Serving(session_timeout_s=6)})
    settings.__dict__.pop("kafka_bootstrap", None)  # the cached property of the original settings
    return settings


def publish(consumer: KafkaTransactionalConsumer, batch: Batch, *more: Outgoing) -> bool:
    """Publish answers to a batch with its positions, and return whether that succeeded."""
    outgoing = [*answers_to(batch.records), *more]
    return consumer.publish(batch.assignment, positions_of(batch.records), outgoing).published


def positions_of(records: Sequence[Record]) -> dict[int, int]:
    """Return the position after the last question of each partition."""
    positions: dict[int, int] = {}
    for record in records:
        positions[record.partition] = max(positions.get(record.partition, 0), record.offset + 1)
    return positions


def answers_to(records: Sequence[Record], text: str = "네") -> list[Outgoing]:
    """Return one answer to each question, with the question's turn id."""
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
    """Return the turn of each answer, with only the header that the audit reads."""
    return [
        Outgoing(
            topic=TURN_TOPIC, key=record.key, value=b"{}", headers={"turn_id": turn_id(record.partition, record.offset)}
        )
        for record in records
    ]


class Publishing(threading.Thread):
    """A thread that publishes, and pauses at one step of its transaction until the test continues it."""

    def __init__(self, step: str) -> None:
        super().__init__(daemon=True)
        self._step = step
        self._reached, self._may_continue = threading.Event(), threading.Event()
        self._is_dead = False
        self._work: Callable[[], bool] = lambda: False
        self.outcome: bool | None = None

    def on_step(self, step: str) -> None:
        """Pause at the step; pass this method to the consumer."""
        if step == self._step and threading.current_thread() is self:
            self._reached.set()
            self._may_continue.wait(DEADLINE_S)
            if self._is_dead:
                raise SimulatedKill

    def begin(self, work: Callable[[], bool]) -> None:
        """Publish up to the step."""
        self._work = work
        self.start()
        assert self._reached.wait(DEADLINE_S), f"{self._step} was not reached"

    def finish(self) -> None:
        """Continue, and wait for the end of the thread."""
        self._may_continue.set()
        self.join(DEADLINE_S)
        assert not self.is_alive()

    def die(self) -> None:
        """Raise `SimulatedKill` at the step, and wait for the end of the thread."""
        self._is_dead = True
        self.finish()

    def run(self) -> None:
        """Do the work; called by the thread."""
        with suppress(SimulatedKill):
            self.outcome = self._work()
