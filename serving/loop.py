"""The answering thread: poll, admit, decode one step, hand over what may be published; once round a step.

Publication runs in a thread of its own, one transaction at a time, while decoding goes on: whatever is answered
meanwhile goes into the next transaction. So a transaction costs no step, and grows with the load by itself.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from kogpt2_chat.domain.wire import turn_id
from kogpt2_chat.errors import InvalidMessage, Unavailable
from kogpt2_chat.ports import Batch, Exchange
from serving.flight import Flight, Prefix
from serving.metrics import Metrics
from serving.worker import Worker

POLL_S: Final = 0.25
"""Also the longest that SIGTERM waits for an idle loop."""
NAP_S: Final = 0.002
"""Wait for new questions while nothing is left to do but to see a transaction end."""
RETRY_S: Final = 0.5
SETTLE_S: Final = 20.0
"""Longest wait for the first models; whatever is still loading then is answered for by a notice."""
MOST_A_TRANSACTION: Final = 200
MOST_BYTES_A_TRANSACTION: Final = 4 * 1024 * 1024
"""Dead letters may be a megabyte each, and all of a transaction has to be sent within one request's time."""
LAG_EVERY_S: Final = 1.0
LONGEST_TRANSACTION_S: Final = 60.0
"""Past it the loop no longer counts as alive, and the watchdog ends the process."""
LAST_WAIT_S: Final = 2.0
"""After SIGTERM, and past the time for answers in hand: how long the last transaction may still take."""
_IMPATIENT: Final = 2
_REMEMBERED: Final = 10_000

_log = structlog.get_logger("serving")


@dataclass(frozen=True, slots=True)
class _Publication:
    """A transaction on its way."""

    prefix: Prefix
    future: Future[bool]
    since: float


