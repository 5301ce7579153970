"""The guards of the worker's loop, in place and taken out, on an in-memory broker.

The numbers in the names are those of ADR 0034.
"""

import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.domain.chat.wire import legacy_text, turn_id
from kogpt2_chat.ports import Assignment, Batch
from kogpt2_chat.settings import CHECKOUT
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel
from kogpt2_chat.testing.kafka import Broker, InMemoryTransactionalConsumer
from serving.crashes import CrashLog
from serving.in_flight import CommittableBatch, InFlightTracker
from serving.watchdog import STALLED_EXIT_CODE
from tests.simulated_kill import SimulatedKill
from tests.worker_harness import WorkerHarness

QUESTION = legacy_text("하늘", "ChatbotA", "안녕?")
both = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "guard taken out"])


def is_exactly_once(broker: Broker) -> bool:
    """Return whether each question has exactly one answer or dead letter."""
    replies = Counter(
        record.headers["turn_id"] for topic in (*BOT_IDS, DEAD_LETTER_TOPIC) for record in broker.all(topic)
    )
    return replies == dict.fromkeys((turn_id(r.partition, r.offset) for r in broker.all(QUESTION_TOPIC)), 1)


@both
def test_2_only_the_answered_prefix_is_committed(tmp_path, monkeypatch, guarded: bool) -> None:
    """A position past a question that is still being decoded loses the question when the process ends."""
    if not guarded:
        monkeypatch.setattr(InFlightTracker, "take", _take_all_replies)
    harness = WorkerHarness(tmp_path)
    harness.ask(QUESTION, QUESTION)
    harness.engine.steps_by_id = {f"{turn_id(0, 0)}@3": 1000}
    harness.drain(10)
    harness.restart(ScriptedModel())
    harness.drain()
    assert is_exactly_once(harness.broker) is guarded


@both
def test_2_a_new_assignment_drops_what_is_in_flight(tmp_path, guarded: bool) -> None:
    """Another worker has answered it by then; published under the new assignment, it would have two answers."""
    harness = WorkerHarness(tmp_path, steps=5)
    if not guarded:
        harness.loop.consumer = _IgnoredAssignments(harness.broker)
    harness.ask(QUESTION)
    harness.drain(2)
    harness.broker.rebalance()
    other = WorkerHarness(tmp_path / "other")
    other.broker, other.loop.consumer = harness.broker, InMemoryTransactionalConsumer(harness.broker)
    other.drain()
    harness.drain()
    assert is_exactly_once(harness.broker) is guarded


@both
def test_6_after_a_failed_publication_the_loop_recovers(tmp_path, monkeypatch, guarded: bool) -> None:
    """The questions were polled already; only the committed positions bring them back."""
    if not guarded:
        monkeypatch.setattr(InMemoryTransactionalConsumer, "recover", lambda _: None)
    harness = WorkerHarness(tmp_path, fail_publishes=1)
    harness.ask(QUESTION)
    harness.drain()
    harness.ask(QUESTION)
    harness.drain()
    assert is_exactly_once(harness.broker) is guarded


@both
def test_3_a_question_that_ends_processes_becomes_a_dead_letter(tmp_path, monkeypatch, guarded: bool) -> None:
    """If deaths are not counted, each successor dies as well, and no later question is answered."""
    if not guarded:
        monkeypatch.setattr(CrashLog, "count", lambda *_: 0)

    class Deadly(ScriptedEngine):
        def step(self):
            if any(turn_id(0, 0) in request_id for request_id in self._left):
                raise SimulatedKill
            return super().step()

    harness = WorkerHarness(tmp_path)
    harness.ask(QUESTION, QUESTION)
    for _ in range(8):
        harness.worker.engine = harness.engine = Deadly()
        try:
            harness.drain()
        except SimulatedKill:
            harness.restart(ScriptedModel())
    assert is_exactly_once(harness.broker) is guarded


