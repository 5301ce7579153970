"""The worker without exactly-once: a plain producer, no transaction, no offsets; to see what exactly-once costs."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer

import serving.__main__ as daemon
from kogpt2_chat.adapters import kafka_exchange
from kogpt2_chat.adapters.kafka import MAX_FETCH_BYTES, connection, to_headers
from kogpt2_chat.ports import Outgoing


class PlainExchange(kafka_exchange.KafkaExchange):
    """Answers are visible at once; whatever is in hand when the worker dies is lost or doubled."""

    def _open_producer(self) -> Any:
        return KafkaProducer(**connection(self._settings), max_request_size=MAX_FETCH_BYTES)

    def publish(self, claim: object, positions: Mapping[int, int], outgoing: Sequence[Outgoing]) -> bool:
        """Send and wait for the acknowledgements."""
        del claim, positions
        futures = [self._producer.send(item.topic, item.value, key=item.key, headers=to_headers(item.headers))
                   for item in outgoing]  # fmt: skip
        self._producer.flush()
        for future in futures:
            future.get(timeout=0)
        return True


if __name__ == "__main__":
    kafka_exchange.KafkaExchange = PlainExchange  # type: ignore[misc]
    sys.exit(daemon.main())
