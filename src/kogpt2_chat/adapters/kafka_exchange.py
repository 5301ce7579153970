"""The worker's side of Kafka: questions in; their answers, turns, dead letters and offsets out, at once.

Follows the exactly-once recipe of the design notes point by point; each rule below was seen to fail without it.
Everything but ``publish`` belongs to the polling thread, and ``publish`` never touches the consumer, which is another
library's: ADR 0009 says why.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, KafkaException
from confluent_kafka import KafkaError as ConsumerError
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import ConsumerGroupMetadata

from kogpt2_chat.adapters.kafka import connection
from kogpt2_chat.adapters.kafka_in_c import generation_of, let_go, new_consumer, to_record
from kogpt2_chat.adapters.kafka_transactions import Transactions, ignore
from kogpt2_chat.domain.topics import QUESTION_TOPIC, WORKER_GROUP
from kogpt2_chat.errors import Ousted, Unavailable
from kogpt2_chat.ports import Batch, Outgoing, Record
from kogpt2_chat.settings import Settings

_MOST_HELD: Final = 200
"""Questions taken from the client without room for them; past it the partitions are paused."""
_LAG_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose the partitions were at a poll.

    Attributes:
        losses: how often partitions were taken from this worker until then.
        member: what the broker fences by. Its generation, -1 outside of a group, is not compared: joins that take
            nothing from this worker raise it too.
    """

    losses: int
    member: Any = field(compare=False)


