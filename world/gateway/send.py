"""Send records to Kafka from a queue, in a thread, so that the event loop never waits for the broker."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from kogpt2_chat.ports import Outgoing, Topics
from world.gateway.refused import Refused

MOST_QUEUED: Final = 2_000
_MOST_AT_ONCE: Final = 200
_PAUSE_S: Final = 5.0
"""How long records are refused after a failure."""
_LASTS_S: Final = 10.0
"""After that, a player has been told that there is no answer, and may have asked again."""
_STOP: Final = None

log = structlog.get_logger(__name__)


class SendThread:
    """Sends records in the order in which they were queued.

    Args:
        topics: Kafka.
        clock: returns monotonic seconds.
    """

    def __init__(self, topics: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._topics, self._clock = topics, clock
        self._queue: queue.Queue[tuple[float, Outgoing] | None] = queue.Queue(MOST_QUEUED)
        self._thread = threading.Thread(target=self._run, name="send", daemon=True)
        self._failed_at_s = float("-inf")

    @property
    def is_up(self) -> bool:
        """Whether records have been acknowledged lately."""
        return self._clock() - self._failed_at_s >= _PAUSE_S

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what is queued, and stop."""
        self._queue.put(_STOP)
        self._thread.join(timeout_s)

    def send(self, record: Outgoing) -> None:
        """Queue a record.

        Raises:
            Refused: Kafka could not be reached a moment ago, or too many records are queued.
        """
        if not self.is_up:
            raise Refused("unavailable", "the last records were not acknowledged", _PAUSE_S)
        try:
            self._queue.put_nowait((self._clock(), record))
        except queue.Full:
            raise Refused("busy", f"{MOST_QUEUED} records are queued", _PAUSE_S) from None

    def _run(self) -> None:
        while records := self._next():
            try:
                self._topics.send(records)
            except Exception as error:  # noqa: BLE001 - whatever it is, later records must be sent
                # Whether the records were written is unknown. Sending them again could ask a bot twice, so players
                # wait for the answer or for the notice that there is none.
                self._failed_at_s = self._clock()
                log.warning("records_not_acknowledged", records=len(records), error=f"{type(error).__name__}: {error}")

    def _next(self) -> list[Outgoing]:
        """Return the next records; none once the thread is to stop. What has waited for too long is left out."""
        queued = self._queue.get()
        records: list[Outgoing] = []
        while queued is not _STOP:
            queued_at_s, record = queued
            if self._clock() - queued_at_s < _LASTS_S:
                records.append(record)
            if records and (self._queue.empty() or len(records) == _MOST_AT_ONCE):
                return records
            queued = self._queue.get()
        if records:
            self._queue.put(_STOP)
        return records
