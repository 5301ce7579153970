"""Missing markers of completed transactions (KAFKA-20734): the worker that opens the next producer writes them."""

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

WHERE = TopicPartition(BOT_IDS[0], 0)


@pytest.fixture
def producer(kafka: BrokerProcess) -> Iterator[KafkaProducer]:
    """Of an id of its own, in its first transaction; Java's hash of the id is negative."""
    ids = (f"markers-{uuid.uuid4().hex[:8]}" for _ in itertools.count())
    transactional_id = next(id_ for id_ in ids if markers._java_hash(id_) < 0)
    made = KafkaProducer(**connection(kafka.settings), transactional_id=transactional_id)
    made.init_transactions()
    made.begin_transaction()
    made.send(WHERE.topic, b"x", partition=WHERE.partition).get(timeout=DEADLINE_S)
    yield made
    made.close(timeout=0)


def stable_end(kafka: BrokerProcess) -> int:
    """How far readers of committed records may read."""
    with closing(KafkaConsumer(**connection(kafka.settings), isolation_level="read_committed")) as consumer:
        return consumer.end_offsets([WHERE])[WHERE]


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "abort"])
def test_a_marker_ends_what_is_open(kafka: BrokerProcess, producer: KafkaProducer, commits: bool) -> None:
    """As the coordinator's own would: readers go on, and see the answer or do not."""
    transactional_id = producer.config["transactional_id"]
    before = stable_end(kafka)
    with closing(markers._Markers(**connection(kafka.settings))) as admin:
        (open_here,) = markers._left_open(admin, transactional_id)
        assert open_here.topic_partition == WHERE
        admin.is_commit = commits
        admin.abort_transaction(open_here)
        deadline = time.monotonic() + DEADLINE_S
        while markers._left_open(admin, transactional_id):
            assert time.monotonic() < deadline
    assert stable_end(kafka) == before + 2
    settings = {"isolation_level": "read_committed", "enable_auto_commit": False, "consumer_timeout_ms": 2000}
    with closing(KafkaConsumer(**connection(kafka.settings), **settings)) as consumer:
        consumer.assign([WHERE])
        consumer.seek(WHERE, before)
        assert len(list(consumer)) == commits


def test_markers_move_positions_too(kafka: BrokerProcess, producer: KafkaProducer) -> None:
    """The group's positions are part of the transaction: without them its questions would be answered again."""
    group = f"markers-{uuid.uuid4().hex[:8]}"
    position = {TopicPartition(QUESTION_TOPIC, 0): OffsetAndMetadata(5)}
    producer.send_offsets_to_transaction(position, ConsumerGroupMetadata(group, -1, "", None))
    with closing(markers._Markers(**connection(kafka.settings))) as admin:
        found = markers._left_open(admin, producer.config["transactional_id"])
        assert {spec.topic_partition.topic for spec in found} == {WHERE.topic, "__consumer_offsets"}
        admin.is_commit = True
        for spec in found:
            admin.abort_transaction(spec)
    with closing(KafkaConsumer(**connection(kafka.settings), group_id=group, enable_auto_commit=False)) as consumer:
        assert consumer.committed(TopicPartition(QUESTION_TOPIC, 0)) == 5


def test_the_coordinators_log_says_how_each_partition_was_left(kafka: BrokerProcess, producer: KafkaProducer) -> None:
    """By the last transaction that wrote there: an abort elsewhere does not take back what was committed here."""
    transactional_id = producer.config["transactional_id"]
    elsewhere = TopicPartition(WHERE.topic, WHERE.partition + 1)
    assert markers._ends(kafka.settings, transactional_id) == {}
    producer.commit_transaction()
    assert markers._ends(kafka.settings, transactional_id) == {WHERE: True}
    producer.begin_transaction()
    producer.send(elsewhere.topic, b"y", partition=elsewhere.partition).get(timeout=DEADLINE_S)
    producer.abort_transaction()
    assert markers._ends(kafka.settings, transactional_id) == {WHERE: True, elsewhere: False}


def test_a_long_list_of_partitions_is_read_whole() -> None:
    """As Kafka 4.4 wrote it: two of `conversation_log`, one of the positions, one of a bot."""
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
def test_an_id_is_looked_for_where_its_coordinator_keeps_it(transactional_id: str, number: int) -> None:
    """Of ten partitions, as in a broker's own log."""
    assert markers._partition_of(transactional_id, 10).partition == number


def test_a_transaction_without_a_known_end_is_left_open(kafka: BrokerProcess, producer: KafkaProducer) -> None:
    """It still runs, so the log names no end; it is not aborted, and can be committed."""
    assert markers.end_open_transactions(kafka.settings, producer.config["transactional_id"]) == []
    before = stable_end(kafka)
    producer.commit_transaction()
    assert stable_end(kafka) == before + 2


def test_nothing_is_open_after_an_ordinary_transaction(kafka: BrokerProcess, producer: KafkaProducer) -> None:
    """A producer that begins finds nothing to do."""
    producer.commit_transaction()
    assert markers.end_open_transactions(kafka.settings, producer.config["transactional_id"]) == []


def test_markers_are_looked_for_at_the_start_and_after_an_unknown_outcome(kafka: BrokerProcess, monkeypatch) -> None:
    """Not for every new producer: it costs requests, and a known outcome leaves nothing open."""
    looked = []
    monkeypatch.setattr(transactions, "end_open_transactions", lambda _, id_: looked.append(id_))
    producer = Transactions(kafka.settings, f"markers-{uuid.uuid4().hex[:8]}")
    for is_in_doubt in (False, False, True):
        if is_in_doubt:
            monkeypatch.setattr(producer.producer, "begin_transaction", _fails)
            assert not producer.publish(None, {}, []).published
        producer.drop()
        producer.open()
    producer.drop()
    assert len(looked) == 2


def _fails() -> None:
    raise OSError("nobody answers")
