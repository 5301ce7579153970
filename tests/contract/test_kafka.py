"""What Topics and Exchange promise, on the double and on a real broker."""

import itertools
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest

from kogpt2_chat.domain.topics import QUESTION_TOPIC, TOPICS
from kogpt2_chat.errors import InvalidMessage, NotFound, Ousted, Unavailable
from kogpt2_chat.ports import Batch, Exchange, Outgoing, Record, Topics
from kogpt2_chat.testing.kafka import Broker, MemoryExchange, MemoryTopics

DEADLINE_S = 30


class MemoryWorld:
    """A broker in memory."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.topics: Topics = MemoryTopics(self.broker)
        self.topics.ensure()
        self.plain, self.compacted = "plain", "compacted"
        self.broker.create(self.plain, 2)
        self.broker.create(self.compacted, 1)

    def exchange(self) -> Exchange:
        return MemoryExchange(self.broker)

    def lose_partitions(self, exchange: Exchange) -> None:
        self.broker.rebalance()

    def make_anew(self, topic: str) -> None:
        self.broker.create(topic, 2)

    def close(self) -> None:
        """Nothing is open."""


class KafkaWorld:
    """The stack's broker; topics and group are this test's own, questions are such that no worker answers them."""

    def __init__(self, settings) -> None:
        from kafka import KafkaAdminClient

        from kogpt2_chat.adapters.kafka import KafkaTopics, connection

        mark = uuid.uuid4().hex[:8]
        self.settings, self.group = settings, f"contract-{mark}"
        self.topics: Topics = KafkaTopics(settings)
        self.plain, self.compacted = f"contract.plain.{mark}", f"contract.compacted.{mark}"
        self.admin = KafkaAdminClient(**connection(settings))
        self.topics.ensure()
        self.admin.create_topics(
            {
                self.plain: {"num_partitions": 2, "replication_factor": 1, "configs": {"max.message.bytes": "100000"}},
                self.compacted: {
                    "num_partitions": 1,
                    "replication_factor": 1,
                    "configs": {"cleanup.policy": "compact"},
                },
            },
            wait_for_metadata=True,
        )
        self._begin_at_the_end()
        self.opened: list[Exchange] = []

    def _begin_at_the_end(self) -> None:
        from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

        from kogpt2_chat.adapters.kafka import connection

        consumer = KafkaConsumer(**connection(self.settings), group_id=self.group, enable_auto_commit=False)
        ends = self.topics.end_positions(QUESTION_TOPIC)
        consumer.assign([TopicPartition(QUESTION_TOPIC, number) for number in ends])
        consumer.commit(
            {TopicPartition(QUESTION_TOPIC, number): OffsetAndMetadata(end) for number, end in ends.items()}
        )
        consumer.close()

    def exchange(self, slot: int = 91) -> Exchange:
        from kogpt2_chat.adapters.kafka_exchange import KafkaExchange

        self.opened.append(KafkaExchange(self.settings, slot, group=self.group))
        return self.opened[-1]

    def lose_partitions(self, exchange: Exchange) -> None:
        """A second worker joins, and the first one hears of it only at its next poll."""
        other = self.exchange(slot=92)
        before = exchange.poll(0.1, 0).claim
        deadline = time.monotonic() + DEADLINE_S
        while exchange.poll(0.1, 0).claim == before:
            assert time.monotonic() < deadline
            other.poll(0.1, 0)

    def make_anew(self, topic: str) -> None:
        self.admin.delete_topics([topic])
        deadline = time.monotonic() + DEADLINE_S
        while topic in self.admin.list_topics():
            assert time.monotonic() < deadline
        self.admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)

    def close(self) -> None:
        for exchange in self.opened:
            exchange.close()
        self.admin.delete_topics([self.plain, self.compacted])
        self.admin.close()
        self.topics.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
def world(request) -> Iterator[MemoryWorld | KafkaWorld]:
    made = MemoryWorld() if request.param == "memory" else KafkaWorld(request.getfixturevalue("stack_settings"))
    yield made
    made.close()


def everything(topics: Topics, topic: str) -> list[Record]:
    ends = topics.end_positions(topic)
    starts = topics.start_positions(topic)
    return [record for number, end in ends.items() for record in topics.read(topic, number, starts[number], end)]


def committed(topics: Topics, topic: str) -> list[Record]:
    """Something, once it is visible: the broker writes a commit's markers a moment after it has answered."""
    deadline = time.monotonic() + DEADLINE_S
    while not (seen := everything(topics, topic)):
        assert time.monotonic() < deadline, f"nothing was committed to {topic}"
    return seen


def ask(world, *values: str) -> None:
    world.topics.send([Outgoing(topic=QUESTION_TOPIC, key=b"k", value=value.encode()) for value in values])


