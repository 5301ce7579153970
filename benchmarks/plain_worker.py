"""The worker without exactly-once: a plain producer, no transaction, no offsets; to see what exactly-once costs."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Producer

import serving.__main__ as daemon
from kogpt2_chat.adapters import kafka_exchange
from kogpt2_chat.adapters.kafka_in_c import producer_settings
from kogpt2_chat.ports import Outgoing


class PlainExchange(kafka_exchange.KafkaExchange):
    """Answers are visible at once; whatever is in hand when the worker dies is lost or doubled."""

    def _open_producer(self) -> Any:
        settings = producer_settings(self._settings, self._transactional_id)
        return Producer({name: value for name, value in settings.items() if not name.startswith("transaction")})

    def publish(self, claim: object, positions: Mapping[int, int], outgoing: Sequence[Outgoing]) -> bool:
        """Send and wait for the acknowledgements."""
        del claim, positions
        self._send(self._producer, outgoing)
        return True


if __name__ == "__main__":
    kafka_exchange.KafkaExchange = PlainExchange  # type: ignore[misc]
    sys.exit(daemon.main())
