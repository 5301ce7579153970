"""The answering thread: poll questions, admit them, decode one step, publish finished replies, and repeat.

Replies are published in a separate thread, one transaction at a time, while decoding continues. Replies that finish
during a transaction go into the next one. So a transaction never delays a step, and its size follows the load.
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

from kogpt2_chat.errors import Unavailable
from kogpt2_chat.ports import Assignment, Batch, Outgoing, PublishResult, TransactionalConsumer
from serving.in_flight import Answered, CommittableBatch
from serving.metrics import Metrics
from serving.worker import Worker

POLL_S: Final = 0.25
"""Also the longest time that an idle loop takes to notice SIGTERM."""
IDLE_POLL_S: Final = 0.002
"""Poll timeout if nothing is being decoded and a transaction is running or replies wait for one."""
RETRY_S: Final = 0.5
MODELS_TIMEOUT_S: Final = 20.0
"""Longest wait for the first models. After that, bots whose model is still loading answer with a notice."""
MAX_REPLIES_PER_TRANSACTION: Final = 200
MAX_BYTES_PER_TRANSACTION: Final = 4 * 1024 * 1024
"""A dead letter may be a megabyte, and a whole transaction must be sent within the timeout of one request."""
LAG_EVERY_S: Final = 1.0
LONGEST_TRANSACTION_S: Final = 60.0
"""After this time the loop stops feeding the watchdog, which then ends the process."""
LAST_WAIT_S: Final = 2.0
"""After SIGTERM, once the time for questions in flight is over: how long to wait for the last transaction."""
_MAX_QUICK_RETRIES: Final = 2
_REMEMBERED: Final = 10_000

_log = structlog.get_logger("serving")


@dataclass(frozen=True, slots=True)
class _Publication:
    """A transaction that is running."""

    batch: CommittableBatch
    future: Future[PublishResult]
    since: float


@dataclass(kw_only=True)
class Loop:
    """Moves questions from the consumer to the worker, and replies back.

    Attributes:
        consumer: reads questions and publishes replies.
        worker: turns questions into replies.
        metrics: the worker's metrics.
        stop: set when the loop must end.
        publisher: runs transactions, in one thread, or inline in tests.
        max_in_flight: maximum number of questions that are polled and not yet published; others wait in Kafka.
        on_step: called with the name of each step; feeds the watchdog and the failpoints of fault tests.
        models_loaded: set once the versions that are rolled out have been loaded. Until then nothing is polled, so that
            a starting worker does not send a notice for a question that it could answer a moment later.
        has_polled: set after the first successful poll: the worker is a member of its group.
        longest_transaction_s: a transaction that takes longer ends the worker.
        monotonic: the time in seconds; tests replace it.
        sleep: waits for some seconds; tests replace it.
    """

    consumer: TransactionalConsumer
    worker: Worker
    metrics: Metrics
    stop: threading.Event
    publisher: Executor
    max_in_flight: int
    on_step: Callable[[str], None] = lambda _: None
    models_loaded: threading.Event = field(default_factory=threading.Event)
    has_polled: threading.Event = field(default_factory=threading.Event)
    longest_transaction_s: float = LONGEST_TRANSACTION_S
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _assignment: Assignment = field(init=False, default=Assignment(revocations=0))
    _is_recovered: bool = field(init=False, default=False)
    _publication: _Publication | None = field(init=False, default=None)
    _published: OrderedDict[str, None] = field(init=False, default_factory=OrderedDict)
    _lag_due_at: float = field(init=False, default=0.0)
    _failures: int = field(init=False, default=0)

    def run(self, finish_s: float) -> None:
        """Answer until ``stop`` is set.

        Args:
            finish_s: how long questions in flight may take after that.

        Raises:
            Fenced: another process has taken this worker's ordinal.
            Unavailable: a transaction has not ended in time. The process must end.
        """
        deadline = self.monotonic() + MODELS_TIMEOUT_S
        while not (self.stop.is_set() or self.models_loaded.is_set()) and self.monotonic() < deadline:
            self.on_step("idle")
            self.models_loaded.wait(POLL_S)
        while not self.stop.is_set():
            self.run_once()
        self._finish(self.monotonic() + finish_s)

    def run_once(self) -> None:
        """Collect a finished transaction, poll, decode one step, start the next transaction."""
        self._beat()
        self._collect_publication()
        if self._is_recovered or self._recover():
            self._poll_and_admit()
            self._step_and_publish()

    def _beat(self) -> None:
        publication = self._publication
        if publication is None or self.monotonic() - publication.since < self.longest_transaction_s:
            self.on_step("idle")

    def _recover(self) -> bool:
        """Reset the consumer to the committed offsets. Nothing is in flight now.

        After two failed publications in a row, wait first: probably a topic or a permission is missing.
        """
        if self._failures >= _MAX_QUICK_RETRIES:
            self.stop.wait(RETRY_S)
        try:
            self.consumer.recover()
        except Unavailable as error:
            _log.warning("kafka_unavailable", error=str(error))
            self.stop.wait(RETRY_S)
            return False
        self._is_recovered = True
        return True

    def _poll_and_admit(self) -> None:
        room = self.max_in_flight - len(self.worker.tracker)
        try:
            batch = self.consumer.poll(self._poll_timeout_s(), room)
        except Unavailable as error:
            _log.warning("kafka_unavailable", error=str(error))
            if not self.worker.tracker.is_busy:
                self.stop.wait(RETRY_S)
            return
        self.has_polled.set()
        self._update_lag()
        if len(self.worker.tracker) and batch.assignment != self._assignment:
            # The batch is dropped too: it is polled again from the committed offsets.
            self._drop("the assignment of partitions has changed", self.longest_transaction_s)
            return
        self._assignment = batch.assignment
        self._admit(batch)

    def _update_lag(self) -> None:
        now = self.monotonic()
        if now >= self._lag_due_at:
            self._lag_due_at = now + LAG_EVERY_S
            self.metrics.lag = self.consumer.lag()

    def _admit(self, batch: Batch) -> None:
        if batch.records:
            self.on_step("polled")
            self.worker.admit(batch.records)

    def _poll_timeout_s(self) -> float:
        if self.worker.tracker.is_busy:
            return 0.0
        return IDLE_POLL_S if len(self.worker.tracker) or self._publication else POLL_S

    def _step_and_publish(self) -> None:
        """Decode one step, and start the next transaction if none is running.

        A transaction usually ends during a step. It is collected right after that step, so that the answers which the
        step has finished need not wait for another one.

        A suspect of earlier crashes is decoded only while nothing is published: otherwise either could be the cause of
        the next crash. So that it gets its turn, the transaction is then collected before the next step only.
        """
        self.worker.step(may_try_suspects=self._publication is None)
        if not self.worker.is_next_a_suspect:
            self._collect_publication()
        if self._publication is None and self._is_recovered and not self.worker.is_trying_a_suspect:
            batch = self.worker.tracker.take(MAX_REPLIES_PER_TRANSACTION, MAX_BYTES_PER_TRANSACTION)
            if batch.requests:
                future = self.publisher.submit(self._publish, self._assignment, batch)
                self._publication = _Publication(batch, future, self.monotonic())
        self._update_in_flight()

    def _update_in_flight(self) -> None:
        publishing = len(self._publication.batch.requests) if self._publication else 0
        self.metrics.in_flight.set(len(self.worker.tracker) + publishing)

    def _publish(self, assignment: Assignment, batch: CommittableBatch) -> PublishResult:
        """Publish in the publisher's thread."""
        with self.metrics.publication_seconds.time():
            return self.consumer.publish(assignment, batch.positions, batch.outgoing)

    def _collect_publication(self) -> None:
        publication = self._publication
        if publication is None or not publication.future.done():
            return
        if not self._is_published(publication):
            self._drop("not published", more=len(publication.batch.requests))
        self._update_in_flight()

    def _is_published(self, publication: _Publication, timeout_s: float = 0.0) -> bool:
        """Record the outcome of a transaction, and return whether it was committed.

        Raises:
            Unavailable: it has not ended within ``timeout_s``, so its outcome is unknown.
        """
        try:
            result = publication.future.result(timeout=timeout_s)
        except TimeoutError as error:
            raise Unavailable(f"a transaction has not ended within {timeout_s:.0f} s") from error
        self._publication = None
        if result.published:
            self._failures = 0
            self._count(publication.batch)
            return True
        self._failures += 1
        if result.too_large is not None:  # its question is polled again and becomes a dead letter
            self._failures = 0
            self._refuse(publication.batch, result.too_large)
        return False

    def _refuse(self, batch: CommittableBatch, too_large: Outgoing) -> None:
        for request in batch.requests:
            if request.reply is not None and too_large in request.reply.outgoing:
                _log.warning("answer_refused", turn_id=request.turn_id, topic=too_large.topic)
                self.worker.refuse(request.turn_id)
                return

    def _drop(self, why: str, timeout_s: float = 0.0, more: int = 0) -> None:
        """Drop everything in flight. It will be polled again from the committed offsets.

        Args:
            why: the reason, for the log.
            timeout_s: how long to wait for a running transaction.
            more: number of questions in a transaction that has failed.

        Raises:
            Unavailable: a transaction is still running, so its outcome is unknown. The process must end: its successor
                aborts the transaction.
        """
        publication = self._publication
        if publication is not None and not self._is_published(publication, timeout_s):
            more += len(publication.batch.requests)
        dropped = self.worker.drop() + more
        self.metrics.dropped.inc(dropped)
        self._is_recovered = False
        _log.warning("in_flight_dropped", questions=dropped, why=why)

    def _finish(self, deadline: float) -> None:
        """After SIGTERM: finish what is in flight, drop the rest at the deadline, and await the last transaction."""
        tracker = self.worker.tracker
        while (len(tracker) or self._publication) and self.monotonic() < deadline:
            self._beat()
            self._collect_publication()
            if not self._is_recovered:
                break
            self._step_and_publish()
            if not tracker.is_busy and self._publication:
                self.sleep(IDLE_POLL_S)
        if len(tracker) or self._publication:
            with suppress(Unavailable):  # the successor starts at the committed offsets
                self._drop("stopping", LAST_WAIT_S)
        self.worker.drop()

    def _count(self, batch: CommittableBatch) -> None:
        self.metrics.published(len(batch.outgoing))
        for request in batch.requests:
            if request.turn_id in self._published:
                self.metrics.double_drops.inc()
            self._published[request.turn_id] = None
            if isinstance(request.reply, Answered):
                self._count_answer(request.reply)
            elif request.reply is not None:
                self.metrics.dead_letter(request.reply.reason)
                _log.warning("dead_letter", turn_id=request.turn_id, reason=request.reply.reason)
        while len(self._published) > _REMEMBERED:
            self._published.popitem(last=False)

    def _count_answer(self, answered: Answered) -> None:
        turn = answered.turn
        self.metrics.answered(turn, answered.answer_tokens)
        if answered.crisis is not None:
            self.metrics.safety_answered(turn.bot, answered.crisis)
        _log.info(
            "answered",
            turn_id=turn.turn_id,
            bot=turn.bot,
            version=turn.model_version,
            epoch=turn.epoch,
            source=turn.source,
            fallback=turn.fallback,
            latency_ms=turn.latency_ms,
            prompt_tokens=turn.prompt_tokens,
            answer_tokens=answered.answer_tokens,
        )
