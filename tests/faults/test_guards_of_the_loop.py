"""The loop's own guards, in place and taken out, on a broker in memory: without one, a question is lost or doubled."""

import subprocess
import sys
from collections import Counter

import pytest

from kogpt2_chat.domain.bots import BOT_IDS
from kogpt2_chat.domain.topics import DEAD_LETTER_TOPIC, QUESTION_TOPIC
from kogpt2_chat.domain.wire import legacy_text, turn_id
from kogpt2_chat.settings import CHECKOUT
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel
from kogpt2_chat.testing.kafka import Broker, MemoryExchange
from serving.crashes import CrashLog
from serving.flight import Flight, Prefix
from serving.watchdog import STALLED_EXIT_CODE
from tests.unit.test_worker import Bench

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
        monkeypatch.setattr(Flight, "take", _whatever_is_answered)
    bench = Bench(tmp_path)
    bench.ask(QUESTION, QUESTION)
    bench.engine.steps_by_id = {turn_id(0, 0): 1000}
    bench.drain(10)
    bench.be_born_again(ScriptedModel())
    bench.drain()
    assert holds(bench.broker) is guarded


@both
def test_2_a_new_generation_drops_what_is_in_flight(tmp_path, guarded: bool) -> None:
    """Another worker has answered it by then; published under the new claim it would be answered twice."""
    bench = Bench(tmp_path, steps=5)
    if not guarded:
        bench.loop.exchange = _Claimless(bench.broker)
    bench.ask(QUESTION)
    bench.drain(2)
    bench.broker.rebalance()
    other = Bench(tmp_path / "other")
    other.broker, other.loop.exchange = bench.broker, MemoryExchange(bench.broker)
    other.drain()
    bench.drain()
    assert holds(bench.broker) is guarded


@both
def test_6_after_a_failed_publication_the_loop_recovers(tmp_path, monkeypatch, guarded: bool) -> None:
    """The questions were polled already; only the committed positions bring them back."""
    if not guarded:
        monkeypatch.setattr(MemoryExchange, "recover", lambda _: None)
    bench = Bench(tmp_path, fail_publishes=1)
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
            if turn_id(0, 0) in self._left:
                raise Died
            return super().step()

    bench = Bench(tmp_path)
    bench.ask(QUESTION, QUESTION)
    for _ in range(8):
        bench.worker.engine = bench.engine = Deadly()
        bench.slots.swap(bench.engine)
        try:
            bench.drain()
        except Died:
            bench.be_born_again(ScriptedModel())
    assert holds(bench.broker) is guarded


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


class _Claimless(MemoryExchange):
    """Every batch has the same claim, and whatever is published is published under the newest."""

    def poll(self, timeout_s, max_records):
        batch = super().poll(timeout_s, max_records)
        return type(batch)(batch.records, "always the same")

    def publish(self, claim, positions, outgoing):
        return super().publish(self._broker.generation, positions, outgoing)


def _whatever_is_answered(self: Flight, most: int) -> Prefix:
    positions, replies = {}, []
    for partition, places in self._places_by_partition.items():
        for place in [place for place in places if place.reply is not None]:
            places.remove(place)
            positions[partition] = place.offset + 1
            replies.append(place.reply)
    self._count -= len(replies)
    return Prefix(positions=positions, replies=tuple(replies[:most]))