class KafkaExchange:
    """The port Exchange on a real broker.

    Args:
        settings: where the broker is, and how long a worker waits.
        slot: this worker's number; at no time may two processes have the same one.
        group: the consumer group.
        on_step: told the name of each step of a transaction, before the next one is taken.

    Raises:
        InvalidInput: the client library refuses the settings.
        Unavailable: no broker answers.
    """

    def __init__(
        self, settings: Settings, slot: int, group: str = WORKER_GROUP, on_step: Callable[[str], None] = ignore
    ) -> None:
        self._settings = settings
        # One stable id a slot: a killed worker's open transaction ends as soon as its successor starts.
        self._transactions = Transactions(settings, f"{group}-{slot}", on_step)
        self._slot = slot
        self._instance = f"worker-{slot}"
        self._group = group
        self._timeout_s = settings.kafka.request_timeout_s
        self._is_paused = False
        self._has_joined = False
        self._losses = 0
        self._held: deque[Record] = deque()
        self._starts: dict[int, int] = {}
        self._rejoined_at = float("-inf")
        self._consumer: Any = new_consumer(settings, slot, group)
        try:
            self._consumer.list_topics(QUESTION_TOPIC, timeout=self._timeout_s)
        except KafkaException as error:
            raise Unavailable(f"no Kafka broker answers at {settings.kafka_bootstrap}: {error}") from error

    def recover(self) -> None:
        """A new producer of the same id, and back to the committed positions.

        Raises:
            Unavailable: the broker cannot be reached; try again later.
            Ousted: another process has taken this worker's slot; end.
        """
        self._transactions.drop()
        try:
            self._look_who_has_the_slot()
            # First the producer: it ends whatever transaction its predecessor left, late EndTxn included.
            self._transactions.open()
            # After an abort the position has moved on: without going back a question is lost.
            self._go_back(self._consumer.assignment())
        except (KafkaException, KafkaError, OSError) as error:
            self._transactions.drop()
            raise Unavailable(f"Kafka is not ready: {type(error).__name__}: {error}") from error

    def poll(self, timeout_s: float, max_records: int) -> Batch:
        """Next questions, possibly none. The first poll joins the group.

        Args:
            timeout_s: longest wait for one.
            max_records: most questions; 0 takes none, and the group still hears from this worker.

        Returns:
            Questions, and the claim under which they were given out.

        Raises:
            Unavailable: the broker cannot be reached; poll again later.
            Ousted: another process has taken this worker's slot; end.
        """
        self._join()
        message = self._consumer.poll(0 if self._held and max_records > 0 else timeout_s)
        while message is not None:
            self._take(message)
            if len(self._held) >= max_records:
                break
            message = self._consumer.poll(0)
        self._pause(paused=max_records <= 0 and len(self._held) >= _MOST_HELD)
        records = tuple(self._held.popleft() for _ in range(min(len(self._held), max(max_records, 0))))
        return Batch(records, self._claim())

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
        if not isinstance(claim, Claim) or claim.member.generation_id < 0:
            return False
        return self._transactions.publish(claim.member, positions, outgoing)

    def lag(self) -> dict[int, int]:
        """Questions of each owned partition that have not been polled yet, as far as the last fetches tell."""
        behind: dict[int, int] = {}
        try:
            places = self._consumer.position(self._consumer.assignment())
            for place in self._consumer.committed([place for place in places if self._is_unread(place)], _LAG_S):
                self._starts[place.partition] = place.offset
            for place in places:
                end = self._consumer.get_watermark_offsets(place, cached=True)[1]
                # Unknown offsets are below 0: of a partition that the group has never read, all of it is behind.
                position = max(place.offset, self._starts.get(place.partition, 0), 0)
                if end >= 0:
                    behind[place.partition] = max(0, end - position)
        except KafkaException:  # told by the next poll; a figure for people must not end a worker
            return behind
        return behind

    def close(self) -> None:
        """Give back every connection; an open transaction is aborted by the broker.

        A static member leaves no group: its partitions wait for its heir, or for its session to end.
        """
        self._transactions.drop()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            let_go(consumer)

    def _join(self) -> None:
        """Not before somebody polls: a worker that is still loading would be given partitions that nobody reads."""
        if not self._has_joined:
            self._consumer.subscribe([QUESTION_TOPIC], on_revoke=self._lose, on_lost=self._lose)
            self._has_joined = True

    def _take(self, message: Any) -> None:
        """Hold a question that has come, or raise what came in its place."""
        error = message.error()
        if error is None:
            self._held.append(to_record(message))
        elif error.code() == ConsumerError._FATAL:  # noqa: SLF001 - the library's public name for it
            self._rejoin(error.str())
        elif error.code() != ConsumerError._MAX_POLL_EXCEEDED:  # noqa: SLF001 - the loss of the partitions follows
            raise Unavailable(f"Kafka gave no questions: {error.str()}")

    def _claim(self) -> Claim:
        # Taken later, after the group was left, it has generation -1, and the broker lets that pass.
        generation = generation_of(self._consumer.consumer_group_metadata())
        member_id = self._consumer.memberid() or ""
        return Claim(self._losses, ConsumerGroupMetadata(self._group, generation, member_id, self._instance))

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

    def _look_who_has_the_slot(self) -> None:
        """After a failed transaction: is this process still the member of its name?

        A second process of the same slot fences this one's producer, and the next producer here would fence the
        other's, in turn and without end. The group says so too, but later: with a heartbeat. So the broker is asked
        before anything of the other's is disturbed.

        Raises:
            Ousted: another process has taken this worker's slot; end.
        """
        mine = self._consumer.memberid()
        if not self._transactions.is_in_doubt or not mine:
            return
        with closing(KafkaAdminClient(**connection(self._settings))) as admin:
            members = admin.describe_groups([self._group])[self._group]["members"]
        for member in members:
            if member["group_instance_id"] == self._instance and member["member_id"] != mine:
                self._rejoin(f"the group has another member of that name ({member['client_host']})")
        self._transactions.is_in_doubt = False

    def _rejoin(self, why: str) -> None:
        """Join again after another member joined under this worker's name: another process, or a late copy of a join.

        A join request that times out is sent again. A broker that stood still processes every copy, each as a new
        process, and tells the client that it is fenced (librdkafka 3437). So join again, once. Another process is
        fenced by that, joins again too, and then this one ends: within a few heartbeats, which fit in a session.

        Raises:
            Ousted: another process has this worker's slot; end.
            Unavailable: this worker joins again; poll again.
        """
        now, again_s = time.monotonic(), self._settings.serving.session_timeout_s
        if now - self._rejoined_at < again_s:
            raise Ousted(f"{self._instance} of {self._group}: another process runs with this slot: {why}")
        self._rejoined_at = now
        former, self._consumer = self._consumer, new_consumer(self._settings, self._slot, self._group)
        self._has_joined = self._is_paused = False
        self._losses += 1
        self._held.clear()
        self._starts.clear()
        let_go(former)
        raise Unavailable(f"{self._instance} of {self._group} joins again: {why}")

    def _pause(self, *, paused: bool) -> None:
        if paused:  # each time: some may have been given to this worker since
            self._consumer.pause(self._consumer.assignment())
        elif self._is_paused:
            self._consumer.resume(self._consumer.assignment())
        self._is_paused = paused

    def _go_back(self, places: Sequence[Any]) -> None:
        self._held.clear()
        for place in self._consumer.committed(list(places), self._timeout_s) if places else ():
            if place.error is not None:
                raise KafkaException(place.error)
            if place.offset < 0:
                place.offset = OFFSET_BEGINNING
            self._starts[place.partition] = place.offset
            self._consumer.seek(place)