@dataclass(kw_only=True)
class Loop:
    """Joins the exchange and the worker.

    Attributes:
        metrics: the same that the worker has.
        publisher: runs transactions; one thread, or none in tests.
        most_in_flight: questions polled and not yet answered; more wait in Kafka.
        on_step: told the name of each step; the watchdog's beat and the failpoints of fault tests.
        settled: set once the models that are rolled out have been loaded. Until then nothing is polled, so that
            a worker which is merely starting takes no question that it could answer a moment later.
        polled_once: set after the first poll that went well: the worker is in its group.
    """

    exchange: Exchange
    worker: Worker
    metrics: Metrics
    stop: threading.Event
    publisher: Executor
    most_in_flight: int = 96
    on_step: Callable[[str], None] = lambda _: None
    settled: threading.Event = field(default_factory=threading.Event)
    polled_once: threading.Event = field(default_factory=threading.Event)
    _flight: Flight = field(init=False, default_factory=Flight)
    _claim: object = field(init=False, default=None)
    _is_recovered: bool = field(init=False, default=False)
    _publication: _Publication | None = field(init=False, default=None)
    _published: OrderedDict[str, None] = field(init=False, default_factory=OrderedDict)
    _lag_due_at: float = field(init=False, default=0.0)
    _failures: int = field(init=False, default=0)

    def run(self, finish_s: float) -> None:
        """Answer until ``stop`` is set, or another process has taken this worker's slot (Ousted).

        Args:
            finish_s: how long questions in hand may still take after that.
        """
        deadline = time.monotonic() + SETTLE_S
        while not (self.stop.is_set() or self.settled.is_set()) and time.monotonic() < deadline:
            self.on_step("idle")
            self.settled.wait(POLL_S)
        while not self.stop.is_set():
            self.turn()
        self._finish(time.monotonic() + finish_s)

    def turn(self) -> None:
        """Once round."""
        self._beat()
        self._look_at_publication()
        if self._is_recovered or self._recover():
            self._take_in()
            self._move_on()

    def _beat(self) -> None:
        publication = self._publication
        if publication is None or time.monotonic() - publication.since < LONGEST_TRANSACTION_S:
            self.on_step("idle")

    def _recover(self) -> bool:
        """From the committed positions; nothing is in flight now.

        What cannot be published twice in a row will hardly be the third time at once: a topic is missing, or a right.
        """
        if self._failures >= _IMPATIENT:
            self.stop.wait(RETRY_S)
        try:
            self.exchange.recover()
        except Unavailable as error:
            _log.warning("kafka_unavailable", error=str(error))
            self.stop.wait(RETRY_S)
            return False
        self._is_recovered, self._claim = True, None
        return True

    def _take_in(self) -> None:
        """Poll, as far as there is room, and admit."""
        room = self.most_in_flight - len(self._flight)
        try:
            batch = self.exchange.poll(self._patience_s(), room)
        except Unavailable as error:
            _log.warning("kafka_unavailable", error=str(error))
            if not self.worker.is_busy:
                self.stop.wait(RETRY_S)
            return
        self.polled_once.set()
        self._look_at_lag()
        if len(self._flight) and batch.claim != self._claim:
            self._drop("partitions were given out anew")  # the batch too: it is polled again from the committed offsets
            return
        self._claim = batch.claim
        self._admit(batch)

    def _look_at_lag(self) -> None:
        now = time.monotonic()
        if now >= self._lag_due_at:
            self._lag_due_at = now + LAG_EVERY_S
            self.metrics.lag = self.exchange.lag()

    def _admit(self, batch: Batch) -> None:
        if not batch.records:
            return
        self.on_step("polled")
        for record in batch.records:
            self._flight.add(turn_id(record.partition, record.offset), record)
        self._flight.settle(self.worker.admit(batch.records))

    def _patience_s(self) -> float:
        if self.worker.is_busy:
            return 0.0
        return NAP_S if len(self._flight) or self._publication else POLL_S

    def _move_on(self) -> None:
        """One step of decoding, and the next transaction when the last one is through.

        Neither while the other may be what kills the worker: a suspect is decoded while nothing is published.
        """
        self._flight.settle(self.worker.step(may_try_suspects=self._publication is None))
        if self._publication is None and self._is_recovered and not self.worker.is_trying_a_suspect:
            prefix = self._flight.take(MOST_A_TRANSACTION, MOST_BYTES_A_TRANSACTION)
            if prefix.replies:
                future = self.publisher.submit(self._publish, self._claim, prefix)
                self._publication = _Publication(prefix, future, time.monotonic())
        self._tell_in_flight()

    def _tell_in_flight(self) -> None:
        on_its_way = len(self._publication.prefix.replies) if self._publication else 0
        self.metrics.in_flight.set(len(self._flight) + on_its_way)

    def _publish(self, claim: object, prefix: Prefix) -> bool:
        """In the publisher's thread."""
        with self.metrics.publication_seconds.time():
            return self.exchange.publish(claim, prefix.positions, prefix.outgoing)

    def _look_at_publication(self) -> None:
        publication = self._publication
        if publication is None or not publication.future.done():
            return
        self._publication = None
        try:
            published = publication.future.result()
        except InvalidMessage as error:  # the broker refused one; it is polled again as a dead letter
            _log.warning("answer_refused", turn_id=error.question_id, error=str(error))
            if error.question_id is not None:
                self.worker.refuse(error.question_id)
            published, self._failures = False, 0
        if published:
            self._count(publication.prefix)
        else:
            self._failures += 1
            self._drop("not published", len(publication.prefix.replies))
        self._tell_in_flight()

    def _drop(self, why: str, more: int = 0, patience_s: float = LONGEST_TRANSACTION_S) -> None:
        """Forget everything in flight; the committed positions say where to begin again."""
        publication, self._publication = self._publication, None
        if publication is not None:  # it may still succeed; the committed positions are read after its end
            failed = publication.future.exception(timeout=patience_s)
            if failed is None and publication.future.result():
                self._count(publication.prefix)
            else:
                more += len(publication.prefix.replies)
        self.worker.drop()
        dropped = self._flight.clear() + more
        self.metrics.dropped.inc(dropped)
        self._is_recovered = False
        _log.warning("flight_dropped", questions=dropped, why=why)

    def _finish(self, deadline: float) -> None:
        """After SIGTERM: answer what is in hand, drop the rest, see the last transaction end."""
        while (self.worker.is_busy or len(self._flight) or self._publication) and time.monotonic() < deadline:
            self._beat()
            self._look_at_publication()
            if not self._is_recovered:
                break
            self._move_on()
            if not self.worker.is_busy and self._publication:
                time.sleep(NAP_S)
        if len(self._flight) or self._publication:
            with suppress(TimeoutError):  # nobody knows its outcome yet; the heir will find the committed positions
                self._drop("stopping", patience_s=LAST_WAIT_S)
        self.worker.drop()

    def _count(self, prefix: Prefix) -> None:
        self._failures = 0
        self.metrics.published(sum(len(reply.outgoing) for reply in prefix.replies))
        for reply in prefix.replies:
            if reply.turn_id in self._published:
                self.metrics.double_drops.inc()
            self._published[reply.turn_id] = None
            if reply.is_dead_letter:
                self.metrics.dead_letter(str(reply.facts["reason"]))
                _log.warning("dead_letter", turn_id=reply.turn_id, **reply.facts)
            else:
                self.metrics.answered(reply.facts)
                if reply.crisis is not None:
                    self.metrics.safety_answered(str(reply.facts["bot"]), reply.crisis)
                _log.info("answered", turn_id=reply.turn_id, **reply.facts)
        while len(self._published) > _REMEMBERED:
            self._published.popitem(last=False)
