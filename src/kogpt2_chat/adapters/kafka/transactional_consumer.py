"""The worker's Kafka client: polls questions; publishes answers, turns, dead letters and offsets in one transaction.

``tests/faults/test_guards.py`` removes the guards in this module one by one and shows what breaks without them.
Only the polling thread may call the methods other than ``publish``. ``publish`` uses kafka-python's producer and never
touches librdkafka's consumer (ADR 0009).
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, KafkaException
from confluent_kafka import KafkaError as ConsumerError
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import ConsumerGroupMetadata

from kogpt2_chat.adapters.kafka.librdkafka_consumer import close_quietly, generation_of, new_consumer, to_record
from kogpt2_chat.adapters.kafka.topics import connection
from kogpt2_chat.adapters.kafka.transactions import Transactions, ignore_step
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, WORKER_GROUP
from kogpt2_chat.errors import Fenced, Unavailable
from kogpt2_chat.ports import Assignment, Batch, GroupMember, Outgoing, PublishResult, Record
from kogpt2_chat.settings import Settings

_MAX_BUFFERED: Final = 200
"""Maximum number of questions to buffer while polls request none; then the partitions are paused."""
_LAG_TIMEOUT_S: Final = 0.5


class KafkaTransactionalConsumer:
    """The port TransactionalConsumer on a real broker.

    Args:
        settings: the broker's address and the timeouts.
        ordinal: this worker's ordinal; two processes must never have the same one at the same time.
        group: the consumer group.
        on_step: called with the name of each finished step of a transaction, before the next step begins.
        transactions: the class that runs the transactions; a benchmark replaces it.

    Raises:
        InvalidInput: the client library rejects the settings.
        Unavailable: no broker answers.
    """

    def __init__(
        self,
        settings: Settings,
        ordinal: int,
        group: str = WORKER_GROUP,
        on_step: Callable[[str], None] = ignore_step,
        transactions: type[Transactions] = Transactions,
    ) -> None:
        self._settings = settings
        # One stable id per ordinal: a killed worker's open transaction ends as soon as its successor starts.
        self._transactions = transactions(settings, f"{group}-{ordinal}", on_step)
        self._ordinal = ordinal
        self._instance = f"worker-{ordinal}"
        self._group = group
        self._timeout_s = settings.kafka.request_timeout_s
        self._is_paused = False
        self._has_joined = False
        self._revocations = 0
        self._buffer: deque[Record] = deque()
        self._starts: dict[int, int] = {}
        self._rejoined_at = float("-inf")
        self._consumer: Any = new_consumer(settings, ordinal, group)
        try:
            self._consumer.list_topics(QUESTION_TOPIC, timeout=self._timeout_s)
        except KafkaException as error:
            raise Unavailable(f"no Kafka broker answers at {settings.kafka_bootstrap}: {error}") from error

    def recover(self) -> None:
        """Open a new producer with the same transactional id, and seek to the committed offsets.

        Raises:
            Unavailable: the broker cannot be reached; try again later.
            Fenced: another process has taken this worker's ordinal; end this process.
        """
        self._transactions.drop()
        try:
            self._check_fenced()
            # The producer first: it ends the transaction that its predecessor left open, and fences off a late EndTxn.
            self._transactions.open()
            # An abort does not move the consumer back: without the seek, the aborted questions would be lost.
            self._go_back(self._consumer.assignment())
        except (KafkaException, KafkaError, OSError) as error:
            self._transactions.drop()
            raise Unavailable(f"Kafka is not ready: {type(error).__name__}: {error}") from error

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Return the next questions, possibly none. The first poll joins the group.

        Args:
            timeout_s: maximum time to wait for a question.
            max_records: maximum number of questions; 0 only keeps this worker in the group.

        Returns:
            The questions, and the assignment under which they were polled.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Fenced: another process has taken this worker's ordinal; end this process.
        """
        self._join()
        message = self._consumer.poll(0 if self._buffer and max_records > 0 else timeout_s)
        while message is not None:
            self._handle_message(message)
            if len(self._buffer) >= max_records:
                break
            message = self._consumer.poll(0)
        self._pause(paused=max_records <= 0 and len(self._buffer) >= _MAX_BUFFERED)
        records = tuple(self._buffer.popleft() for _ in range(min(len(self._buffer), max(max_records, 0))))
        return Batch(records, self._assignment())

    def publish(
        self, assignment: Assignment, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Make all records visible and move the group's committed offsets, in one transaction.

        Args:
            assignment: the assignment under which the questions were polled.
            positions: per partition, the offset after the last answered question.
            outgoing: the answers, turns and dead letters of the questions.
        """
        member = assignment.member
        # The generation (-1 outside a group) is not compared with the current one: it also rises if another worker
        # joins and this one loses no partition.
        if member is None or member.generation < 0:
            return PublishResult(published=False)
        metadata = ConsumerGroupMetadata(self._group, member.generation, member.member_id, self._instance)
        return self._transactions.publish(metadata, positions, outgoing)

    def lag(self) -> dict[int, int]:
        """Return the number of unpolled questions of each owned partition, according to the last fetches."""
        behind: dict[int, int] = {}
        try:
            partitions = self._consumer.position(self._consumer.assignment())
            unknown = [partition for partition in partitions if self._has_no_position(partition)]
            for partition in self._consumer.committed(unknown, _LAG_TIMEOUT_S):
                self._starts[partition.partition] = partition.offset
            for partition in partitions:
                end = self._consumer.get_watermark_offsets(partition, cached=True)[1]
                # Unknown offsets are negative. If the group has never read a partition, all of it counts as lag.
                position = max(partition.offset, self._starts.get(partition.partition, 0), 0)
                if end >= 0:
                    behind[partition.partition] = max(0, end - position)
        except KafkaException:  # the next poll reports it; a missing metric must not stop the worker
            return behind
        return behind

    def close(self) -> None:
        """Close every connection; the broker aborts an open transaction.

        A static member does not leave the group: its partitions stay assigned to it until its successor joins or its
        session times out.
        """
        self._transactions.drop()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            close_quietly(consumer)

    def _join(self) -> None:
        """Join the group at the first poll: a worker that is still loading models must not be assigned partitions."""
        if not self._has_joined:
            self._consumer.subscribe([QUESTION_TOPIC], on_revoke=self._on_revoked, on_lost=self._on_revoked)
            self._has_joined = True

    def _handle_message(self, message: Any) -> None:
        """Buffer a polled question, or raise the error that the poll returned instead."""
        error = message.error()
        if error is None:
            self._buffer.append(to_record(message))
        elif error.code() == ConsumerError._FATAL:  # noqa: SLF001 - the library's public name for it
            self._rejoin(error.str())
        elif error.code() != ConsumerError._MAX_POLL_EXCEEDED:  # noqa: SLF001 - a revocation follows
            raise Unavailable(f"Kafka returned no questions: {error.str()}")

    def _assignment(self) -> Assignment:
        # Read it now: metadata read after the worker left the group has generation -1, which the broker accepts.
        generation = generation_of(self._consumer.consumer_group_metadata())
        member = GroupMember(generation=generation, member_id=self._consumer.memberid() or "")
        return Assignment(self._revocations, member)

    def _on_revoked(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """Forget these partitions, which another worker may own now; the client calls this during a poll."""
        del consumer
        gone = {partition.partition for partition in partitions}
        self._revocations += bool(gone)
        self._buffer = deque(record for record in self._buffer if record.partition not in gone)
        for partition in gone:
            self._starts.pop(partition, None)

    def _has_no_position(self, partition: Any) -> bool:
        return partition.offset < 0 and partition.partition not in self._starts

    def _check_fenced(self) -> None:
        """After a failed transaction, ask the broker whether this process is still the group member with its name.

        Two processes with the same ordinal would fence each other's producers forever. A heartbeat would report the
        other process too, but later. Therefore check before opening a producer, which would fence the other's.

        Raises:
            Fenced: another process has taken this worker's ordinal; end this process.
        """
        own_id = self._consumer.memberid()
        if not self._transactions.is_in_doubt or not own_id:
            return
        with closing(KafkaAdminClient(**connection(self._settings))) as admin:
            members = admin.describe_groups([self._group])[self._group]["members"]
        for member in members:
            if member["group_instance_id"] == self._instance and member["member_id"] != own_id:
                self._rejoin(f"the group has another member with this name ({member['client_host']})")
        self._transactions.is_in_doubt = False

    def _rejoin(self, reason: str) -> None:
        """Join again after another member has joined with this worker's name; the second time, end this process.

        The other member may be a late copy of this worker's own join request: the client resends a request that timed
        out, and a broker that was suspended processes every copy as a new process and fences the client (librdkafka
        3437). Joining again solves this. If the other member is another process, joining again fences it. It then joins
        again too, which fences this one a second time, within a few heartbeats and so within a session timeout.

        Raises:
            Fenced: another process has taken this worker's ordinal; end this process.
            Unavailable: this worker is joining again; poll again.
        """
        now = time.monotonic()
        if now - self._rejoined_at < self._settings.serving.session_timeout_s:
            raise Fenced(f"{self._instance} of {self._group}: another process has this worker's ordinal: {reason}")
        self._rejoined_at = now
        former, self._consumer = self._consumer, new_consumer(self._settings, self._ordinal, self._group)
        self._has_joined = self._is_paused = False
        self._revocations += 1
        self._buffer.clear()
        self._starts.clear()
        close_quietly(former)
        raise Unavailable(f"{self._instance} of {self._group} is joining again: {reason}")

    def _pause(self, *, paused: bool) -> None:
        if paused:  # on every call: this worker may have been assigned more partitions since the last one
            self._consumer.pause(self._consumer.assignment())
        elif self._is_paused:
            self._consumer.resume(self._consumer.assignment())
        self._is_paused = paused

    def _go_back(self, partitions: Sequence[Any]) -> None:
        self._buffer.clear()
        for partition in self._consumer.committed(list(partitions), self._timeout_s) if partitions else ():
            if partition.error is not None:
                raise KafkaException(partition.error)
            if partition.offset < 0:
                partition.offset = OFFSET_BEGINNING
            self._starts[partition.partition] = partition.offset
            self._consumer.seek(partition)
