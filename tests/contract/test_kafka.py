"""Contract of the ports Topics and TransactionalConsumer, on the double and on a real broker."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, TOPICS
from kogpt2_chat.errors import Fenced, NotFound, Unavailable
from kogpt2_chat.ports import Batch, Follower, Outgoing, PublishResult, Record, Topics, TransactionalConsumer
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics, InMemoryTransactionalConsumer
from tests.raw_header_name import RawHeaderName

DEADLINE_S = 30


class InMemoryKafka:
    """The in-memory broker."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.topics: Topics = InMemoryTopics(self.broker)
        self.topics.ensure()
        self.plain, self.compacted = "plain", "compacted"
        self.broker.create(self.plain, 2)
        self.broker.create(self.compacted, 1)

    group = "workers"

    def consumer(self) -> TransactionalConsumer:
        return InMemoryTransactionalConsumer(self.broker)

    def lose_partitions(self, consumer: TransactionalConsumer) -> None:
        self.broker.rebalance()

    def recreate(self, topic: str) -> None:
        self.broker.create(topic, 2)

    def close(self) -> None:
        """Do nothing: no connections are open."""


class RealKafka:
    """The stack's broker, with topics and a group for one test, and questions that no worker can answer."""

    def __init__(self, settings) -> None:
        from kafka import KafkaAdminClient

        from kogpt2_chat.adapters.kafka.topics import KafkaTopics, connection

        suffix = uuid.uuid4().hex[:8]
        self.settings, self.group = settings, f"contract-{suffix}"
        self.topics: Topics = KafkaTopics(settings)
        self.plain, self.compacted = f"contract.plain.{suffix}", f"contract.compacted.{suffix}"
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
        self._commit_end_positions()
        self.opened: list[TransactionalConsumer] = []

    def _commit_end_positions(self) -> None:
        from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

        from kogpt2_chat.adapters.kafka.topics import connection

        consumer = KafkaConsumer(**connection(self.settings), group_id=self.group, enable_auto_commit=False)
        ends = self.topics.end_positions(QUESTION_TOPIC)
        consumer.assign([TopicPartition(QUESTION_TOPIC, number) for number in ends])
        consumer.commit(
            {TopicPartition(QUESTION_TOPIC, number): OffsetAndMetadata(end) for number, end in ends.items()}
        )
        consumer.close()

    def consumer(self, ordinal: int = 91) -> TransactionalConsumer:
        from kogpt2_chat.adapters.kafka.transactional_consumer import KafkaTransactionalConsumer

        self.opened.append(KafkaTransactionalConsumer(self.settings, ordinal, group=self.group))
        return self.opened[-1]

    def lose_partitions(self, consumer: TransactionalConsumer) -> None:
        """Let a second worker join, until it owns partitions; the first one notices it at its next poll.

        In a rebalance that waits for the second worker, the broker answers no other request of the first one.
        """
        other = self.consumer(ordinal=92)
        before = consumer.poll(0.1, 0).assignment
        deadline = time.monotonic() + DEADLINE_S
        while consumer.poll(0.1, 0).assignment == before or not other.lag():
            assert time.monotonic() < deadline
            other.poll(0.1, 0)

    def recreate(self, topic: str) -> None:
        self.admin.delete_topics([topic])
        deadline = time.monotonic() + DEADLINE_S
        while topic in self.admin.list_topics():
            assert time.monotonic() < deadline
        self.admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)

    def close(self) -> None:
        for consumer in self.opened:
            consumer.close()
        self.admin.delete_topics([self.plain, self.compacted])
        self.admin.close()
        self.topics.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
def kafka(request) -> Iterator[InMemoryKafka | RealKafka]:
    made = InMemoryKafka() if request.param == "memory" else RealKafka(request.getfixturevalue("stack_settings"))
    yield made
    made.close()


def all_records(topics: Topics, topic: str) -> list[Record]:
    ends = topics.end_positions(topic)
    starts = topics.start_positions(topic)
    return [record for number, end in ends.items() for record in topics.read(topic, number, starts[number], end)]


def wait_committed(topics: Topics, topic: str) -> list[Record]:
    """Wait until a topic has visible records: the broker writes a commit's markers a moment after it has responded."""
    deadline = time.monotonic() + DEADLINE_S
    while not (seen := all_records(topics, topic)):
        assert time.monotonic() < deadline, f"nothing was committed to {topic}"
    return seen


