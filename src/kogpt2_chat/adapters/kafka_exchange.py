"""The worker's side of Kafka: questions in; their answers, turns, dead letters and offsets out, at once.

Follows the exactly-once recipe of the design notes point by point; each rule below was seen to fail without it.
Everything but ``publish`` belongs to the polling thread, and ``publish`` never touches the consumer.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kogpt2_chat.adapters.kafka_in_c import (
    admin_settings,
    code_of,
    consumer_settings,
    generation_of,
    let_go,
    producer_settings,
    to_headers,
    to_record,
)
from kogpt2_chat.domain.topics import QUESTION_TOPIC, WORKER_GROUP
from kogpt2_chat.errors import InvalidMessage, Ousted, Unavailable
from kogpt2_chat.ports import Batch, Outgoing, Record
from kogpt2_chat.settings import Settings

_MOST_HELD: Final = 200
"""Questions taken from the client without room for them; past it the partitions are paused."""
_LAG_S: Final = 0.5


def _ignore(step: str) -> None:
    del step


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose the partitions were at a poll.

    Attributes:
        losses: how often partitions were taken from this worker until then.
        generation: of the group, -1 for no member; joins that take nothing from this worker raise it too.
        member: what the broker fences by.
    """

    losses: int
    generation: int = field(compare=False)
    member: bytes = field(compare=False)


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
        self._instance = f"worker-{slot}"
        self._group = group
        self._timeout_s = settings.kafka.request_timeout_s
        self._on_step = on_step
        self._producer: Any = None
        self._is_in_doubt = False
        self._is_paused = False
        self._losses = 0
        self._held: deque[Record] = deque()
        self._starts: dict[int, int] = {}
        self._consumer: Any = Consumer(consumer_settings(settings, slot, group))
        try:
            self._consumer.list_topics(QUESTION_TOPIC, timeout=self._timeout_s)
            self._consumer.subscribe([QUESTION_TOPIC], on_revoke=self._lose, on_lost=self._lose)
        except KafkaException as error:
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
            self._go_back(self._consumer.assignment())
        except KafkaException as error:
            self._drop_producer()
            raise Unavailable(f"Kafka is not ready: {error}") from error

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Next questions, possibly none.

        Args:
            timeout_s: longest wait for one.
            max_records: most questions; 0 takes none, and the group still hears from this worker.

        Returns:
            Questions, and the claim under which they were given out.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Ousted: another process has taken this worker's slot; end.
        """
        message = self._consumer.poll(0 if self._held and max_records > 0 else timeout_s)
        while message is not None:
            self._take(message)
            if len(self._held) >= max_records:
                break
            message = self._consumer.poll(0)
        self._pause(paused=max_records <= 0 and len(self._held) >= _MOST_HELD)
        records = tuple(self._held.popleft() for _ in range(min(len(self._held), max(max_records, 0))))
        # Taken later, after the group was left, it has generation -1, and the broker lets that pass.
        member = self._consumer.consumer_group_metadata()
        return Batch(records, Claim(self._losses, generation_of(member), member))

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
        except KafkaException as error:
            # The outcome may be unknown: a commit that timed out can still come true, until the next
            # producer of this transactional id has begun. Never retried; the committed offsets tell.
            self._drop_producer()
            if code_of(error) == KafkaError.MSG_SIZE_TOO_LARGE:
                blamed = max(outgoing, key=lambda item: len(item.value or b""))
                raise InvalidMessage("answer_too_large", str(error), blamed.headers.get("turn_id")) from error
            self._is_in_doubt = True
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
            places = self._consumer.position(self._consumer.assignment())
            for place in self._consumer.committed([place for place in places if self._is_unread(place)], _LAG_S):
                self._starts[place.partition] = place.offset
            for place in places:
                position = place.offset if place.offset >= 0 else self._starts.get(place.partition, -1)
                end = self._consumer.get_watermark_offsets(place, cached=True)[1]
                if end >= 0 and position >= 0:
                    behind[place.partition] = max(0, end - position)
        except KafkaException:  # told by the next poll; a figure for people must not end a worker
            return behind
        return behind

    def close(self) -> None:
        """Give back every connection. A static member stays in its group until an heir comes, or its session ends."""
        self._drop_producer()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            let_go(consumer)

    def _take(self, message: Any) -> None:
        """Hold a question that has come, or raise what came in its place."""
        error = message.error()
        if error is None:
            self._held.append(to_record(message))
        elif error.code() == KafkaError._FATAL:  # noqa: SLF001 - the library's public name for it
            raise Ousted(f"{self._transactional_id}: another process runs with this slot: {error.str()}")
        elif error.code() != KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001 - the loss of the partitions follows
            raise Unavailable(f"Kafka gave no questions: {error.str()}")

    def _lose(self, consumer: Any, places: Sequence[Any]) -> None:
        """Called within a poll: from here on these partitions are another worker's."""
        del consumer
        gone = {place.partition for place in places}
        self._losses += bool(gone)
        self._held = deque(record for record in self._held if record.partition not in gone)
        for partition in gone:
            self._starts.pop(partition, None)

    def _is_unread(self, place: Any) -> bool:
        return place.offset < 0 and place.partition not in self._starts

    def _transact(self, claim: Claim, positions: Mapping[int, int], outgoing: Sequence[Outgoing]) -> float:
        """The transaction itself, in this order and no other; gives the seconds that the commit took."""
        producer = self._producer
        producer.begin_transaction()
        self._on_step("begun")
        self._send(producer, outgoing)
        self._on_step("sent")
        offsets = [TopicPartition(QUESTION_TOPIC, number, end) for number, end in positions.items()]
        producer.send_offsets_to_transaction(offsets, claim.member, self._timeout_s)
        self._on_step("offsets_sent")
        started = time.monotonic()
        producer.commit_transaction(self._timeout_s)
        self._on_step("committed")
        return time.monotonic() - started

    def _send(self, producer: Any, outgoing: Sequence[Outgoing]) -> None:
        """All records, acknowledged or refused: the transaction's next call raises what a record was refused for."""
        for item in outgoing:
            producer.produce(item.topic, item.value, item.key, headers=to_headers(item.headers))
        late = producer.flush(self._timeout_s)
        if late:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{late} records not acknowledged"))  # noqa: SLF001

    def _look_who_has_the_slot(self) -> None:
        """After a failed transaction: is this process still the member of its name?

        A second process of the same slot fences this one's producer, and the next producer here would fence the
        other's, in turn and without end. The group tells this process so as well, but later: with a heartbeat. So the
        broker is asked before anything of the other's is disturbed.

        Raises:
            Ousted: another process has taken this worker's slot; end.
        """
        mine = self._consumer.memberid()
        if not self._is_in_doubt or not mine:
            return
        admin = AdminClient(admin_settings(self._settings))
        found = admin.describe_consumer_groups([self._group], request_timeout=self._timeout_s)[self._group]
        for member in found.result().members:
            if member.group_instance_id == self._instance and member.member_id != mine:
                raise Ousted(f"{self._transactional_id}: another process ({member.host}) runs with this slot")
        self._is_in_doubt = False

    def _pause(self, *, paused: bool) -> None:
        if paused:  # each time: some may have been given to this worker since
            self._consumer.pause(self._consumer.assignment())
        elif self._is_paused:
            self._consumer.resume(self._consumer.assignment())
        self._is_paused = paused

    def _open_producer(self) -> Any:
        producer = Producer(producer_settings(self._settings, self._transactional_id))
        producer.init_transactions(self._timeout_s)
        return producer

    def _go_back(self, places: Sequence[Any]) -> None:
        self._held.clear()
        for place in self._consumer.committed(list(places), self._timeout_s) if places else ():
            if place.error is not None:
                raise KafkaException(place.error)
            if place.offset < 0:
                place.offset = OFFSET_BEGINNING
            self._starts[place.partition] = place.offset
            self._consumer.seek(place)

    def _drop_producer(self) -> None:
        """What it has open is ended by the next one of its name, which the broker lets begin only after that."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
