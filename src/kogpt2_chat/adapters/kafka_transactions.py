"""The worker's transactions: records and positions become visible together, or not at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.structs import ConsumerGroupMetadata

from kogpt2_chat.adapters.kafka import MAX_FETCH_BYTES, connection, to_headers
from kogpt2_chat.adapters.kafka_markers import end_open_transactions
from kogpt2_chat.adapters.kafka_unanswered import Unanswered
from kogpt2_chat.domain.topics import QUESTION_TOPIC
from kogpt2_chat.errors import InvalidMessage
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
_TRANSACTION_TIMEOUT_MS: Final = 30_000


def ignore(step: str) -> None:
    """Nobody is told."""
    del step


class Transactions:
    """One after another, under one transactional id.

    Attributes:
        producer: the client's own; a new one of the same id takes its place whenever an outcome is unknown.
        is_in_doubt: a transaction has failed, perhaps since somebody else has its id.

    Args:
        settings: where the broker is, and how long a worker waits.
        transactional_id: of this worker's slot, and of no other's.
        on_step: told the name of each step, before the next one is taken.
    """

    def __init__(self, settings: Settings, transactional_id: str, on_step: Callable[[str], None] = ignore) -> None:
        self.producer: Any = None
        self.is_in_doubt = False
        self.transactional_id = transactional_id
        self._settings = settings
        self._on_step = on_step
        self._unanswered = Unanswered()
        self._may_have_left_open = True

    def open(self) -> None:
        """A new producer: whatever the last one of its id has left open is over, a late commit included.

        If the outcome of the last transaction is unknown, as it is at the start of a process, also write its missing
        markers.

        Raises:
            KafkaError: the broker cannot be reached.
        """
        self._unanswered = Unanswered()
        producer = KafkaProducer(**self._producer_settings())
        try:
            producer.init_transactions()
            if self._may_have_left_open:
                end_open_transactions(self._settings, self.transactional_id)
        except (KafkaError, OSError):
            producer.close(timeout=0)
            raise
        self.producer, self._may_have_left_open = producer, False

    def drop(self) -> None:
        """Give the producer up. What it has open is ended by the next one of its id."""
        producer, self.producer = self.producer, None
        if producer is None:
            return
        try:
            producer.close(timeout=0)
        except (KafkaError, OSError):  # it is given up in any case
            return

    def publish(
        self, member: ConsumerGroupMetadata, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> bool:
        """Make all records visible and move the group's positions; see :class:`kogpt2_chat.ports.Exchange`.

        Args:
            member: of the group, as it was when the questions were polled.
            positions: by partition, the offset after the last answered question.
            outgoing: what the questions lead to.

        Returns:
            False when nothing was published, or nobody knows.

        Raises:
            InvalidMessage: a record is larger than its topic takes; nothing was published.
        """
        try:
            if self.producer is None:
                self.open()
            self._transact(member, positions, outgoing)
        except _TOO_LARGE as error:
            self.drop()
            blamed = max(outgoing, key=lambda item: len(item.value or b""))
            raise InvalidMessage("answer_too_large", str(error), blamed.headers.get("turn_id")) from error
        except (KafkaError, OSError):
            self.is_in_doubt = self._may_have_left_open = True
            # The outcome may be unknown: a commit that timed out can still come true, until the next
            # producer of this transactional id has begun. Never retried; the committed offsets tell.
            self.drop()
            return False
        if self._unanswered.count:
            # A copy of what was sent again may still arrive: a late EndTxn commits the *next* transaction (KIP-890), a
            # late TxnOffsetCommit takes its positions back. Both are refused once the next producer has begun.
            self.drop()
        return True

    def _transact(
        self, member: ConsumerGroupMetadata, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> None:
        """The transaction itself, in this order and no other."""
        producer = self.producer
        producer.begin_transaction()
        self._on_step("begun")
        self._send(producer, outgoing)
        self._on_step("sent")
        offsets = {TopicPartition(QUESTION_TOPIC, number): OffsetAndMetadata(end) for number, end in positions.items()}
        producer.send_offsets_to_transaction(offsets, member)
        self._on_step("offsets_sent")
        producer.commit_transaction()
        self._on_step("committed")

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

    def _producer_settings(self) -> dict[str, Any]:
        timeout_ms = int(self._settings.kafka.request_timeout_s * 1000)
        return {
            **connection(self._settings),
            "transactional_id": self.transactional_id,
            "transaction_timeout_ms": _TRANSACTION_TIMEOUT_MS,
            "delivery_timeout_ms": timeout_ms,
            "max_block_ms": timeout_ms,
            "max_request_size": MAX_FETCH_BYTES,
            "allow_auto_create_topics": False,
            "kafka_client": self._unanswered.client,
        }
