"""Whether a request of a kafka-python client may still be on its way: one that ended without an answer.

The client sends such a request again by itself, over another connection, and says nothing of it (3.0.12: within 50 ms).
The first copy can then arrive at any time, as long as the broker knows the producer: ADR 0022.
"""

from typing import Any

from kafka.net.compat import KafkaNetClient


class Unanswered:
    """Counts the requests of one client whose connection was lost, or whose time was up, before their answer.

    A request that the broker has answered, be it with a refusal, is nowhere any more, however often it is sent again.

    Attributes:
        count: so far. A request is counted before it is sent again, hence before what it belongs to is done.
    """

    def __init__(self) -> None:
        self.count = 0

    def client(self, **configs: Any) -> KafkaNetClient:
        """For the client's own setting ``kafka_client``."""
        return _Watched(self._note, **configs)

    def _note(self, error: BaseException) -> None:
        del error
        self.count += 1


class _Watched(KafkaNetClient):
    """A client that tells of each request that failed."""

    def __init__(self, on_failure: Any, **configs: Any) -> None:
        super().__init__(**configs)
        self._on_failure = on_failure

    def send(self, node_id: Any, request: Any, **kwargs: Any) -> Any:
        """As always; whoever waits for the answer is told after us."""
        return super().send(node_id, request, **kwargs).add_errback(self._on_failure)
