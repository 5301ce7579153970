"""The worker's side of Kafka: a batch of questions in; its answers, turns, dead letters and offsets out, at once.

Follows the exactly-once recipe of the design notes point by point; each rule below was seen to fail without it.
One thread owns the exchange.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    FencedInstanceIdError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from kogpt2_chat.adapters.kafka import MAX_FETCH_BYTES, connection, to_headers, to_record
from kogpt2_chat.domain.topics import QUESTION_TOPIC, WORKER_GROUP
from kogpt2_chat.errors import Conflict, InvalidMessage, Unavailable
from kogpt2_chat.ports import Batch, Outgoing
from kogpt2_chat.settings import Settings

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
_TRANSACTION_TIMEOUT_MS: Final = 30_000
_CLOSE_S: Final = 2.0
_WORST_BATCHES: Final = 3


def _ignore(step: str) -> None:
    del step


class KafkaExchange:
    """The port Exchange on a real broker.

    Args:
        settings: where the broker is, and how long a worker waits.
        slot: this worker's number; at no time may two processes have the same one.
        group: the consumer group.
        on_step: told the name of each step of a transaction, before the next one is taken.

    Raises:
        Unavailable: no broker answers.
    """

    def __init__(
        self, settings: Settings, slot: int, group: str = WORKER_GROUP, on_step: Callable[[str], None] = _ignore
    ) -> None:
        self._settings = settings
        # One stable id a slot: a killed worker's open transaction ends as soon as its successor starts.
        self._transactional_id = f"{group}-{slot}"
        self._timeout_ms = int(settings.kafka.request_timeout_s * 1000)
        self._on_step = on_step
        self._producer: Any = None
        try:
            self._consumer = KafkaConsumer(**self._consumer_settings(slot, group))
            self._consumer.subscribe([QUESTION_TOPIC])
        except (KafkaError, OSError) as error:
            raise Unavailable(f"no Kafka broker answers at {settings.kafka_bootstrap}: {error}") from error

    def poll(self, timeout_s: float) -> Batch:
        """Next questions, possibly none.

        Args:
            timeout_s: longest wait for one.

        Returns:
            Questions, and the group's generation as it was when they were given out.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Conflict: another process has taken this worker's slot; end.
        """
        try:
            if self._producer is None:
                self._recover()
            found = self._consumer.poll(timeout_ms=int(timeout_s * 1000))
            # Taken later, after the group was left, it has generation -1, and the broker lets that pass.
            claim = self._consumer.group_metadata()
            if found and claim.generation_id < 0:
                self._rewind()
                return Batch(())
        except FencedInstanceIdError as error:
            raise Conflict(f"{self._transactional_id}: another process runs with this slot: {error}") from error
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka gave no questions: {type(error).__name__}: {error}") from error
        return Batch(tuple(to_record(record) for records in found.values() for record in records), claim=claim)

    def publish(self, batch: Batch, outgoing: Sequence[Outgoing]) -> bool:
        """Make all records and the batch's offsets visible in one transaction.

        Args:
            batch: from :meth:`poll`.
            outgoing: what it leads to.

        Returns:
            False when the batch was dropped; its questions will be polled again, here or elsewhere.

        Raises:
            InvalidMessage: a record is larger than its topic takes (``question_id`` is its turn id); nothing
                was published.
        """
        if not self._is_still_ours(batch):
            self._start_over()
            return False
        try:
            took_s = self._transact(batch, outgoing)
        except _TOO_LARGE as error:
            self._start_over()
            blamed = max(outgoing, key=lambda item: len(item.value or b""))
            raise InvalidMessage("answer_too_large", str(error), blamed.headers.get("turn_id")) from error
        except (KafkaError, OSError):
            # The outcome may be unknown: a commit that timed out can still come true, until the next
            # producer of this transactional id has begun. Never retried; the committed offsets tell.
            return self._start_over() and self._has_committed(batch)
        if took_s > self._settings.serving.slow_commit_s:
            # A silent retry may be on its way, and a late EndTxn would commit the *next* transaction (KIP-890).
            self._start_over()
        return True

    def close(self) -> None:
        """Leave the group and give back every connection; an open transaction is aborted by the broker."""
        self._drop_producer()
        self._consumer.close(autocommit=False, timeout_ms=int(_CLOSE_S * 1000))

    def _transact(self, batch: Batch, outgoing: Sequence[Outgoing]) -> float:
        """The transaction itself, in this order and no other; gives the seconds that the commit took."""
        producer = self._producer
        producer.begin_transaction()
        self._on_step("begun")
        futures = [
            producer.send(item.topic, item.value, key=item.key, headers=to_headers(item.headers)) for item in outgoing
        ]
        producer.flush(timeout=self._settings.kafka.request_timeout_s)
        # An oversized record fails only its own future, and the commit would pass without it.
        for future in futures:
            future.get(timeout=0)
        self._on_step("sent")
        producer.send_offsets_to_transaction(_offsets(batch), batch.claim)
        self._on_step("offsets_sent")
        started = time.monotonic()
        producer.commit_transaction()
        self._on_step("committed")
        return time.monotonic() - started

    def _is_still_ours(self, batch: Batch) -> bool:
        """Whether the group has kept its generation since the poll; answers take a while to think of."""
        claim: Any = batch.claim
        now = self._consumer.group_metadata()
        same = (now.generation_id, now.member_id) == (claim.generation_id, claim.member_id)
        return self._producer is not None and claim.generation_id >= 0 and same

    def _start_over(self) -> bool:
        """A new producer with the same id, and back to the committed offsets; False: poll will try again."""
        self._drop_producer()
        try:
            self._recover()
        except (KafkaError, OSError):
            return False
        return True

    def _recover(self) -> None:
        producer = KafkaProducer(**self._producer_settings())
        try:
            producer.init_transactions()
            # After an abort the position has moved on: without going back a question is lost.
            self._rewind()
        except (KafkaError, OSError):
            producer.close(timeout=0)
            raise
        self._producer = producer

    def _rewind(self) -> None:
        for partition in self._consumer.assignment():
            committed = self._consumer.committed(partition, timeout_ms=self._timeout_ms)
            if committed is None:
                self._consumer.seek_to_beginning(partition)
            else:
                self._consumer.seek(partition, committed)

    def _has_committed(self, batch: Batch) -> bool:
        try:
            return all(
                (self._consumer.committed(partition, timeout_ms=self._timeout_ms) or 0) >= wanted.offset
                for partition, wanted in _offsets(batch).items()
            )
        except (KafkaError, OSError):
            return False

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.close(timeout=0)
        except (KafkaError, OSError):  # it is given up in any case
            return

    def _consumer_settings(self, slot: int, group: str) -> dict[str, Any]:
        serving = self._settings.serving
        session_ms = int(serving.session_timeout_s * 1000)
        return {
            **connection(self._settings),
            "group_id": group,
            "group_instance_id": f"worker-{slot}",
            # Only then does it wait for stable offsets when it asks for the committed ones.
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "partition_assignment_strategy": (CooperativeStickyAssignor,),
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": session_ms // 5,
            "max_poll_interval_ms": int(max(serving.answer_deadline_s * _WORST_BATCHES, 60) * 1000),
            "max_poll_records": serving.max_batch,
            "max_partition_fetch_bytes": MAX_FETCH_BYTES,
            "allow_auto_create_topics": False,
        }

    def _producer_settings(self) -> dict[str, Any]:
        return {
            **connection(self._settings),
            "transactional_id": self._transactional_id,
            "transaction_timeout_ms": _TRANSACTION_TIMEOUT_MS,
            "delivery_timeout_ms": self._timeout_ms,
            "max_block_ms": self._timeout_ms,
            "max_request_size": MAX_FETCH_BYTES,
            "allow_auto_create_topics": False,
        }


def _offsets(batch: Batch) -> dict[Any, Any]:
    """The position after the last question of each partition."""
    last = {record.partition: record.offset for record in batch.records}
    return {
        TopicPartition(QUESTION_TOPIC, partition): OffsetAndMetadata(offset + 1) for partition, offset in last.items()
    }
