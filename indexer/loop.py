"""The indexing thread: read records, write their documents, store the positions, and repeat.

Documents are written before the positions, so every record's document is written at least once. After any error the
thread lets go of what it has read, and begins again at the stored positions as soon as both servers answer.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from indexer.documents import DocumentWriter
from indexer.positions import (
    INDICES_BY_TOPIC,
    Partition,
    Place,
    find_place,
    index_ids,
    load_positions,
    store_positions,
)
from indexer.report import Progress
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, FEEDBACK_TOPIC, TURN_TOPIC
from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from kogpt2_chat.ports import Follower, Index, Record, Topics

POLL_S: Final = 0.5
"""Longest wait for a record, and so the longest time that an idle loop takes to notice that it must stop."""
CHECK_S: Final = 10.0
"""How often an idle loop asks whether the indices and the topics are still the same, and whether the brokers answer."""
NEARLY_THERE: Final = 500
"""Feedback is read once no more than this many offsets of the turns are left: it needs the turns' documents."""
OLDER_RECORDS: Final[Mapping[str, str]] = {
    TURN_TOPIC: "`kogpt2-chat index` adds older turns from the lake, but no older counts of crises",
    FEEDBACK_TOPIC: "`kogpt2-chat index` adds older feedback from the lake",
    DEAD_LETTER_TOPIC: "older dead letters stay out of the index, because the lake does not have them",
}
"""What brings the records that Kafka no longer has into the index."""
CLEARLY_NEWER_MS: Final = 2000
"""A turn that came this much later than a feedback was read after the turns that came before the feedback."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0

_log = structlog.get_logger("indexer")


class Stopping(Exception):
    """The process must end."""


class PlaceChanged(Exception):
    """A topic or an index was deleted or created again, so the positions are void."""


@dataclass(slots=True, kw_only=True)
class _Feedback:
    """The feedback that was read and is not written yet.

    Attributes:
        records: from one poll.
        polled_at: when, in monotonic seconds.
    """

    records: Sequence[Record] = ()
    polled_at: float = 0.0


@dataclass(kw_only=True)
class Indexer:
    """Follows the topics.

    Attributes:
        topics: Kafka.
        index: the search server. Its pauses between attempts must end when ``stop`` is set.
        writer: writes documents.
        progress: the lag and the counters.
        stop: set when the thread must end.
        feedback_wait_s: how long a feedback waits for its turn's document. Then it is written without bot and version.
        clock: the time, for the stored positions.
        monotonic: seconds.
        wait: waits until ``stop`` is set, or for some seconds; returns whether it is set.
    """

    topics: Topics
    index: Index
    writer: DocumentWriter
    progress: Progress
    stop: threading.Event
    feedback_wait_s: float
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[float], bool] | None = None
    _place: Place = field(init=False)
    _positions: dict[Partition, int] = field(init=False, default_factory=dict)
    _turns: Follower = field(init=False)
    _feedback: Follower = field(init=False)
    _held: _Feedback = field(init=False, default_factory=_Feedback)
    _turns_complete_at: float = field(init=False, default=float("-inf"))
    _newest_turn_ms: int = field(init=False, default=0)
    _check_at: float = field(init=False, default=0.0)

    def run(self) -> None:
        """Index until ``stop`` is set."""
        wait = self.wait or self.stop.wait
        pause_s = FIRST_PAUSE_S
        while not self.stop.is_set():
            try:
                with ExitStack() as stack:
                    self.open(stack)
                    while not self.stop.is_set():
                        self.run_once()
                        pause_s = FIRST_PAUSE_S
            except Stopping:
                return
            except PlaceChanged as error:
                _log.warning("place_changed", what=str(error))
                wait(FIRST_PAUSE_S)
            except (Unavailable, NotFound, InvalidInput) as error:
                self.progress.fails(str(error))
                _log.warning("waiting", pause_s=pause_s, error=str(error))
                wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def open(self, stack: ExitStack) -> None:
        """Prepare the indices, read the positions, and follow the topics from there.

        Args:
            stack: closes the followers.
        """
        self.index.ensure()
        self._place = find_place(self.topics, self.index)
        self.writer.topic_ids = self._place.topic_ids
        self._positions = dict(self._load())
        self._held = _Feedback()
        self._turns_complete_at = float("-inf")
        self._check_at = self.monotonic() + CHECK_S
        self._turns = self._follow(stack, TURN_TOPIC, DEAD_LETTER_TOPIC)
        self._feedback = self._follow(stack, FEEDBACK_TOPIC)
        self.progress.works()

    def run_once(self) -> None:
        """Read some records and write their documents."""
        records = self._turns.poll(POLL_S)
        self.progress.beat()
        if records:
            self._write(records)
            turn_times = (record.timestamp_ms for record in records if record.topic == TURN_TOPIC)
            self._newest_turn_ms = max(self._newest_turn_ms, *turn_times, 0)
        self._check(idle=not records)
        for topic in (TURN_TOPIC, DEAD_LETTER_TOPIC):
            if not any(record.topic == topic for record in records):
                self.progress.holds_none(topic)
        self._index_feedback(turns_idle=not records)
        self.progress.works()

    def _load(self) -> Mapping[Partition, int]:
        found = load_positions(self.topics, self.index, self._place)
        for topic in sorted(found.new_indices):
            indices = " and ".join(INDICES_BY_TOPIC[topic])
            self.progress.note(
                f"{indices}: created again at {self.clock():%Y-%m-%d %H:%M} UTC and filled from what Kafka still has; "
                f"{OLDER_RECORDS[topic]}"
            )
            _log.warning("index_created_again", indices=indices, todo=OLDER_RECORDS[topic])
        for topic in sorted(found.new_topics):
            _log.warning("topic_created_again", topic=topic)
        for topic in INDICES_BY_TOPIC:
            self._note_lost(topic, found.positions)
        return found.positions

    def _note_lost(self, topic: str, positions: Mapping[Partition, int]) -> None:
        """Note the records that retention deleted before they were indexed: all of them if nothing was indexed yet."""
        first = self.topics.start_positions(topic)
        is_known = any(known == topic for known, _ in positions)
        lost = sum(
            max(0, start - positions.get((topic, number), start if is_known else 0)) for number, start in first.items()
        )
        if lost:
            self.progress.note(
                f"{topic}: retention deleted {lost} offsets before they were indexed; {OLDER_RECORDS[topic]}"
            )
            _log.warning("records_lost", topic=topic, offsets=lost)

    def _follow(self, stack: ExitStack, *topics: str) -> Follower:
        follower = self.topics.follow(topics, from_end=False, positions=self._positions)
        return stack.enter_context(closing(follower))

    def _write(self, records: Sequence[Record]) -> None:
        """Write documents, check that they went into the indices that the positions refer to, and store the positions.

        Raises:
            PlaceChanged: an index was deleted or created again in the meantime, or offsets begin again.
        """
        ends: dict[Partition, int] = {}
        for record in records:
            where = record.topic, record.partition
            if record.offset < ends.get(where, self._positions.get(where, 0)):
                raise PlaceChanged(f"{record.topic}-{record.partition} begins again at offset {record.offset}")
            ends[where] = record.offset + 1
        self.progress.holds(records)
        self.writer.write(records)
        self._check_indices({record.topic for record in records})
        store_positions(self.index, self._place, ends, self.clock())
        self._positions |= ends
        self.progress.has_written(records)

    def _check(self, *, idle: bool) -> None:
        """Ask from time to time whether everything is still in its place.

        Raises:
            PlaceChanged: it is not.
            Unavailable: a server does not answer.
        """
        if not idle or self.monotonic() < self._check_at:
            return
        self._check_at = self.monotonic() + CHECK_S
        self._check_indices(set(INDICES_BY_TOPIC))
        for topic, known in self._place.topic_ids.items():
            if self.topics.topic_id(topic) != known:
                raise PlaceChanged(f"topic {topic} was created again")

    def _check_indices(self, topics: set[str]) -> None:
        for topic in topics:
            try:
                found = index_ids(self.index, topic)
            except Unavailable as error:
                raise PlaceChanged(str(error)) from error
            if found != self._place.index_ids[topic]:
                raise PlaceChanged(f"an index of {topic} was created again")

    def _index_feedback(self, *, turns_idle: bool) -> None:
        """Read feedback while the turns are nearly complete, and write it once its turns are in the index."""
        if not self._held.records:
            if turns_idle or self._turns.behind() <= NEARLY_THERE:
                self._held = _Feedback(records=self._feedback.poll(0), polled_at=self.monotonic())
            if not self._held.records:
                self.progress.holds_none(FEEDBACK_TOPIC)
                return
            self.progress.holds(self._held.records)
        if turns_idle and self._turns.behind() == 0:
            self._turns_complete_at = self.monotonic()
        if self._may_write_feedback():
            self._write(self._held.records)
            self._held = _Feedback()

    def _may_write_feedback(self) -> bool:
        """Check whether the turns are in the index, or do not come any more.

        Kafka has a turn before its feedback. While players talk, the turns are never complete; then a turn that is
        clearly newer than the feedback says that the ones before it were read.
        """
        polled_at = self._held.polled_at
        if self._turns_complete_at > polled_at or self.monotonic() - polled_at > self.feedback_wait_s:
            return True
        if self._newest_turn_ms > max(record.timestamp_ms for record in self._held.records) + CLEARLY_NEWER_MS:
            return True
        return not self.writer.lacks_turns(self._held.records)
