"""The worker without exactly-once, to measure what that costs: a plain producer, no transactions, no offsets."""

from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaProducer
from kafka.structs import ConsumerGroupMetadata

from kogpt2_chat.adapters.kafka.topics import MAX_FETCH_BYTES, connection
from kogpt2_chat.adapters.kafka.transactional_consumer import KafkaTransactionalConsumer
from kogpt2_chat.adapters.kafka.transactions import Transactions
from kogpt2_chat.ports import Outgoing, PublishResult, TransactionalConsumer
from kogpt2_chat.settings import Settings
from serving.__main__ import run
from serving.app import WorkerParts


class PlainTransactions(Transactions):
    """Publishes without transactions: answers in flight when the worker dies are lost or published twice."""

    def open(self) -> None:
        """Open a plain producer."""
        self.producer = KafkaProducer(**connection(self._settings), max_request_size=MAX_FETCH_BYTES)

    def publish(
        self, member: ConsumerGroupMetadata, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Send and wait for the acknowledgements."""
        del member, positions
        self._send(self.producer, outgoing)
        return PublishResult(published=True)


def _consumer(settings: Settings, ordinal: int, on_step: Callable[[str], None]) -> TransactionalConsumer:
    return KafkaTransactionalConsumer(settings, ordinal, on_step=on_step, transactions=PlainTransactions)


if __name__ == "__main__":
    run(WorkerParts(consumer=_consumer))
