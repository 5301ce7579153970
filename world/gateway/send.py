"""Send records to Kafka from a queue, in a thread, so that the event loop never waits for the broker."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC
from kogpt2_chat.ports import Outgoing, Topics
from world.gateway.refused import Refused

MOST_QUEUED: Final = 2_000
LASTS_S: Final = 4.0
"""A record that has waited longer is not sent. With the time that Kafka's client takes at most, twice
:data:`SEND_TIMEOUT_S`, a question is sent within 12 s or never: after 14 s its player is told that there is no answer,
and may ask again."""
SEND_TIMEOUT_S: Final = 4.0
RETRY_S: Final = 2.0
"""How long to wait after a failure before the broker is asked whether it is back."""
_MOST_AT_ONCE: Final = 200
_WAIT_S: Final = 0.2

log = structlog.get_logger(__name__)


class SendThread:
    """Sends records in the order in which they were queued.

    After a failure it refuses records until the broker answers a request.

    Args:
        topics: Kafka, whose client gives up a request after :data:`SEND_TIMEOUT_S`.
        clock: returns monotonic seconds.

    Attributes:
        is_up: whether records can be sent, as far as is known.
    """

    def __init__(self, topics: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._topics, self._clock = topics, clock
        self._queue: queue.Queue[tuple[float, Outgoing]] = queue.Queue(MOST_QUEUED)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="send", daemon=True)
        self.is_up = True

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what is queued, and stop."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def send(self, record: Outgoing) -> None:
        """Queue a record.

        Raises:
            Refused: Kafka cannot be reached, or too many records are queued.
        """
        if not self.is_up:
            raise Refused("unavailable", "the last records were not acknowledged", RETRY_S)
        try:
            self._queue.put_nowait((self._clock(), record))
        except queue.Full:
            raise Refused("busy", f"{MOST_QUEUED} records are queued", RETRY_S) from None

    def _run(self) -> None:
        while True:
            try:
                if not self.is_up:
                    self._topics.end_positions(QUESTION_TOPIC)
                    self.is_up = True
                    log.info("records_can_be_sent")
                if records := self._next():
                    self._topics.send(records)
                elif self._stopping.is_set() and self._queue.empty():
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, later records must be sent
                # Whether the records were written is unknown. Sending them again could ask a bot twice, so players
                # wait for the answer or for the notice that there is none.
                self.is_up = False
                log.warning("records_not_sent", error=f"{type(error).__name__}: {error}")
                if self._stopping.wait(RETRY_S):
                    return

    def _next(self) -> list[Outgoing]:
        """Return the next records, possibly none. What has waited for too long is left out."""
        records: list[Outgoing] = []
        timeout_s = _WAIT_S
        while len(records) < _MOST_AT_ONCE:
            try:
                queued_at_s, record = self._queue.get(timeout=timeout_s)
            except queue.Empty:
                break
            timeout_s = 0
            if self._clock() - queued_at_s < LASTS_S:
                records.append(record)
        return records
