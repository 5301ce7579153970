"""The worker's side of Kafka: questions in; their answers, turns, dead letters and offsets out, at once.

Follows the exactly-once recipe of the design notes point by point; each rule below was seen to fail without it.
The consumer is not thread safe and the producer is: everything but ``publish`` belongs to the polling thread, and
``publish`` never touches the consumer.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    FencedInstanceIdError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from kogpt2_chat.adapters.kafka import MAX_FETCH_BYTES, connection, to_headers, to_record
from kogpt2_chat.adapters.kafka_headers import accept_any_header_names
from kogpt2_chat.domain.topics import QUESTION_TOPIC, WORKER_GROUP
from kogpt2_chat.errors import InvalidMessage, Ousted, Unavailable
from kogpt2_chat.ports import Batch, Outgoing
from kogpt2_chat.settings import Settings

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
_TRANSACTION_TIMEOUT_MS: Final = 30_000
_CLOSE_S: Final = 2.0
_WORST_BATCHES: Final = 3


def _ignore(step: str) -> None:
    del step


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose the partitions were at a poll.

    Attributes:
        generation: of the group; a rebalance raises it.
        member: what the broker fences by; not compared.
    """

    generation: int
    member_id: str
    member: Any = field(compare=False)


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
        self._group = group
        self._timeout_ms = int(settings.kafka.request_timeout_s * 1000)
        self._on_step = on_step
        self._producer: Any = None
        self._is_in_doubt = False
        accept_any_header_names()
        try:
            self._consumer = KafkaConsumer(**self._consumer_settings(slot, group))
            self._consumer.subscribe([QUESTION_TOPIC])
        except (KafkaError, OSError) as error:
            raise Unavailable(f"no Kafka broker answers at {settings.kafka_bootstrap}: {error}") from error

    def recover(self) -> None:
        """A new producer of the same id, and back to the committed positions.

        Raises:
            Unavailable: the broker cannot be reached; try again later.
            Ousted: another process has taken this worker's slot; end.
        """
        self._drop_producer()
        try:
            self._look_who_has_the_slot()
            # First the producer: it ends whatever transaction its predecessor left, late EndTxn included.
            self._producer = self._open_producer()
            # After an abort the position has moved on: without going back a question is lost.
            for partition in self._consumer.assignment():
                self._go_back(partition)
        except FencedInstanceIdError as error:
            raise Ousted(f"{self._transactional_id}: another process runs with this slot: {error}") from error
        except (KafkaError, OSError) as error:
            self._drop_producer()
            raise Unavailable(f"Kafka is not ready: {type(error).__name__}: {error}") from error

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Next questions, possibly none.

        Args:
            timeout_s: longest wait for one.
            max_records: most questions; 0 pauses the partitions, and the group still hears from this worker.

        Returns:
            Questions, and the group's generation as it was when they were given out.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Ousted: another process has taken this worker's slot; end.
        """
        try:
            self._pause(paused=max_records <= 0)
            found = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=max(max_records, 1))
            # Taken later, after the group was left, it has generation -1, and the broker lets that pass.
            member = self._consumer.group_metadata()
        except FencedInstanceIdError as error:
            raise Ousted(f"{self._transactional_id}: another process runs with this slot: {error}") from error
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka gave no questions: {type(error).__name__}: {error}") from error
        claim = Claim(member.generation_id, member.member_id, member)
        return Batch(tuple(to_record(record) for records in found.values() for record in records), claim)

    def publish(self, claim: object, positions: Mapping[int, int], outgoing: Sequence[Outgoing]) -> bool:
        """Make all records visible and move the group's positions, in one transaction.

        Args:
            claim: of the batches that they come from.
            positions: by partition, the offset after the last answered question.
            outgoing: what the questions lead to.

        Returns:
            False when nothing was published, or nobody knows; recover then.

        Raises:
            InvalidMessage: a record is larger than its topic takes (``question_id`` is its turn id); nothing
                was published; recover.
        """
        if not isinstance(claim, Claim) or claim.generation < 0:
            return False
        try:
            if self._producer is None:
                self._producer = self._open_producer()
            took_s = self._transact(claim, positions, outgoing)
        except _TOO_LARGE as error:
            self._drop_producer()
            blamed = max(outgoing, key=lambda item: len(item.value or b""))
            raise InvalidMessage("answer_too_large", str(error), blamed.headers.get("turn_id")) from error
        except (KafkaError, OSError):
            self._is_in_doubt = True
            # The outcome may be unknown: a commit that timed out can still come true, until the next
            # producer of this transactional id has begun. Never retried; the committed offsets tell.
            self._drop_producer()
            return False
        if took_s > self._settings.serving.slow_commit_s:
            # A silent retry may be on its way, and a late EndTxn would commit the *next* transaction (KIP-890):
            # the next one gets a producer of its own.
            self._drop_producer()
        return True

    def lag(self) -> dict[int, int]:
        """Questions of each owned partition that have not been polled yet, as far as the last fetches tell."""
        behind: dict[int, int] = {}
        try:
            for partition in self._consumer.assignment():
                end, position = self._consumer.highwater(partition), self._consumer.position(partition, timeout_ms=0)
                if end is not None and position is not None:
                    behind[partition.partition] = max(0, end - position)
        except (KafkaError, OSError):  # told by the next poll; a figure for people must not end a worker
            return behind
        return behind

    def close(self) -> None:
        """Leave the group and give back every connection; an open transaction is aborted by the broker."""
        self._drop_producer()
        self._consumer.close(autocommit=False, timeout_ms=int(_CLOSE_S * 1000))

    def _transact(self, claim: "Claim", positions: Mapping[int, int], outgoing: Sequence[Outgoing]) -> float:
        """The transaction itself, in this order and no other; gives the seconds that the commit took."""
        producer = self._producer
        producer.begin_transaction()
        self._on_step("begun")
        self._send(producer, outgoing)
        self._on_step("sent")
        offsets = {TopicPartition(QUESTION_TOPIC, number): OffsetAndMetadata(end) for number, end in positions.items()}
        producer.send_offsets_to_transaction(offsets, claim.member)
        self._on_step("offsets_sent")
        started = time.monotonic()
        producer.commit_transaction()
        self._on_step("committed")
        return time.monotonic() - started

    def _look_who_has_the_slot(self) -> None:
        """After a failed transaction: is this process still the member of its name?

        A second process of the same slot fences this one's producer, and the next producer here would fence the
        other's, in turn and without end. The client (kafka-python 3.0.12) keeps a fenced membership to itself: its
        heartbeats stop, and polls go on. So the broker is asked, before anything of the other's is disturbed.

        Raises:
            Ousted: another process has taken this worker's slot; end.
        """
        mine = self._consumer.group_metadata()
        if not self._is_in_doubt or not mine.member_id:
            return
        with closing(KafkaAdminClient(**connection(self._settings))) as admin:
            members = admin.describe_groups([self._group])[self._group]["members"]
        for member in members:
            if member["group_instance_id"] == mine.group_instance_id and member["member_id"] != mine.member_id:
                raise Ousted(f"{self._transactional_id}: another process ({member['client_host']}) runs with this slot")
        self._is_in_doubt = False

    def _send(self, producer: Any, outgoing: Sequence[Outgoing]) -> None:
        """All records, acknowledged."""
        futures: list[Any] = []
        try:
            for item in outgoing:
                futures.append(  # noqa: PERF401 - those sent before an error are looked at
                    producer.send(item.topic, item.value, key=item.key, headers=to_headers(item.headers))
                )
            producer.flush(timeout=self._settings.kafka.request_timeout_s)
        except KafkaError:
            # A refusal that has come back meanwhile fails every later send in general words; its own future says why.
            for future in futures:
                if future.failed() and isinstance(future.exception, _TOO_LARGE):
                    raise future.exception from None
            raise
        # An oversized record fails only its own future, and the commit would pass without it.
        for future in futures:
            future.get(timeout=0)

    def _pause(self, *, paused: bool) -> None:
        if paused:
            self._consumer.pause(*self._consumer.assignment())
        elif held := self._consumer.paused():
            self._consumer.resume(*held)

    def _open_producer(self) -> Any:
        producer = KafkaProducer(**self._producer_settings())
        try:
            producer.init_transactions()
        except (KafkaError, OSError):
            producer.close(timeout=0)
            raise
        return producer

    def _go_back(self, partition: Any) -> None:
        committed = self._consumer.committed(partition, timeout_ms=self._timeout_ms)
        if committed is None:
            self._consumer.seek_to_beginning(partition)
        else:
            self._consumer.seek(partition, committed)

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
            "max_poll_records": serving.max_in_flight,
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