@both
def test_4_a_question_that_takes_too_long_gets_a_notice(tmp_path, guarded: bool) -> None:
    """Without a deadline it stays in flight, and no later reply of its partition is ever published."""
    harness = WorkerHarness(tmp_path, serving={"answer_deadline_s": 1.0})
    harness.worker.engine = harness.engine = engine = EndlessEngine(obeys_deadlines=guarded)
    harness.ask(QUESTION, QUESTION)
    harness.drain(2)
    harness.now += timedelta(seconds=2)
    engine.is_late = True
    harness.drain()
    assert is_exactly_once(harness.broker) is guarded
    assert [turn.fallback for turn in harness.turns()] == (["timeout", "timeout"] if guarded else [])


@both
def test_10_a_second_answer_is_recognised_by_its_question(tmp_path, guarded: bool) -> None:
    """If the group's positions go back, readers see the duplicate in its headers, and the worker counts it."""
    harness = WorkerHarness(tmp_path)
    harness.ask(QUESTION)
    harness.drain()
    harness.broker.committed.clear()
    harness.consumer.recover()
    if not guarded:
        harness.loop._published.clear()
    harness.drain()
    answers = harness.broker.all("ChatbotA")
    assert len(answers) == 2
    assert {(a.headers["question_partition"], a.headers["question_offset"]) for a in answers} == {("0", "0")}
    assert (harness.metrics.tally()["double_drops"] == 1) is guarded


def test_9_the_watchdog_ends_a_process_that_hangs() -> None:
    """The same process without a watchdog is still running when the watched one has ended."""
    hang = "import threading; threading.Event().wait()"
    watched = f"from serving.watchdog import Watchdog; Watchdog(0.3, lambda s: None).start(); {hang}"
    unwatched = subprocess.Popen([sys.executable, "-c", hang], cwd=CHECKOUT)
    try:
        ended = subprocess.run([sys.executable, "-c", watched], cwd=CHECKOUT, timeout=60)
        assert ended.returncode == STALLED_EXIT_CODE
        assert unwatched.poll() is None
    finally:
        unwatched.kill()
        unwatched.wait()


class EndlessEngine(ScriptedEngine):
    """Decodes forever, until `is_late` is set: then it ends the requests with a deadline, if it obeys deadlines."""

    def __init__(self, *, obeys_deadlines: bool) -> None:
        super().__init__(steps=10**9, stop_reason="deadline")
        self._obeys_deadlines = obeys_deadlines
        self._has_deadline: set[str] = set()
        self.is_late = False

    def add_request(self, request_id, model, prompt_ids, *, deadline_s=None, sampling=None):
        super().add_request(request_id, model, prompt_ids, deadline_s=deadline_s, sampling=sampling)
        if deadline_s is not None and self._obeys_deadlines:
            self._has_deadline.add(request_id)

    def step(self):
        if self.is_late:
            self._left.update(dict.fromkeys(self._has_deadline & self._left.keys(), 1))
        return super().step()


class _IgnoredAssignments(InMemoryTransactionalConsumer):
    """Polls all batches with the same assignment, and publishes everything under the newest one."""

    def poll(self, timeout_s, max_records):
        batch = super().poll(timeout_s, max_records)
        return Batch(batch.records, Assignment(0))

    def publish(self, assignment, positions, outgoing):
        return super().publish(Assignment(self._broker.generation), positions, outgoing)


def _take_all_replies(self: InFlightTracker, max_replies: int, max_bytes: int) -> CommittableBatch:
    del max_bytes
    positions, taken = {}, []
    for partition, requests in self._requests_by_partition.items():
        for request in [request for request in requests if request.reply is not None]:
            requests.remove(request)
            positions[partition] = request.record.offset + 1
            taken.append(request)
    self._count -= len(taken)
    return CommittableBatch(positions=positions, requests=tuple(taken[:max_replies]))