def poll(exchange: Exchange) -> Batch:
    """The first batch with questions; all of this test's questions stand in one partition."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        batch = exchange.poll(0.2, 32)
        if batch.records:
            return batch
        assert time.monotonic() < deadline, "no questions came"


def publish(world, exchange: Exchange, batch: Batch, *more: Outgoing) -> bool:
    positions = {record.partition: record.offset + 1 for record in batch.records}
    return exchange.publish(batch.claim, positions, [*answers_to(world, batch), *more])


def answers_to(world, batch: Batch, text: str = "답") -> list[Outgoing]:
    headers = {"turn_id": "t"}
    return [
        Outgoing(topic=world.plain, key=record.value, value=text.encode(), headers=headers) for record in batch.records
    ]


def test_a_topic_made_anew_has_another_id(world) -> None:
    """The same each time it is asked, another one after the topic was deleted and made again."""
    first = world.topics.topic_id(world.plain)
    assert first
    assert world.topics.topic_id(world.plain) == first
    assert world.topics.topic_id(world.compacted) != first
    world.make_anew(world.plain)
    assert world.topics.topic_id(world.plain) != first
    with pytest.raises(NotFound):
        world.topics.topic_id("no.such.topic")


def test_the_contract_s_topics_are_created_once(world):
    """Creating them again is harmless and says that there was nothing to do."""
    assert world.topics.ensure() == []
    for topic in TOPICS:
        assert len(world.topics.end_positions(topic.name)) == topic.partitions


def test_records_are_read_back_by_position(world):
    """Key, value and headers as sent, Korean and null included; the end is not read."""
    sent = [
        Outgoing(topic=world.plain, key="하늘".encode(), value=f"말 {n}".encode(), headers={"이유": "시험"})
        for n in range(5)
    ]
    world.topics.send([*sent, Outgoing(topic=world.plain, key="하늘".encode(), value=None)])
    records = everything(world.topics, world.plain)
    assert [record.value for record in records] == [*(item.value for item in sent), None]
    assert {record.key for record in records} == {"하늘".encode()}
    assert records[0].headers == {"이유": "시험"}
    partition, first = records[0].partition, records[0].offset
    some = list(world.topics.read(world.plain, partition, first + 1, first + 3))
    assert [record.offset for record in some] == [first + 1, first + 2]
    assert list(world.topics.read(world.plain, partition, first + 2, first + 2)) == []


def test_a_reader_may_stop_in_the_middle(world):
    """And others read on, from the same port."""
    world.topics.send(Outgoing(topic=world.plain, key=b"k", value=str(n).encode()) for n in range(4))
    partition = next(number for number, end in world.topics.end_positions(world.plain).items() if end)
    reading = world.topics.read(world.plain, partition, 0, 4)
    assert next(reading).value == b"0"
    assert [record.value for record in world.topics.read(world.plain, partition, 2, 4)] == [b"2", b"3"]
    assert [record.value for record in reading] == [b"1", b"2", b"3"]


def test_the_last_value_of_each_key_counts(world):
    """A tombstone takes the key away."""
    for key, value in (("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b"1"), ("b", None)):
        world.topics.send([Outgoing(topic=world.compacted, key=key.encode(), value=value)])
    assert world.topics.latest_by_key(world.compacted) == {"a": b"2", "c": b"1"}


def test_an_unknown_topic_is_named(world):
    """No topic is created by asking for it."""
    with pytest.raises(NotFound, match=r"no\.such\.topic"):
        world.topics.end_positions("no.such.topic")


def test_answers_and_offsets_become_visible_together(world):
    """The next worker of the group gets only what was not answered, though the transaction left a hole."""
    first = world.exchange()
    first.recover()
    first.poll(0.2, 32)
    ask(world, "하나")
    batch = poll(first)
    assert [record.value.decode() for record in batch.records] == ["하나"]
    assert everything(world.topics, world.plain) == []
    assert publish(world, first, batch)
    assert [record.headers["turn_id"] for record in committed(world.topics, world.plain)] == ["t"]
    ask(world, "둘")
    batch = poll(first)
    assert publish(world, first, batch)
    first.close()
    ask(world, "셋")
    assert [record.value.decode() for record in poll(world.exchange()).records] == ["셋"]


def test_a_record_that_its_topic_cannot_take_fails_the_whole_batch(world):
    """With the turn's id, so that its dead letter can take its place; the questions come again."""
    exchange = world.exchange()
    exchange.recover()
    exchange.poll(0.2, 32)
    ask(world, "하나")
    batch = poll(exchange)
    if isinstance(world, MemoryWorld):
        big = Outgoing(topic="ChatbotA", key=b"k", value=b"x" * 1_100_000, headers={"turn_id": "too-big"})
    else:
        big = Outgoing(topic=world.plain, key=b"k", value=b"x" * 200_000, headers={"turn_id": "too-big"})
    with pytest.raises(InvalidMessage) as caught:
        publish(world, exchange, batch, big)
    assert (caught.value.reason, caught.value.question_id) == ("answer_too_large", "too-big")
    assert everything(world.topics, world.plain) == []
    exchange.recover()
    again = poll(exchange)
    assert [record.offset for record in again.records] == [record.offset for record in batch.records]
    assert publish(world, exchange, again)
    assert len(committed(world.topics, world.plain)) == 1


