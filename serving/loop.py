"""The answering thread: poll, answer, publish, once round and again until told to stop."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from kogpt2_chat.errors import InvalidMessage, Unavailable
from kogpt2_chat.ports import Batch, Exchange
from serving.health import Counters
from serving.slot import Slots
from serving.worker import BatchDropped, Reply, Worker

POLL_S: Final = 0.25
"""Also the longest that a new model waits for its swap, and SIGTERM for the loop, when nobody asks anything."""
RETRY_S: Final = 0.5
SETTLE_S: Final = 20.0
"""Longest wait for the first models; whatever is still loading then is answered for by a notice."""

_log = structlog.get_logger("serving")


@dataclass(kw_only=True)
class Loop:
    """Joins the exchange and the worker.

    Attributes:
        on_step: told the name of each step; the watchdog's beat and the failpoints of fault tests.
        settled: set once the models that are rolled out have been loaded. Until then nothing is polled, so that
            a worker which is merely starting takes no question that it could answer a moment later.
        polled_once: set after the first poll that went well: the worker is in its group.
    """

    exchange: Exchange
    worker: Worker
    slots: Slots
    counters: Counters
    stop: threading.Event
    on_step: Callable[[str], None] = lambda _: None
    settled: threading.Event = field(default_factory=threading.Event)
    polled_once: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Answer until ``stop`` is set, or another process has taken this worker's slot (Conflict)."""
        deadline = time.monotonic() + SETTLE_S
        while not (self.stop.is_set() or self.settled.is_set()) and time.monotonic() < deadline:
            self.on_step("idle")
            self.settled.wait(POLL_S)
        while not self.stop.is_set():
            self.turn()

    def turn(self) -> None:
        """Once round: swap models, then poll, answer and publish one batch."""
        self.on_step("idle")
        for bot, version in self.slots.swap(self.worker.engine):
            self.counters.swaps += 1
            _log.info("swapped", bot=bot, version=version)
        batch = self._poll()
        if not batch.records:
            return
        self.on_step("polled")
        self.counters.in_flight = len(batch.records)
        try:
            self._answer(batch)
        except BatchDropped:
            self.counters.dropped_batches += 1
            _log.info("batch_dropped", questions=len(batch.records), why="stopping")
        finally:
            self.counters.in_flight = 0

    def _poll(self) -> Batch:
        try:
            batch = self.exchange.poll(POLL_S)
        except Unavailable as error:
            _log.warning("kafka_unavailable", error=str(error))
            self.stop.wait(RETRY_S)
            return Batch(())
        self.polled_once.set()
        return batch

    def _answer(self, batch: Batch) -> None:
        replies = self.worker.answer(batch.records)
        try:
            published = self.exchange.publish(batch, [item for reply in replies for item in reply.outgoing])
        except InvalidMessage as error:  # the broker refused one; it is polled again as a dead letter
            _log.warning("answer_refused", turn_id=error.question_id, error=str(error))
            if error.question_id is not None:
                self.worker.refuse(error.question_id)
            published = False
        if published:
            self._count(replies)
        else:
            self.counters.dropped_batches += 1
            _log.warning("batch_dropped", questions=len(batch.records), why="not published")

    def _count(self, replies: Sequence[Reply]) -> None:
        self.counters.batches += 1
        for reply in replies:
            if reply.is_dead_letter:
                self.counters.dead_letters += 1
                _log.warning("dead_letter", turn_id=reply.turn_id, **reply.facts)
            else:
                self.counters.answered += 1
                self.counters.fallbacks += reply.facts.get("fallback") is not None
                _log.info("answered", turn_id=reply.turn_id, **reply.facts)
