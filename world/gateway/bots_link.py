"""The link to the bots over Kafka: questions and feedback go out, answers come back.

Two threads use Kafka, because its clients block. The event loop never waits for them: what goes out is queued, and what
comes back is handed to the loop.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import structlog

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.errors import NotFound, Unavailable
from kogpt2_chat.ports import Outgoing, Record, Topics
from world.gateway.refused import Refused

ANSWER_TOPICS: Final = (*BOT_IDS, DEAD_LETTER_TOPIC)
MOST_QUEUED: Final = 2_000
_POLL_S: Final = 0.2
_RETRY_S: Final = 1.0
_MOST_AT_ONCE: Final = 200
_STOP: Final = None

log = structlog.get_logger(__name__)


class BotsLink:
    """Sends records and follows the bots' answers.

    Args:
        topics: Kafka.
        deliver: called in the event loop with the records of each poll.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, topics: Topics, deliver: Callable[[Sequence[Record]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._topics, self._deliver, self._clock = topics, deliver, clock
        self._outgoing: queue.Queue[Outgoing | None] = queue.Queue(MOST_QUEUED)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, name="answers", daemon=True),
            threading.Thread(target=self._send_all, name="questions", daemon=True),
        ]
        self._failed_at_s: float | None = None
        self._is_following = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_up(self) -> bool:
        """Whether answers are followed and the last record was sent."""
        return self._is_following and self._failed_at_s is None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start both threads."""
        self._loop = loop
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what is queued, and stop."""
        self._stopping.set()
        self._outgoing.put(_STOP)
        deadline_s = self._clock() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - self._clock()))

    def send(self, record: Outgoing) -> None:
        """Queue a record. Records are sent in order.

        Raises:
            Refused: Kafka cannot be reached, or too many records are queued.
        """
        if not self._is_following:
            raise Refused("unavailable", "the bots' answers cannot be read now", 5)
        if self._failed_at_s is not None and self._clock() - self._failed_at_s < 5 * _RETRY_S:
            raise Refused("unavailable", "the last question could not be sent", 5)
        try:
            self._outgoing.put_nowait(record)
        except queue.Full:
            raise Refused("busy", f"{MOST_QUEUED} records are queued", 5) from None

    def _send_all(self) -> None:
        while (first := self._outgoing.get()) is not _STOP:
            records = [first]
            while len(records) < _MOST_AT_ONCE and not self._outgoing.empty():
                record = self._outgoing.get()
                if record is _STOP:
                    self._outgoing.put(_STOP)
                    break
                records.append(record)
            try:
                self._topics.send(records)
            except Unavailable as error:
                # Whether the records were written is unknown. Sending them again could ask a bot twice, so players
                # wait for the answer or for the notice that there is none.
                self._failed_at_s = self._clock()
                log.warning("questions_not_acknowledged", records=len(records), error=str(error))
            else:
                self._failed_at_s = None

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(self._topics.follow(ANSWER_TOPICS)) as answers:
                    self._is_following = True
                    log.info("answers_followed")
                    while not self._stopping.is_set():
                        if records := answers.poll(_POLL_S):
                            self._hand_over(records)
            except (Unavailable, NotFound) as error:
                self._is_following = False
                log.warning("answers_not_followed", error=str(error))
                self._stopping.wait(_RETRY_S)

    def _hand_over(self, records: Sequence[Record]) -> None:
        if self._loop is not None and not self._stopping.is_set():
            self._loop.call_soon_threadsafe(self._deliver, records)


def recent_records(topics: Topics, names: Sequence[str], since_ms: int, most_per_partition: int = 500) -> list[Record]:
    """Return the last records of some topics, oldest first, as a gateway reads them after a restart.

    Args:
        topics: Kafka.
        names: the topics.
        since_ms: broker time of the oldest record to return, in milliseconds since the epoch.
        most_per_partition: how far back to read in each partition, in offsets.

    Returns:
        The records.

    Raises:
        Unavailable: the broker does not answer in time.
    """
    found: list[Record] = []
    for name in names:
        starts = topics.start_positions(name)
        for partition, end in topics.end_positions(name).items():
            start = max(starts.get(partition, 0), end - most_per_partition)
            found += [record for record in topics.read(name, partition, start, end) if record.timestamp_ms >= since_ms]
    return sorted(found, key=lambda record: record.timestamp_ms)


def recent_questions(topics: Topics, since_ms: int) -> list[Record]:
    """Return the last questions."""
    return recent_records(topics, [QUESTION_TOPIC], since_ms)