def test_only_the_answered_prefix_is_committed(world):
    """Two of three questions are published; after a recovery the third one comes again, and nothing else."""
    exchange = world.exchange()
    exchange.recover()
    exchange.poll(0.2, 32)
    ask(world, "하나", "둘", "셋")
    records: list[Record] = []
    while len(records) < 3:
        batch = poll(exchange)
        records += batch.records
    first_two = Batch(tuple(records[:2]), batch.claim)
    assert publish(world, exchange, first_two)
    exchange.recover()
    assert [record.value.decode() for record in poll(exchange).records] == ["셋"]


def test_a_poll_without_room_takes_nothing_and_loses_nothing(world):
    """The partitions rest; what was fetched already comes with the next poll that has room."""
    exchange = world.exchange()
    exchange.recover()
    exchange.poll(0.2, 32)
    ask(world, "하나", "둘")
    for _ in range(5):
        assert exchange.poll(0.1, 0).records == ()
    seen: list[Record] = []
    while len(seen) < 2:
        batch = exchange.poll(0.2, 1)
        assert len(batch.records) <= 1
        seen += batch.records
    assert [record.value.decode() for record in seen] == ["하나", "둘"]


def test_the_lag_counts_what_was_not_polled(world):
    """Known from the last fetch; a question that is in flight is no longer behind."""
    exchange = world.exchange()
    exchange.recover()
    exchange.poll(0.2, 32)
    ask(world, "하나", "둘", "셋")
    batch = poll(exchange)
    while len(batch.records) < 1:
        batch = poll(exchange)
    assert sum(exchange.lag().values()) <= 3 - len(batch.records)


class RawName(str):
    """A header name that is written as bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_a_header_name_that_is_no_utf8_stops_nobody(world):
    """Header names are from outside too: the question is given out like any other, and the next one as well."""
    exchange = world.exchange()
    exchange.recover()
    exchange.poll(0.2, 32)
    starts = world.topics.end_positions(QUESTION_TOPIC)
    headers = {RawName("x"): "v", "replay_of": ""}
    world.topics.send([Outgoing(topic=QUESTION_TOPIC, key=b"k", value="하나".encode(), headers=headers)])
    ask(world, "둘")
    seen: list[Record] = []
    while len(seen) < 2:
        seen += poll(exchange).records
    assert [record.value.decode() for record in seen] == ["하나", "둘"]
    where, start = seen[0].partition, starts[seen[0].partition]
    assert len(list(world.topics.read(QUESTION_TOPIC, where, start, start + 2))) == 2


def test_a_batch_polled_before_a_rebalance_is_dropped(world):
    """Somebody else may have its partitions now; nothing of it is ever seen."""
    exchange = world.exchange()
    exchange.recover()
    exchange.poll(0.2, 32)
    ask(world, "하나")
    batch = poll(exchange)
    world.lose_partitions(exchange)
    assert not publish(world, exchange, batch)
    assert everything(world.topics, world.plain) == []


@pytest.mark.stack
def test_of_two_processes_with_one_slot_the_first_ends_and_the_second_goes_on(stack_settings):
    """Or they would fence each other's producers without end. Nothing is lost or doubled meanwhile."""
    world = KafkaWorld(stack_settings)
    first = world.exchange()
    first.recover()
    first.poll(0.2, 32)
    ask(world, "하나")
    assert publish(world, first, poll(first))
    second = world.exchange()
    second.recover()
    asked = 1 + ask_until_ousted(world, first, second)
    deadline = time.monotonic() + DEADLINE_S
    while len(seen := everything(world.topics, world.plain)) < asked:
        assert time.monotonic() < deadline, f"{len(seen)} of {asked} answers"
        take_turn(world, second)
    assert sorted(record.key.decode() for record in seen) == sorted(["하나", *(f"둘-{n}" for n in range(1, asked))])
    world.close()


def ask_until_ousted(world, first: Exchange, second: Exchange) -> int:
    """Questions to both, in turn; give how many were asked until the first one noticed."""
    deadline = time.monotonic() + DEADLINE_S
    for asked in itertools.count(1):
        assert time.monotonic() < deadline, "the first one never noticed"
        ask(world, f"둘-{asked}")
        take_turn(world, second)
        try:
            take_turn(world, first)
        except Ousted:
            return asked
    raise AssertionError


