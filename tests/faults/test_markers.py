"""Missing markers of completed transactions (KAFKA-20734): a worker writes them when it opens its next producer."""

import itertools
import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.structs import ConsumerGroupMetadata

from kogpt2_chat.adapters.kafka import markers, transactions
from kogpt2_chat.adapters.kafka.topics import connection
from kogpt2_chat.adapters.kafka.transactions import Transactions
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from tests.faults.broker_process import BrokerProcess
from tests.faults.consumers import DEADLINE_S

PARTITION = TopicPartition(BOT_IDS[0], 0)


@pytest.fixture
def producer(kafka: BrokerProcess) -> Iterator[KafkaProducer]:
    """A producer in its first transaction, with a new id whose hash in Java is negative."""
    ids = (f"markers-{uuid.uuid4().hex[:8]}" for _ in itertools.count())
    transactional_id = next(id_ for id_ in ids if markers._java_hash(id_) < 0)
    producer = KafkaProducer(**connection(kafka.settings), transactional_id=transactional_id)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(PARTITION.topic, b"x", partition=PARTITION.partition).get(timeout=DEADLINE_S)
    yield producer
    producer.close(timeout=0)


def stable_end(kafka: BrokerProcess) -> int:
    """Return the end offset for a read_committed reader."""
    with closing(KafkaConsumer(**connection(kafka.settings), isolation_level="read_committed")) as consumer:
        return consumer.end_offsets([PARTITION])[PARTITION]


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "abort"])
def test_a_marker_ends_an_open_transaction(kafka: BrokerProcess, producer: KafkaProducer, commits: bool) -> None:
    """Like the coordinator's own marker: readers continue, and see the record only if it was committed."""
    transactional_id = producer.config["transactional_id"]
    before = stable_end(kafka)
    with closing(markers._Markers(**connection(kafka.settings))) as admin:
        (open_partition,) = markers._left_open(admin, transactional_id)
        assert open_partition.topic_partition == PARTITION
        admin.is_commit = commits
        admin.abort_transaction(open_partition)
        deadline = time.monotonic() + DEADLINE_S
        while markers._left_open(admin, transactional_id):
            assert time.monotonic() < deadline
    assert stable_end(kafka) == before + 2
    settings = {"isolation_level": "read_committed", "enable_auto_commit": False, "consumer_timeout_ms": 2000}
    with closing(KafkaConsumer(**connection(kafka.settings), **settings)) as consumer:
        consumer.assign([PARTITION])
        consumer.seek(PARTITION, before)
        assert len(list(consumer)) == commits


def test_markers_also_commit_the_positions(kafka: BrokerProcess, producer: KafkaProducer) -> None:
    """The group's positions are part of the transaction; without them its questions would be answered again."""
    group = f"markers-{uuid.uuid4().hex[:8]}"
    position = {TopicPartition(QUESTION_TOPIC, 0): OffsetAndMetadata(5)}
    producer.send_offsets_to_transaction(position, ConsumerGroupMetadata(group, -1, "", None))
    with closing(markers._Markers(**connection(kafka.settings))) as admin:
        found = markers._left_open(admin, producer.config["transactional_id"])
        assert {spec.topic_partition.topic for spec in found} == {PARTITION.topic, "__consumer_offsets"}
        admin.is_commit = True
        for spec in found:
            admin.abort_transaction(spec)
    with closing(KafkaConsumer(**connection(kafka.settings), group_id=group, enable_auto_commit=False)) as consumer:
        assert consumer.committed(TopicPartition(QUESTION_TOPIC, 0)) == 5


def test_the_coordinators_log_shows_the_outcome_for_each_partition(
    kafka: BrokerProcess, producer: KafkaProducer
) -> None:
    """The last transaction that wrote to a partition counts: a later abort in another partition does not change it."""
    transactional_id = producer.config["transactional_id"]
    other = TopicPartition(PARTITION.topic, PARTITION.partition + 1)
    assert markers._ends(kafka.settings, transactional_id) == {}
    producer.commit_transaction()
    assert markers._ends(kafka.settings, transactional_id) == {PARTITION: True}
    producer.begin_transaction()
    producer.send(other.topic, b"y", partition=other.partition).get(timeout=DEADLINE_S)
    producer.abort_transaction()
    assert markers._ends(kafka.settings, transactional_id) == {PARTITION: True, other: False}


def test_all_partitions_of_a_record_are_read() -> None:
    """The record is from Kafka 4.4: two partitions of `conversation_log`, one with positions, one of a bot's topic."""
    record = bytes.fromhex(
        "00010000000000000002000100007530020411636f6e766572736174696f6e5f6c6f6703000000040000000000135f5f636f6e73756d65"
        "725f6f6666736574730200000002000943686174626f7441020000000100000001a21b550e6c000001a21b550d62010008000000000000"
        "0002"
    )
    assert markers._prepared(record) == {
        TopicPartition("conversation_log", 4): True,
        TopicPartition("conversation_log", 0): True,
        TopicPartition("__consumer_offsets", 2): True,
        TopicPartition("ChatbotA", 1): True,
    }


@pytest.mark.parametrize(("transactional_id", "number"), [("kogpt2-worker-1", 4), ("kogpt2-worker-2", 5)])
def test_an_id_belongs_to_the_partition_that_its_coordinator_uses(transactional_id: str, number: int) -> None:
    """The expected numbers are from the log of a broker with ten partitions."""
    assert markers._partition_of(transactional_id, 10).partition == number


def test_a_transaction_without_a_known_end_is_left_open(kafka: BrokerProcess, producer: KafkaProducer) -> None:
    """A running transaction has no outcome in the log; it is not aborted, and can still be committed."""
    assert markers.end_open_transactions(kafka.settings, producer.config["transactional_id"]) == []
    before = stable_end(kafka)
    producer.commit_transaction()
    assert stable_end(kafka) == before + 2


def test_nothing_is_open_after_an_ordinary_transaction(kafka: BrokerProcess, producer: KafkaProducer) -> None:
    """The next producer has no markers to write."""
    producer.commit_transaction()
    assert markers.end_open_transactions(kafka.settings, producer.config["transactional_id"]) == []


def test_markers_are_checked_at_the_start_and_after_an_unknown_outcome(kafka: BrokerProcess, monkeypatch) -> None:
    """Not for every new producer: the check costs requests, and after a known outcome no transaction is open."""
    checked = []
    monkeypatch.setattr(transactions, "end_open_transactions", lambda _, id_: checked.append(id_))
    producer = Transactions(kafka.settings, f"markers-{uuid.uuid4().hex[:8]}")
    for is_in_doubt in (False, False, True):
        if is_in_doubt:
            monkeypatch.setattr(producer.producer, "begin_transaction", _fails)
            assert not producer.publish(None, {}, []).published
        producer.drop()
        producer.open()
    producer.drop()
    assert len(checked) == 2


def _fails() -> None:
    raise OSError("no response")
