"""The worker without exactly-once: a plain producer, no transaction, no offsets; to see what exactly-once costs."""

import sys
from collections.abc import Mapping, Sequence

from kafka import KafkaProducer
from kafka.structs import ConsumerGroupMetadata

import serving.__main__ as daemon
from kogpt2_chat.adapters.kafka.topics import MAX_FETCH_BYTES, connection
from kogpt2_chat.adapters.kafka.topics import transactional_consumer as kafka_exchange
from kogpt2_chat.adapters.kafka.topics import transactions as kafka_transactions
from kogpt2_chat.ports import Outgoing, PublishResult


class PlainTransactions(kafka_transactions.Transactions):
    """Answers are visible at once; whatever is in hand when the worker dies is lost or doubled."""

    def open(self) -> None:
        """A plain producer."""
        self.producer = KafkaProducer(**connection(self._settings), max_request_size=MAX_FETCH_BYTES)

    def publish(
        self, member: ConsumerGroupMetadata, positions: Mapping[int, int], outgoing: Sequence[Outgoing]
    ) -> PublishResult:
        """Send and wait for the acknowledgements."""
        del member, positions
        self._send(self.producer, outgoing)
        return PublishResult(published=True)


if __name__ == "__main__":
    kafka_exchange.Transactions = PlainTransactions  # type: ignore[misc]
    sys.exit(daemon.main())
