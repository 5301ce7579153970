"""Detect whether a request of a kafka-python client may still reach the broker after it failed at the client.

The client silently resends an unanswered request over another connection (3.0.12: within 50 ms). The first copy can
still take effect at any time before the next producer with the same id starts (ADR 0022).
"""

from typing import Any

from kafka.net.compat import KafkaNetClient


class Unanswered:
    """Counts one client's requests that timed out or lost their connection before they were answered.

    A request that the broker has answered, even with an error, cannot arrive again and is not counted.

    Attributes:
        count: the number of such requests so far. A request is counted before the client resends it, and so before
            the call that caused it returns.
    """

    def __init__(self) -> None:
        self.count = 0

    def client(self, **configs: Any) -> KafkaNetClient:
        """Create a network client that reports to this counter; a value for the client setting ``kafka_client``."""
        return _ReportingClient(self._note, **configs)

    def _note(self, error: BaseException) -> None:
        del error
        self.count += 1


class _ReportingClient(KafkaNetClient):
    """A network client that calls ``on_failure`` for each request that failed without an answer."""

    def __init__(self, on_failure: Any, **configs: Any) -> None:
        super().__init__(**configs)
        self._on_failure = on_failure

    def send(self, node_id: Any, request: Any, **kwargs: Any) -> Any:
        """Send a request. The callback is added first, so it runs before those of the caller."""
        return super().send(node_id, request, **kwargs).add_errback(self._on_failure)
