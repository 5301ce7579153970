"""The loop's own guards, in place and taken out, on a broker in memory: without one, a question is lost or doubled."""

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
from tests.unit.test_worker import WorkerHarness

QUESTION = legacy_text("하늘", "ChatbotA", "안녕?")
both = pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "guard taken out"])


class Died(BaseException):
    """Stands for a process that ends."""


def holds(broker: Broker) -> bool:
    """Exactly one answer or dead letter for each question."""
    replies = Counter(
        record.headers["turn_id"] for topic in (*BOT_IDS, DEAD_LETTER_TOPIC) for record in broker.all(topic)
    )
    return replies == dict.fromkeys((turn_id(r.partition, r.offset) for r in broker.all(QUESTION_TOPIC)), 1)


@both
def test_2_only_the_answered_prefix_is_committed(tmp_path, monkeypatch, guarded: bool) -> None:
    """A position past a question that is still being decoded loses it with the process."""
    if not guarded:
        monkeypatch.setattr(InFlightTracker, "take", _whatever_is_answered)
    bench = WorkerHarness(tmp_path)
    bench.ask(QUESTION, QUESTION)
    bench.engine.steps_by_id = {f"{turn_id(0, 0)}@3": 1000}
    bench.drain(10)
    bench.restart(ScriptedModel())
    bench.drain()
    assert holds(bench.broker) is guarded


@both
def test_2_a_new_generation_drops_what_is_in_flight(tmp_path, guarded: bool) -> None:
    """Another worker has answered it by then; published under the new assignment it would be answered twice."""
    bench = WorkerHarness(tmp_path, steps=5)
    if not guarded:
        bench.loop.consumer = _OneAssignment(bench.broker)
    bench.ask(QUESTION)
    bench.drain(2)
    bench.broker.rebalance()
    other = WorkerHarness(tmp_path / "other")
    other.broker, other.loop.consumer = bench.broker, InMemoryTransactionalConsumer(bench.broker)
    other.drain()
    bench.drain()
    assert holds(bench.broker) is guarded


@both
def test_6_after_a_failed_publication_the_loop_recovers(tmp_path, monkeypatch, guarded: bool) -> None:
    """The questions were polled already; only the committed positions bring them back."""
    if not guarded:
        monkeypatch.setattr(InMemoryTransactionalConsumer, "recover", lambda _: None)
    bench = WorkerHarness(tmp_path, fail_publishes=1)
    bench.ask(QUESTION)
    bench.drain()
    bench.ask(QUESTION)
    bench.drain()
    assert holds(bench.broker) is guarded


@both
def test_3_a_question_that_kills_is_given_up(tmp_path, monkeypatch, guarded: bool) -> None:
    """Without the count every heir dies of it too, and nobody behind it is ever answered."""
    if not guarded:
        monkeypatch.setattr(CrashLog, "count", lambda *_: 0)

    class Deadly(ScriptedEngine):
        def step(self):
            if any(turn_id(0, 0) in request_id for request_id in self._left):
                raise Died
            return super().step()

    bench = WorkerHarness(tmp_path)
    bench.ask(QUESTION, QUESTION)
    for _ in range(8):
        bench.worker.engine = bench.engine = Deadly()
        try:
            bench.drain()
        except Died:
            bench.restart(ScriptedModel())
    assert holds(bench.broker) is guarded


@both
def test_4_a_question_that_takes_too_long_gets_a_notice(tmp_path, guarded: bool) -> None:
    """Without its deadline it keeps its place for ever, and no question behind it in its partition is ever published."""
    bench = WorkerHarness(tmp_path, serving={"answer_deadline_s": 1.0})
    bench.worker.engine = bench.engine = endless = Endless(heeds_deadlines=guarded)
    bench.ask(QUESTION, QUESTION)
    bench.drain(2)
    bench.now += timedelta(seconds=2)
    endless.is_late = True
    bench.drain()
    assert holds(bench.broker) is guarded
    assert [turn.fallback for turn in bench.turns()] == (["timeout", "timeout"] if guarded else [])


@both
def test_10_a_second_answer_is_known_by_its_question(tmp_path, guarded: bool) -> None:
    """Should the group's positions ever go back, readers and the worker's own metric can tell."""
    bench = WorkerHarness(tmp_path)
    bench.ask(QUESTION)
    bench.drain()
    bench.broker.committed.clear()
    bench.consumer.recover()
    if not guarded:
        bench.loop._published.clear()
    bench.drain()
    answers = bench.broker.all("ChatbotA")
    assert len(answers) == 2
    assert {(a.headers["question_partition"], a.headers["question_offset"]) for a in answers} == {("0", "0")}
    assert (bench.metrics.tally()["double_drops"] == 1) is guarded


def test_9_the_watchdog_ends_a_process_that_stands_still() -> None:
    """The same process without one is still standing there when the watched one has ended."""
    stands_still = "import threading; threading.Event().wait()"
    watched = f"from serving.watchdog import Watchdog; Watchdog(0.3, lambda s: None).start(); {stands_still}"
    unwatched = subprocess.Popen([sys.executable, "-c", stands_still], cwd=CHECKOUT)
    try:
        ended = subprocess.run([sys.executable, "-c", watched], cwd=CHECKOUT, timeout=60)
        assert ended.returncode == STALLED_EXIT_CODE
        assert unwatched.poll() is None
    finally:
        unwatched.kill()
        unwatched.wait()


class Endless(ScriptedEngine):
    """Decodes without end, until it is told that everybody's time is up."""

    def __init__(self, *, heeds_deadlines: bool) -> None:
        super().__init__(steps=10**9, stop_reason="deadline")
        self._heeds_deadlines = heeds_deadlines
        self._has_deadline: set[str] = set()
        self.is_late = False

    def add_request(self, request_id, model, prompt_ids, *, deadline_s=None, sampling=None):
        super().add_request(request_id, model, prompt_ids, deadline_s=deadline_s, sampling=sampling)
        if deadline_s is not None and self._heeds_deadlines:
            self._has_deadline.add(request_id)

    def step(self):
        if self.is_late:
            self._left.update(dict.fromkeys(self._has_deadline & self._left.keys(), 1))
        return super().step()


class _OneAssignment(InMemoryTransactionalConsumer):
    """Every batch has the same assignment, and whatever is published is published under the newest one."""

    def poll(self, timeout_s, max_records):
        batch = super().poll(timeout_s, max_records)
        return Batch(batch.records, Assignment(0))

    def publish(self, assignment, positions, outgoing):
        return super().publish(Assignment(self._broker.generation), positions, outgoing)


def _whatever_is_answered(self: InFlightTracker, max_replies: int, max_bytes: int) -> CommittableBatch:
    del max_bytes
    positions, taken = {}, []
    for partition, requests in self._requests_by_partition.items():
        for request in [request for request in requests if request.reply is not None]:
            requests.remove(request)
            positions[partition] = request.record.offset + 1
            taken.append(request)
    self._count -= len(taken)
    return CommittableBatch(positions=positions, requests=tuple(taken[:max_replies]))
