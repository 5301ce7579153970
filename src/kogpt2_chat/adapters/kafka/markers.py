"""Write the markers that are missing after their coordinator has completed a transaction.

Kafka 4.4 treats a partition without a leader as deleted, and completes a transaction without writing its marker there
(KAFKA-20734). This happens when a broker resumes after a suspension, or restarts after a full disk. The transaction
then stays open in that partition: readers see nothing after its first record, and the producer's next commit makes it
visible, even if it was aborted.
"""

import struct
from contextlib import closing
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import AbortTransactionSpec
from kafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnsupportedVersionError,
)

from kogpt2_chat.adapters.kafka.topics import connection
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, TURN_TOPIC
from kogpt2_chat.settings import Settings

_OFFSETS: Final = "__consumer_offsets"
_STATES: Final = "__transaction_state"
_WRITTEN: Final = (*BOT_IDS, TURN_TOPIC, DEAD_LETTER_TOPIC, _OFFSETS)
"""Topics that a worker's transaction may write to."""
_NOT_POSSIBLE: Final = (
    ClusterAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnsupportedVersionError,
)
"""Errors of brokers that do not allow or support this; then no marker is written."""
_KEY: Final = struct.Struct(">hh")
_VALUE: Final = struct.Struct(">hqhib")
_FLEXIBLE: Final = 1
"""Version of the coordinator's records that Kafka 4 writes; others are not read."""
_PREPARE_COMMIT: Final = 2
_PREPARE_ABORT: Final = 3


class _Markers(KafkaAdminClient):
    """An admin client that writes commit and abort markers; the library's own method only writes abort markers."""

    is_commit = False

    def _abort_transaction_request(self, spec: AbortTransactionSpec) -> Any:
        request = KafkaAdminClient._abort_transaction_request(spec)  # noqa: SLF001 - the only place to change the kind
        request.markers[0].transaction_result = self.is_commit
        return request


def end_open_transactions(settings: Settings, transactional_id: str) -> list[TopicPartition]:
    """Write the missing markers of the completed transactions of a transactional id.

    Each partition gets the marker of the last transaction that wrote to it. The id's last transaction may be a
    different one, with a different outcome.

    Call it after a new producer with this id was initialised, and before its first transaction.

    Args:
        settings: the broker's address.
        transactional_id: id of the new producer.

    Returns:
        The partitions that got a marker. A partition whose transaction is not in the coordinator's log gets none: its
        answers stay hidden, but a wrong marker could lose them.

    Raises:
        KafkaError: the broker cannot be reached, or some partition has no leader; try again.
    """
    try:
        with closing(_Markers(**connection(settings))) as admin:
            found = _left_open(admin, transactional_id)
            is_commit_by_partition = _ends(settings, transactional_id) if found else {}
            known = [spec for spec in found if spec.topic_partition in is_commit_by_partition]
            for spec in known:
                admin.is_commit = is_commit_by_partition[spec.topic_partition]
                admin.abort_transaction(spec)
    except _NOT_POSSIBLE:
        return []
    return [spec.topic_partition for spec in known]


def _left_open(admin: KafkaAdminClient, transactional_id: str) -> list[AbortTransactionSpec]:
    """Return one entry per partition in which this id's producer has an open transaction."""
    producer_id = admin.describe_transactions([transactional_id])[transactional_id].producer_id
    topics = {topic["name"]: topic["partitions"] for topic in admin.describe_topics(list(_WRITTEN))}
    partitions = [
        TopicPartition(name, partition["partition_index"]) for name, parts in topics.items() for partition in parts
    ]
    return [
        AbortTransactionSpec(
            topic_partition=partition,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            coordinator_epoch=producer.coordinator_epoch,
        )
        for partition, state in admin.describe_producers(partitions).items()
        for producer in state.active_producers
        if producer.producer_id == producer_id and producer.current_transaction_start_offset >= 0
    ]


def _ends(settings: Settings, transactional_id: str) -> dict[TopicPartition, bool]:
    """Read the outcomes of an id's transactions from the coordinator's log.

    Returns:
        By partition, whether the last transaction that wrote to it was committed.
    """
    is_commit_by_partition: dict[TopicPartition, bool] = {}
    with closing(KafkaConsumer(**connection(settings), enable_auto_commit=False)) as consumer:
        partition = _partition_of(transactional_id, len(consumer.partitions_for_topic(_STATES) or ()))
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        while consumer.position(partition) < end:
            for record in consumer.poll(timeout_ms=500).get(partition, ()):
                _, length = _KEY.unpack_from(record.key)
                name = record.key[_KEY.size : _KEY.size + length].decode()
                if name == transactional_id and record.value is not None:
                    is_commit_by_partition |= _prepared(record.value)
    return is_commit_by_partition


def _prepared(state: bytes) -> dict[TopicPartition, bool]:
    """Return the partitions of a transaction that is ending, and whether it commits; an empty dict in other states."""
    version, _, _, _, status = _VALUE.unpack_from(state)
    if version != _FLEXIBLE or status not in {_PREPARE_COMMIT, _PREPARE_ABORT}:
        return {}
    found, (topics, at) = {}, _count(state, _VALUE.size)
    for _ in range(topics):
        length, at = _count(state, at)
        topic, at = state[at : at + length].decode(), at + length
        partitions, at = _count(state, at)
        for number in struct.unpack_from(f">{partitions}i", state, at):
            found[TopicPartition(topic, number)] = status == _PREPARE_COMMIT
        at += 4 * partitions + 1  # no tagged fields follow a topic
    return found


def _count(state: bytes, at: int) -> tuple[int, int]:
    """Return the length of a compact array or string, and where its content begins.

    The length plus one is stored as a varint.
    """
    value = shift = 0
    while True:
        byte, at = state[at], at + 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value - 1, at
        shift += 7


def _partition_of(transactional_id: str, count: int) -> TopicPartition:
    """Return the partition of the coordinator's log that has an id's transactions."""
    return TopicPartition(_STATES, abs(_java_hash(transactional_id)) % max(count, 1))


def _java_hash(text: str) -> int:
    """Return Java's hash of a string: 32 bits, signed."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value
