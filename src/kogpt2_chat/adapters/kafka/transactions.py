"""The worker's transactions: records become visible and positions move together, or not at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.structs import ConsumerGroupMetadata

from kogpt2_chat.adapters.kafka.markers import end_open_transactions
from kogpt2_chat.adapters.kafka.topics import MAX_FETCH_BYTES, connection, to_headers
from kogpt2_chat.adapters.kafka.unanswered import Unanswered
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.ports import Outgoing, PublishResult
from kogpt2_chat.settings import Settings

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
_TRANSACTION_TIMEOUT_MS: Final = 30_000


def ignore_step(step: str) -> None:
    """Do nothing; the default of ``on_step``."""
    del step


class Transactions:
    """Transactions under one transactional id, one at a time.

    Attributes:
        producer: the client library's producer; replaced by a new one with the same id when an outcome is unknown.
        is_in_doubt: whether a transaction has failed, perhaps because another process uses the same id.

    Args:
        settings: the broker's address and the timeouts.
        transactional_id: the id of this worker's ordinal; no other worker may use it.
        on_step: called with the name of each finished step, before the next step begins.
    """

    def __init__(self, settings: Settings, transactional_id: str, on_step: Callable[[str], None] = ignore_step) -> None:
        self.producer: Any = None
        self.is_in_doubt = False
        self.transactional_id = transactional_id
        self._settings = settings
        self._on_step = on_step
        self._unanswered = Unanswered()
        self._may_have_left_open = True

    def open(self) -> None:
        """Open a new producer. The broker then ends the transaction that the last producer with its id left open.

        It also refuses late requests of the last producer, such as a commit. If the outcome of the last transaction is
        unknown, as it is when a process starts, this method writes missing markers too.

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
        """Discard the producer. The next one with its id ends the transaction that this one leaves open."""
        producer, self.producer = self.producer, None
        if producer is None:
            return
        try:
            producer.close(timeout=0)
        except (KafkaError, OSError):  # discarded in any case
            return

    def publish(
        self, member: ConsumerGroupMetadata, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Make all records visible and move the group's committed offsets.

        Args:
            member: the group membership at the time when the questions were polled.
            positions: per partition, the offset after the last answered question.
            outgoing: the answers, turns and dead letters of the questions.
        """
        try:
            if self.producer is None:
                self.open()
            self._transact(member, positions, outgoing)
        except _TOO_LARGE:
            self.drop()
            return PublishResult(published=False, too_large=max(outgoing, key=lambda item: len(item.value or b"")))
        except (KafkaError, OSError):
            self.is_in_doubt = self._may_have_left_open = True
            # The outcome may be unknown: a commit that timed out can still succeed until the next producer with this
            # transactional id starts. Never retry; recovery reads the outcome from the committed offsets.
            self.drop()
            return PublishResult(published=False)
        if self._unanswered.count:
            # The client resent a request, and the first copy may still arrive: a late EndTxn commits the *next*
            # transaction (KIP-890), a late TxnOffsetCommit moves its positions back. The broker refuses both once the
            # next producer has started.
            self.drop()
        return PublishResult(published=True)

    def _transact(
        self, member: ConsumerGroupMetadata, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> None:
        """Run one transaction. The order of the steps matters."""
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
        """Send all records and wait until they are acknowledged."""
        futures: list[Any] = []
        try:
            for item in outgoing:
                futures.append(  # noqa: PERF401 - futures of records sent before an error are needed below
                    producer.send(item.topic, item.value, key=item.key, headers=to_headers(item.headers))
                )
            producer.flush(timeout=self._settings.kafka.request_timeout_s)
        except KafkaError:
            # Once a record is rejected, every later send fails with a general error; the record's future has the cause.
            for future in futures:
                if future.failed() and isinstance(future.exception, _TOO_LARGE):
                    raise future.exception from None
            raise
        # An oversized record fails only its own future; without this check, the rest would be committed without it.
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