def ask(kafka, *values: str) -> None:
    kafka.topics.send([Outgoing(topic=QUESTION_TOPIC, key=b"k", value=value.encode()) for value in values])


def poll(consumer: TransactionalConsumer, max_records: int = 32) -> Batch:
    """Return the first batch with questions; all questions of a test are in one partition."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        batch = consumer.poll(0.2, max_records)
        if batch.records:
            return batch
        assert time.monotonic() < deadline, "no questions were polled"


def publish(kafka, consumer: TransactionalConsumer, batch: Batch, *more: Outgoing) -> PublishResult:
    positions = {record.partition: record.offset + 1 for record in batch.records}
    return consumer.publish(batch.assignment, positions, [*answers_to(kafka, batch), *more])


def answers_to(kafka, batch: Batch, text: str = "답") -> list[Outgoing]:
    headers = {"turn_id": "t"}
    return [
        Outgoing(topic=kafka.plain, key=record.value, value=text.encode(), headers=headers) for record in batch.records
    ]


def test_a_recreated_topic_has_a_different_id(kafka) -> None:
    """A topic's id is stable until the topic is deleted and created again."""
    first = kafka.topics.topic_id(kafka.plain)
    assert first
    assert kafka.topics.topic_id(kafka.plain) == first
    assert kafka.topics.topic_id(kafka.compacted) != first
    kafka.recreate(kafka.plain)
    assert kafka.topics.topic_id(kafka.plain) != first
    with pytest.raises(NotFound):
        kafka.topics.topic_id("no.such.topic")


def test_ensure_creates_the_contract_topics_once(kafka):
    """A second call of `ensure` creates nothing."""
    assert kafka.topics.ensure() == []
    for topic in TOPICS:
        assert len(kafka.topics.end_positions(topic.name)) == topic.partitions


def test_records_are_read_by_position(kafka):
    """Key, value and headers are as sent, including Korean text and null; the end is exclusive."""
    sent = [
        Outgoing(topic=kafka.plain, key="하늘".encode(), value=f"말 {n}".encode(), headers={"이유": "시험"})
        for n in range(5)
    ]
    kafka.topics.send([*sent, Outgoing(topic=kafka.plain, key="하늘".encode(), value=None)])
    records = all_records(kafka.topics, kafka.plain)
    assert [record.value for record in records] == [*(item.value for item in sent), None]
    assert {record.key for record in records} == {"하늘".encode()}
    assert records[0].headers == {"이유": "시험"}
    partition, first = records[0].partition, records[0].offset
    some = list(kafka.topics.read(kafka.plain, partition, first + 1, first + 3))
    assert [record.offset for record in some] == [first + 1, first + 2]
    assert list(kafka.topics.read(kafka.plain, partition, first + 2, first + 2)) == []


def test_reads_can_be_interleaved(kafka):
    """A reader may pause while another one reads through the same port."""
    kafka.topics.send(Outgoing(topic=kafka.plain, key=b"k", value=str(n).encode()) for n in range(4))
    partition = next(number for number, end in kafka.topics.end_positions(kafka.plain).items() if end)
    reading = kafka.topics.read(kafka.plain, partition, 0, 4)
    assert next(reading).value == b"0"
    assert [record.value for record in kafka.topics.read(kafka.plain, partition, 2, 4)] == [b"2", b"3"]
    assert [record.value for record in reading] == [b"1", b"2", b"3"]


def followed(follower: Follower, count: int) -> list[Record]:
    """Poll until so many records have been returned, and once more, so that a surplus record would be returned too."""
    deadline = time.monotonic() + DEADLINE_S
    seen: list[Record] = []
    while len(seen) < count:
        seen += follower.poll(0.5)
        assert time.monotonic() < deadline, f"{len(seen)} of {count} records"
    return [*seen, *follower.poll(0.1)]