def take_turn(world, exchange: Exchange) -> None:
    """What the loop does: poll, publish, recover where that failed; and once more, where nobody answers."""
    with suppress(Unavailable):
        batch = exchange.poll(0.1, 32)
        if batch.records and not publish(world, exchange, batch):
            exchange.recover()


LATE_JOIN = """
import os, signal, sys
from kogpt2_chat.adapters.kafka_in_c import new_consumer
from kogpt2_chat.domain.topics import QUESTION_TOPIC
from kogpt2_chat.settings import load_settings

consumer = new_consumer(load_settings(), 91, sys.argv[1])
consumer.subscribe([QUESTION_TOPIC])
while not consumer.assignment():
    consumer.poll(0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.stack
def test_a_join_of_its_own_that_comes_late_ends_no_worker(stack_settings):
    """A broker that stood still takes each copy of a join as a new process, which then never says a word.

    Here that is a process which joins under the worker's name and is killed: the worker goes on, nothing is lost.
    """
    world = KafkaWorld(stack_settings)
    try:
        worker = world.exchange()
        worker.recover()
        worker.poll(0.2, 32)
        ask(world, "하나")
        assert publish(world, worker, poll(worker))
        environment = {**os.environ, "KOGPT2_PORTS__OFFSET": str(stack_settings.ports.offset)}
        late = subprocess.run([sys.executable, "-c", LATE_JOIN, world.group], env=environment, timeout=60)
        assert late.returncode == -signal.SIGKILL
        ask(world, "둘")
        deadline = time.monotonic() + DEADLINE_S
        while len(seen := everything(world.topics, world.plain)) < 2:
            assert time.monotonic() < deadline, f"{len(seen)} of 2 answers"
            take_turn(world, worker)
        assert len(seen) == 2
    finally:
        world.close()


@pytest.mark.stack
def test_a_new_group_begins_with_the_first_question_that_is_kept(stack_settings):
    """Not with the next one: whatever was asked before the first worker came has to be answered."""
    world = KafkaWorld(stack_settings)
    try:
        ask(world, "먼저 온 질문")
        world.group = f"fresh-{uuid.uuid4().hex[:8]}"
        starts = world.topics.start_positions(QUESTION_TOPIC)
        exchange = world.exchange(slot=93)
        exchange.recover()
        first: dict[int, int] = {}
        for record in poll(exchange).records:
            first.setdefault(record.partition, record.offset)
        assert first == {partition: starts[partition] for partition in first}
    finally:
        world.close()


@pytest.mark.stack
def test_an_heir_of_a_slot_takes_its_partitions_and_no_other_s(stack_settings):
    """Static membership: a worker that is back in time takes nothing from another one, whose flight would be dropped."""
    world = KafkaWorld(stack_settings)
    try:
        victim, other = world.exchange(slot=91), world.exchange(slot=92)
        _settle(victim, other)
        owned, others = places(victim), places(other)
        claim = other.poll(0.1, 32).claim
        heir = world.exchange(slot=91)
        deadline = time.monotonic() + DEADLINE_S
        while places(heir) != owned:
            other.poll(0.1, 32)
            heir.poll(0.1, 32)
            assert time.monotonic() < deadline, "the heir did not get its partitions"
        for _ in range(10):
            assert other.poll(0.1, 32).claim == claim
            heir.poll(0.1, 32)
        assert (places(heir), places(other)) == (owned, others)
    finally:
        world.close()


def places(exchange: Exchange) -> set[int]:
    return {place.partition for place in exchange._consumer.assignment()}


def _settle(*exchanges: Exchange) -> None:
    """Let a group form: each has partitions, and nothing has changed for a while."""
    deadline = time.monotonic() + DEADLINE_S
    seen: list[list[set[int]]] = []
    while len(seen) < 10 or not all(seen[-1]) or any(owned != seen[-1] for owned in seen[-10:]):
        for exchange in exchanges:
            exchange.poll(0.1, 32)
        seen.append([places(exchange) for exchange in exchanges])
        assert time.monotonic() < deadline, f"the group did not settle: {seen[-1]}"


@pytest.mark.stack
@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_compressed_questions_are_read(stack_settings, codec):
    """A client may compress as it likes; a codec that is missing here would hold the partition up for good."""
    from confluent_kafka import Producer

    world = KafkaWorld(stack_settings)
    try:
        exchange = world.exchange()
        exchange.recover()
        exchange.poll(0.2, 32)
        producer = Producer({"bootstrap.servers": stack_settings.kafka_bootstrap, "compression.type": codec})
        text = ("압축된 질문 " * 200).encode()
        producer.produce(QUESTION_TOPIC, text, key=b"k")
        producer.flush(10)
        assert [record.value for record in poll(exchange).records] == [text]
    finally:
        world.close()