def test_a_follower_returns_what_is_sent_after_it_was_opened(kafka):
    """Of several topics, each record once and in order; earlier records are not returned."""
    kafka.topics.send([Outgoing(topic=kafka.plain, key=b"k", value="옛말".encode())])
    with closing(kafka.topics.follow([kafka.plain, kafka.compacted])) as follower:
        assert list(follower.poll(0.1)) == []
        sent = [
            Outgoing(topic=topic, key=b"k", value=f"말 {n}".encode(), headers={"이유": "시험"})
            for n in range(3)
            for topic in (kafka.plain, kafka.compacted)
        ]
        kafka.topics.send(sent)
        seen = followed(follower, 6)
    for topic in (kafka.plain, kafka.compacted):
        of_topic = [record for record in seen if record.topic == topic]
        assert [record.value.decode() for record in of_topic] == ["말 0", "말 1", "말 2"]
        assert [record.offset for record in of_topic] == sorted({record.offset for record in of_topic})
    assert seen[0].headers == {"이유": "시험"}


def test_a_follower_may_start_at_the_first_record(kafka):
    """With `from_end=False` it returns the retained records first; two followers each get all."""
    kafka.topics.send(Outgoing(topic=kafka.plain, key=str(n).encode(), value=str(n).encode()) for n in range(5))
    with (
        closing(kafka.topics.follow([kafka.plain], from_end=False)) as first,
        closing(kafka.topics.follow([kafka.plain], from_end=False)) as second,
    ):
        assert sorted(record.value for record in followed(first, 5)) == [b"0", b"1", b"2", b"3", b"4"]
        kafka.topics.send([Outgoing(topic=kafka.plain, key=b"k", value=b"5")])
        assert [record.value for record in followed(first, 1)] == [b"5"]
        assert sorted(record.value for record in followed(second, 6)) == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_a_follower_may_start_at_stored_positions(kafka):
    """A partition without one starts as usual; a position beyond the end or before the first record is replaced."""
    kafka.topics.send(Outgoing(topic=kafka.plain, key=b"k", value=str(number).encode()) for number in range(5))
    (partition,) = (number for number, end in kafka.topics.end_positions(kafka.plain).items() if end)
    for position, expected in ((3, 2), (5, 0), (99, 5), (0, 5)):
        positions = {(kafka.plain, partition): position, ("other", 0): 7}
        with closing(kafka.topics.follow([kafka.plain], positions=positions)) as follower:
            assert [record.value for record in followed(follower, expected)] == [b"0", b"1", b"2", b"3", b"4"][
                5 - expected :
            ]
    other = {(kafka.plain, partition + 1): 0}
    with closing(kafka.topics.follow([kafka.plain], from_end=False, positions=other)) as follower:
        assert len(followed(follower, 5)) == 5


def test_a_follower_knows_whether_records_are_left(kafka):
    """Asking does not move it. After the last record it is not behind, also where a transaction ends in a marker."""
    kafka.topics.send(Outgoing(topic=kafka.plain, key=str(n).encode(), value=str(n).encode()) for n in range(5))
    with closing(kafka.topics.follow([kafka.plain], from_end=False)) as follower:
        assert follower.behind() >= 5
        assert len(followed(follower, 5)) == 5
        assert follower.behind() == 0
        kafka.topics.send([Outgoing(topic=kafka.plain, key=b"k", value=b"5")])
        assert follower.behind() == 1
        assert [record.value for record in followed(follower, 1)] == [b"5"]
        consumer = kafka.consumer()
        consumer.recover()
        ask(kafka, "하나")
        assert publish(kafka, consumer, poll(consumer)).published
        assert len(followed(follower, 1)) == 1
        deadline = time.monotonic() + DEADLINE_S
        while follower.behind():
            assert time.monotonic() < deadline
            assert list(follower.poll(0.1)) == []
    with closing(kafka.topics.follow([kafka.plain])) as at_the_end:
        assert at_the_end.behind() == 0


def test_a_follower_waits_for_a_record(kafka):
    """A record that is sent while a poll waits ends the wait."""
    with closing(kafka.topics.follow([kafka.plain])) as follower:
        later = threading.Timer(0.2, lambda: kafka.topics.send([Outgoing(topic=kafka.plain, key=b"k", value=b"1")]))
        later.start()
        seen = follower.poll(DEADLINE_S)
        later.join()
    assert [record.value for record in seen] == [b"1"]


def test_a_follower_returns_only_committed_records(kafka):
    """Answers of an aborted transaction are not returned; what is sent afterwards is, once."""
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    with closing(kafka.topics.follow([kafka.plain])) as follower:
        ask(kafka, "하나")
        batch = poll(consumer)
        kafka.lose_partitions(consumer)
        assert not publish(kafka, consumer, batch).published
        consumer.recover()  # ends the open transaction, which hides the records after it
        kafka.topics.send([Outgoing(topic=kafka.plain, key=record.value, value=b"then") for record in batch.records])
        assert [record.value for record in followed(follower, 1)] == [b"then"]


def test_a_follower_of_an_unknown_topic_is_refused(kafka):
    """The error names the topic, even if other topics exist."""
    with pytest.raises(NotFound, match=r"no\.such\.topic"):
        kafka.topics.follow([kafka.plain, "no.such.topic"])


def test_latest_by_key_returns_the_last_value_of_each_key(kafka):
    """A tombstone removes the key."""
    for key, value in (("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b"1"), ("b", None)):
        kafka.topics.send([Outgoing(topic=kafka.compacted, key=key.encode(), value=value)])
    assert kafka.topics.latest_by_key(kafka.compacted) == {"a": b"2", "c": b"1"}


def test_an_unknown_topic_is_not_found(kafka):
    """The error names the topic, and the request does not create it."""
    with pytest.raises(NotFound, match=r"no\.such\.topic"):
        kafka.topics.end_positions("no.such.topic")


def test_answers_and_offsets_become_visible_together(kafka):
    """The group's next worker gets only unanswered questions, although the transaction left a gap in the offsets."""
    first = kafka.consumer()
    first.recover()
    first.poll(0.2, 32)
    ask(kafka, "하나")
    batch = poll(first)
    assert [record.value.decode() for record in batch.records] == ["하나"]
    assert all_records(kafka.topics, kafka.plain) == []
    with closing(kafka.topics.follow([kafka.plain])) as follower:
        assert publish(kafka, first, batch).published
        assert [record.headers["turn_id"] for record in followed(follower, 1)] == ["t"]
    assert [record.headers["turn_id"] for record in wait_committed(kafka.topics, kafka.plain)] == ["t"]
    ask(kafka, "둘")
    batch = poll(first)
    assert publish(kafka, first, batch).published
    first.close()
    ask(kafka, "셋")
    assert [record.value.decode() for record in poll(kafka.consumer()).records] == ["셋"]


def test_a_record_too_large_for_its_topic_fails_the_whole_transaction(kafka):
    """The result names the record, so that a dead letter can replace it; the questions are polled again."""
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    ask(kafka, "하나")
    batch = poll(consumer)
    if isinstance(kafka, InMemoryKafka):
        big = Outgoing(topic="ChatbotA", key=b"k", value=b"x" * 1_100_000, headers={"turn_id": "too-big"})
    else:
        big = Outgoing(topic=kafka.plain, key=b"k", value=b"x" * 200_000, headers={"turn_id": "too-big"})
    assert publish(kafka, consumer, batch, big) == PublishResult(published=False, too_large=big)
    assert all_records(kafka.topics, kafka.plain) == []
    consumer.recover()
    again = poll(consumer)
    assert [record.offset for record in again.records] == [record.offset for record in batch.records]
    assert publish(kafka, consumer, again).published
    assert len(wait_committed(kafka.topics, kafka.plain)) == 1


def test_publish_commits_only_the_given_positions(kafka):
    """Two of three questions are published; after a recovery only the third one is polled again."""
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    ask(kafka, "하나", "둘", "셋")
    records: list[Record] = []
    while len(records) < 3:
        batch = poll(consumer)
        records += batch.records
    first_two = Batch(tuple(records[:2]), batch.assignment)
    assert publish(kafka, consumer, first_two).published
    consumer.recover()
    assert [record.value.decode() for record in poll(consumer).records] == ["셋"]


def test_a_groups_positions_are_those_that_it_has_committed(kafka):
    """Only publishing moves them, and only on the topic that it is about."""
    before = kafka.topics.committed_positions(QUESTION_TOPIC, kafka.group)
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    ask(kafka, "하나", "둘")
    batch = poll(consumer, 1)
    assert kafka.topics.committed_positions(QUESTION_TOPIC, kafka.group) == before
    assert publish(kafka, consumer, batch).published
    (record,) = batch.records
    assert kafka.topics.committed_positions(QUESTION_TOPIC, kafka.group) == {
        **before, record.partition: record.offset + 1,
    }  # fmt: skip
    assert kafka.topics.committed_positions(kafka.plain, kafka.group) == {}


def test_a_poll_for_no_records_loses_nothing(kafka):
    """With `max_records` 0 a poll returns nothing; records that were already fetched come with a later poll."""
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    ask(kafka, "하나", "둘")
    for _ in range(5):
        assert consumer.poll(0.1, 0).records == ()
    seen: list[Record] = []
    while len(seen) < 2:
        batch = consumer.poll(0.2, 1)
        assert len(batch.records) <= 1
        seen += batch.records
    assert [record.value.decode() for record in seen] == ["하나", "둘"]


def test_lag_does_not_count_polled_questions(kafka):
    """Two of three questions are not polled; a broker's last fetch may not have shown all of them yet."""
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    ask(kafka, "하나", "둘", "셋")
    batch = poll(consumer, max_records=1)
    assert len(batch.records) == 1
    lag = sum(consumer.lag().values())
    assert lag == 2 if isinstance(kafka, InMemoryKafka) else lag <= 2


def test_a_header_name_that_is_not_utf8_does_not_block_the_partition(kafka):
    """Clients choose header names: the question is read like any other, and so is the next one."""
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    starts = kafka.topics.end_positions(QUESTION_TOPIC)
    headers = {RawHeaderName("x"): "v", "replay_of": ""}
    kafka.topics.send([Outgoing(topic=QUESTION_TOPIC, key=b"k", value="하나".encode(), headers=headers)])
    ask(kafka, "둘")
    seen: list[Record] = []
    while len(seen) < 2:
        seen += poll(consumer).records
    assert [record.value.decode() for record in seen] == ["하나", "둘"]
    where, start = seen[0].partition, starts[seen[0].partition]
    assert len(list(kafka.topics.read(QUESTION_TOPIC, where, start, start + 2))) == 2


def test_a_batch_polled_before_a_rebalance_cannot_be_published(kafka):
    """Another worker may own its partitions now; none of its answers becomes visible."""
    consumer = kafka.consumer()
    consumer.recover()
    consumer.poll(0.2, 32)
    ask(kafka, "하나")
    batch = poll(consumer)
    kafka.lose_partitions(consumer)
    assert not publish(kafka, consumer, batch).published
    assert all_records(kafka.topics, kafka.plain) == []


@pytest.mark.stack
def test_of_two_processes_with_one_ordinal_the_first_is_fenced(stack_settings):
    """Otherwise they would fence each other's producers forever. No answer is lost or duplicated."""
    kafka = RealKafka(stack_settings)
    first = kafka.consumer()
    first.recover()
    first.poll(0.2, 32)
    ask(kafka, "하나")
    assert publish(kafka, first, poll(first)).published
    second = kafka.consumer()
    second.recover()
    asked = 1 + ask_until_fenced(kafka, first, second)
    deadline = time.monotonic() + DEADLINE_S
    while len(seen := all_records(kafka.topics, kafka.plain)) < asked:
        assert time.monotonic() < deadline, f"{len(seen)} of {asked} answers"
        poll_and_publish(kafka, second)
    assert sorted(record.key.decode() for record in seen) == sorted(["하나", *(f"둘-{n}" for n in range(1, asked))])
    kafka.close()


def ask_until_fenced(kafka, first: TransactionalConsumer, second: TransactionalConsumer) -> int:
    """Let both consumers work alternately until the first is fenced; return how many questions were asked."""
    deadline = time.monotonic() + DEADLINE_S
    for asked in itertools.count(1):
        assert time.monotonic() < deadline, "the first consumer was not fenced"
        ask(kafka, f"둘-{asked}")
        poll_and_publish(kafka, second)
        try:
            poll_and_publish(kafka, first)
        except Fenced:
            return asked
    raise AssertionError


def poll_and_publish(kafka, consumer: TransactionalConsumer) -> None:
    """Do what the worker's loop does: poll, publish, recover if publishing failed; ignore that Kafka is unavailable."""
    with suppress(Unavailable):
        batch = consumer.poll(0.1, 32)
        if batch.records and not publish(kafka, consumer, batch).published:
            consumer.recover()


LATE_JOIN = """
import os, signal, sys
from kogpt2_chat.adapters.kafka.librdkafka_consumer import new_consumer
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.settings import load_settings

consumer = new_consumer(load_settings(), 91, sys.argv[1])
consumer.subscribe([QUESTION_TOPIC])
while not consumer.assignment():
    consumer.poll(0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.stack
def test_a_late_copy_of_its_own_join_does_not_end_a_worker(stack_settings):
    """A broker that was frozen treats each copy of a join request as a new process, which never sends a heartbeat.

    This test starts such a process: it joins under the worker's name and is killed. The worker continues.
    """
    kafka = RealKafka(stack_settings)
    try:
        worker = kafka.consumer()
        worker.recover()
        worker.poll(0.2, 32)
        ask(kafka, "하나")
        assert publish(kafka, worker, poll(worker)).published
        environment = {**os.environ, "KOGPT2_PORTS__OFFSET": str(stack_settings.ports.offset)}
        late = subprocess.run([sys.executable, "-c", LATE_JOIN, kafka.group], env=environment, timeout=60)
        assert late.returncode == -signal.SIGKILL
        ask(kafka, "둘")
        deadline = time.monotonic() + DEADLINE_S
        while len(seen := all_records(kafka.topics, kafka.plain)) < 2:
            assert time.monotonic() < deadline, f"{len(seen)} of 2 answers"
            poll_and_publish(kafka, worker)
        assert len(seen) == 2
    finally:
        kafka.close()


@pytest.mark.stack
def test_a_new_group_starts_at_the_first_retained_question(stack_settings):
    """Questions that were asked before the first worker started are answered too."""
    kafka = RealKafka(stack_settings)
    try:
        ask(kafka, "먼저 온 질문")
        kafka.group = f"fresh-{uuid.uuid4().hex[:8]}"
        starts = kafka.topics.start_positions(QUESTION_TOPIC)
        consumer = kafka.consumer(ordinal=93)
        consumer.recover()
        first: dict[int, int] = {}
        for record in poll(consumer).records:
            first.setdefault(record.partition, record.offset)
        assert first == {partition: starts[partition] for partition in first}
    finally:
        kafka.close()


@pytest.mark.stack
def test_the_successor_of_a_worker_takes_only_its_partitions(stack_settings):
    """Static membership: a worker that restarts in time takes no partitions from others, which keep their questions."""
    kafka = RealKafka(stack_settings)
    try:
        first, other = kafka.consumer(ordinal=91), kafka.consumer(ordinal=92)
        _wait_balanced(first, other)
        owned, others = owned_partitions(first), owned_partitions(other)
        assignment = other.poll(0.1, 32).assignment
        successor = kafka.consumer(ordinal=91)
        deadline = time.monotonic() + DEADLINE_S
        while owned_partitions(successor) != owned:
            other.poll(0.1, 32)
            successor.poll(0.1, 32)
            assert time.monotonic() < deadline, "the successor did not get its partitions"
        for _ in range(10):
            assert other.poll(0.1, 32).assignment == assignment
            successor.poll(0.1, 32)
        assert (owned_partitions(successor), owned_partitions(other)) == (owned, others)
    finally:
        kafka.close()


def owned_partitions(consumer: TransactionalConsumer) -> set[int]:
    return {owned.partition for owned in consumer._consumer.assignment()}


def _wait_balanced(*consumers: TransactionalConsumer) -> None:
    """Poll until each consumer has partitions and the assignment has been stable for 10 rounds."""
    deadline = time.monotonic() + DEADLINE_S
    seen: list[list[set[int]]] = []
    while len(seen) < 10 or not all(seen[-1]) or any(owned != seen[-1] for owned in seen[-10:]):
        for consumer in consumers:
            consumer.poll(0.1, 32)
        seen.append([owned_partitions(consumer) for consumer in consumers])
        assert time.monotonic() < deadline, f"the assignment did not become stable: {seen[-1]}"


@pytest.mark.stack
@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_compressed_questions_are_read(stack_settings, codec):
    """Clients may use any of Kafka's codecs; a codec that is missing here would block the partition."""
    from confluent_kafka import Producer

    kafka = RealKafka(stack_settings)
    try:
        consumer = kafka.consumer()
        consumer.recover()
        consumer.poll(0.2, 32)
        producer = Producer({"bootstrap.servers": stack_settings.kafka_bootstrap, "compression.type": codec})
        text = ("압축된 질문 " * 200).encode()
        producer.produce(QUESTION_TOPIC, text, key=b"k")
        producer.flush(10)
        assert [record.value for record in poll(consumer).records] == [text]
    finally:
        kafka.close()
