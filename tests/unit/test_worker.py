"""The worker on an in-memory broker: every question gets one answer or one dead letter."""

import importlib
import json
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK, Turn
from kogpt2_chat.domain.chat.unsure import UNSURE_BY_BOT
from kogpt2_chat.domain.chat.wire import legacy_text, v1_text
from kogpt2_chat.errors import Fenced, Unavailable
from kogpt2_chat.inference.engine import Finished
from kogpt2_chat.inference.nearest import Known, NearestQuestions
from kogpt2_chat.inference.uncertain import Thresholds, Uncertainty
from kogpt2_chat.testing.engine import ScriptedModel
from kogpt2_chat.testing.executor import InlineExecutor
from kogpt2_chat.testing.kafka import put_question
from serving.app import FINISH_S
from serving.crashes import CrashLog
from serving.loop import IDLE_POLL_S, LAST_WAIT_S, MAX_BYTES_PER_TRANSACTION, RETRY_S
from serving.slot import LoadedVersion
from tests.simulated_kill import SimulatedKill
from tests.worker_harness import WorkerHarness, died_during


def test_an_answer_has_the_topic_and_key_that_the_unity_client_expects(tmp_path):
    """The topic is the bot, the key is the sender in the question, and the value is plain text."""
    harness = WorkerHarness(tmp_path)
    put_question(harness.broker, legacy_text("하늘", "ChatbotA", "안녕?").encode(), key=b"someone else")
    harness.drain()
    (answer,) = harness.broker.all("ChatbotA")
    assert (answer.key.decode(), answer.value.decode()) == ("하늘", "안녕하세요!")
    assert answer.headers["model_version"] == "3"
    assert answer.headers["epoch"] == "2"
    assert "fallback" not in answer.headers


def test_a_turn_has_all_fields_that_the_lake_needs(tmp_path):
    """The text is masked, tokens and decoding parameters are kept, and the times are those of the worker."""
    harness = WorkerHarness(tmp_path, answers=lambda _: "그래요")
    harness.ask(
        v1_text(
            question_id="q1",
            bot="ChatbotB",
            sender="하늘",
            sender_id="p1",
            text="내 번호는 010-1234-5678 이야",
            consent={"train": True},
            mood="기쁨",
        )
    )
    harness.drain()
    (turn,) = harness.turns()
    assert "5678" not in turn.text
    assert turn.answer == "그래요"
    assert (turn.player_id, turn.consent_train, turn.extra, turn.worker) == ("p1", True, {"mood": "기쁨"}, "worker-1")
    assert len(turn.answer_token_ids) == 3
    assert turn.prompt_tokens > 3
    assert turn.decoding["strategy"] == "greedy"
    assert turn.latency_ms == (
        datetime.fromisoformat(turn.answered_at) - datetime.fromisoformat(turn.received_at)
    ) / timedelta(milliseconds=1)


def put_at(harness, milliseconds):
    """Give the first question a time of the broker, in milliseconds after the harness's present."""
    records = harness.broker.log("bot_question", 0).records
    time = harness.now.timestamp() * 1000 + milliseconds
    records[0] = replace(records[0], timestamp_ms=int(time))


def test_a_turn_says_where_its_time_went(tmp_path):
    """In Kafka until the poll, in the worker until the first step, and in decoding."""
    harness = WorkerHarness(tmp_path)
    harness.engine.decode_s = 0.04
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    put_at(harness, -200)
    harness.worker.admit(harness.consumer.poll(0, 1).records)
    harness.seconds += 0.5
    harness.worker.step()
    (answered,) = harness.worker.tracker.take(10, 10**6).replies
    turn = answered.turn
    assert (turn.kafka_ms, turn.queue_ms, turn.decode_ms) == (205, 460, 40)
    assert turn.queue_ms + turn.decode_ms <= turn.latency_ms
    assert Turn.from_json(turn.to_json()) == turn


def test_no_time_of_a_turn_is_negative(tmp_path):
    """The broker's clock is ahead, and the engine measures more than the worker."""
    harness = WorkerHarness(tmp_path)
    harness.engine.decode_s = 9.0
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    put_at(harness, 60_000)
    harness.drain()
    (turn,) = harness.turns()
    assert (turn.kafka_ms, turn.queue_ms, turn.decode_ms) == (0, 0, 9000)


def test_what_was_not_measured_is_missing(tmp_path):
    """A muted bot decodes nothing and has no prompt; a time before the first plausible year is no time."""
    harness = WorkerHarness(tmp_path)
    harness.slots.mute("ChatbotA", muted=True)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    put_at(harness, -(10**15))
    harness.drain()
    (turn,) = harness.turns()
    assert (turn.kafka_ms, turn.queue_ms, turn.decode_ms, turn.unknown_tokens) == (None, None, None, None)
    assert "_ms" not in turn.to_json().replace("latency_ms", ""), "earlier releases would keep the nulls in `extra`"


def test_a_question_that_is_late_before_its_first_step_has_no_decoding_time(tmp_path):
    """Its prompt was made, but nothing was decoded."""
    harness = WorkerHarness(tmp_path)
    harness.engine.step = lambda: [
        Finished(request_id=name, token_ids=(), stop_reason="deadline") for name in harness.worker.tracker.decoding
    ]
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain()
    (turn,) = harness.turns()
    assert (turn.fallback, turn.queue_ms, turn.decode_ms, turn.unknown_tokens) == ("timeout", None, None, 0)


def test_a_turn_counts_the_unknown_tokens_of_its_prompt(tmp_path):
    """They stand for characters outside the vocabulary."""
    harness = WorkerHarness(tmp_path)
    model = ScriptedModel("4", lambda _: "네")
    model.encode = lambda _: [2, UNKNOWN_ID, 300, UNKNOWN_ID]
    harness.slots.activate("ChatbotA", LoadedVersion(version=4, model=model), rollout_epoch=3)
    harness.ask(legacy_text("n", "ChatbotA", "쀍쀍"))
    harness.drain()
    (turn,) = harness.turns()
    assert (turn.prompt_tokens, turn.unknown_tokens) == (4, 2)


def test_without_consent_to_store_the_turn_has_no_text(tmp_path):
    """The player gets an answer. The turn records that there was a question, but not its content."""
    harness = WorkerHarness(tmp_path)
    harness.ask(
        v1_text(question_id="q1", bot="ChatbotA", sender="하늘", text="안녕?", consent={"store": False}, note="비밀")
    )
    harness.drain()
    (turn,) = harness.turns()
    assert harness.texts() == ["안녕하세요!"]
    assert (turn.text, turn.answer, turn.answer_token_ids, turn.extra) == ("", "", (), {})


def test_bad_records_are_dead_letters_and_the_next_question_is_answered(tmp_path):
    """A dead letter has the value of its record. Its offset is committed like that of an answered question."""
    harness = WorkerHarness(tmp_path)
    harness.ask("헛소리", legacy_text("n", "ChatbotA", "안녕?"), b"x" * 17_000, legacy_text("n", "ChatbotZ", "안녕?"))
    put_question(harness.broker, None)
    harness.drain()
    assert harness.texts() == ["안녕하세요!"]
    assert [reason for reason, _ in harness.dead()] == ["not_a_question", "too_large", "unknown_bot", "not_a_question"]
    assert [record.value for record in harness.broker.all(DEAD_LETTER_TOPIC)][1] == b"x" * 17_000
    assert harness.broker.committed[0] == 5


def assert_only_notice(harness: WorkerHarness, fallback: str) -> None:
    """Assert that the only answer is the notice of this fallback."""
    assert harness.texts() == [NOTICE_BY_FALLBACK[fallback]]
    assert_only_fallback(harness, fallback)


def assert_only_fallback(harness: WorkerHarness, fallback: str) -> None:
    """Assert that there is one answer, and that it and its turn have this fallback."""
    assert [answer.headers["fallback"] for answer in harness.broker.all("ChatbotA")] == [fallback]
    assert [turn.fallback for turn in harness.turns()] == [fallback]


def test_a_bot_without_a_version_answers_with_its_notice(tmp_path):
    """Version 0 in the header means that no model answered."""
    harness = WorkerHarness(tmp_path, models=False)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain()
    assert_only_notice(harness, "degraded")
    assert harness.broker.all("ChatbotA")[0].headers["model_version"] == "0"


def test_a_muted_bot_answers_with_its_notice(tmp_path):
    """Its model does not decode the question."""
    harness = WorkerHarness(tmp_path)
    harness.slots.mute("ChatbotA", muted=True)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain()
    assert_only_notice(harness, "muted")
    assert "decoding" not in harness.steps


def test_an_empty_answer_is_replaced_by_its_notice(tmp_path):
    """The model generated no text before the end token."""
    harness = WorkerHarness(tmp_path, answers={"침묵": ""})
    harness.ask(legacy_text("n", "ChatbotA", "침묵"))
    harness.drain()
    assert_only_notice(harness, "empty")


def test_a_question_that_arrives_after_its_deadline_gets_the_timeout_notice(tmp_path):
    """`reply_by` has passed before the worker polls the question."""
    harness = WorkerHarness(tmp_path)
    harness.ask(v1_text(question_id="q", bot="ChatbotA", sender="n", text="안녕?", reply_by="2026-11-24T02:00:00Z"))
    harness.drain()
    assert_only_notice(harness, "timeout")


def test_an_unfinished_answer_is_replaced_by_the_timeout_notice(tmp_path):
    """The engine stopped decoding it at the deadline."""
    harness = WorkerHarness(tmp_path)
    harness.engine.stop_reason = "deadline"
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain()
    assert harness.texts() == [NOTICE_BY_FALLBACK["timeout"]]
    assert harness.turns()[0].answer_token_ids == ()


def test_questions_of_all_bots_are_decoded_in_the_same_steps(tmp_path):
    """Three bots with four steps each take four steps in total, not twelve."""
    harness = WorkerHarness(tmp_path, steps=4)
    for number, bot in enumerate(BOT_IDS):
        harness.ask(legacy_text("n", bot, "안녕?"), partition=number)
    harness.drain()
    assert harness.steps.count("decoding") == 4
    assert [harness.texts(bot) for bot in BOT_IDS] == [["안녕하세요!"]] * 3


def test_a_question_joins_while_others_are_being_decoded(tmp_path):
    """It does not wait until the others are finished."""
    harness = WorkerHarness(tmp_path, steps=4)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(2)
    harness.ask(legacy_text("n", "ChatbotB", "안녕?"), partition=1)
    harness.drain(3)
    assert (len(harness.texts("ChatbotA")), len(harness.texts("ChatbotB"))) == (1, 0)
    harness.drain(2)
    assert len(harness.texts("ChatbotB")) == 1
    assert harness.steps.count("decoding") == 6


def test_an_answer_waits_only_for_earlier_ones_of_its_partition(tmp_path):
    """Kafka stores one offset per partition, so later replies are published together with a slow answer."""
    harness = WorkerHarness(tmp_path)
    harness.engine.steps_by_id = {"bot_question-0-0@3": 5}
    harness.ask(legacy_text("느림", "ChatbotA", "안녕?"), legacy_text("뒤", "ChatbotA", "안녕?"), "헛소리")
    harness.ask(legacy_text("옆", "ChatbotB", "안녕?"), partition=1)
    harness.drain(3)
    assert (harness.texts("ChatbotA"), harness.texts("ChatbotB"), harness.dead()) == ([], ["안녕하세요!"], [])
    assert harness.broker.committed == {1: 1}
    harness.drain()
    assert [record.key.decode() for record in harness.broker.all("ChatbotA")] == ["느림", "뒤"]
    assert harness.broker.committed == {0: 3, 1: 1}
    assert harness.dead() == [("not_a_question", "bot_question-0-2")]


def test_the_number_of_questions_in_flight_is_limited(tmp_path):
    """The other questions wait in Kafka, where another worker can poll them after a rebalance."""
    harness = WorkerHarness(tmp_path, steps=10)
    harness.loop.max_in_flight = 2
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(5)))
    harness.drain(3)
    assert (harness.engine.in_flight, sum(harness.consumer.lag().values())) == (2, 3)
    harness.drain(60)
    assert len(harness.texts()) == 5


def test_questions_of_an_aborted_transaction_are_answered_once(tmp_path):
    """They are polled and decoded again. Consumers do not see the records of an aborted transaction."""
    harness = WorkerHarness(tmp_path, fail_publishes=2)
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)), "헛소리")
    harness.drain()
    assert Counter(record.headers["turn_id"] for record in harness.broker.all("ChatbotA")).most_common(1)[0][1] == 1
    assert len(harness.texts()) == 3
    assert len(harness.dead()) == 1
    assert harness.broker.aborted > 0
    tally = harness.metrics.tally()
    assert (tally["dropped"], tally["answered"]) == (8, 3)
    assert harness.consumer.recoveries == 3


class HeldExecutor(InlineExecutor):
    """Runs a transaction only when the test releases it."""

    def __init__(self) -> None:
        self.held = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.held.append((future, lambda: fn(*args, **kwargs)))
        return future

    def release(self) -> None:
        future, call = self.held.pop(0)
        future.set_result(call())


def test_decoding_continues_while_a_transaction_is_running(tmp_path):
    """Only one transaction runs at a time. Answers that are finished during it go into the next one."""
    harness = WorkerHarness(tmp_path)
    executor = harness.loop.publisher = HeldExecutor()
    for _ in range(3):
        harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
        harness.drain(3)
    assert (len(executor.held), harness.steps.count("decoding")) == (1, 3)
    executor.release()
    harness.drain(2)
    assert (len(harness.texts()), len(executor.held)) == (1, 1)
    executor.release()
    harness.drain(1)
    assert len(harness.texts()) == 3
    assert harness.metrics.tally()["publications"] == 2


def test_answers_need_not_wait_for_a_transaction_that_ended_during_their_step(tmp_path, monkeypatch):
    """Otherwise every second step's answers would be a step late, because a transaction is shorter than a step."""
    harness = WorkerHarness(tmp_path)
    executor = harness.loop.publisher = HeldExecutor()
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    assert (len(harness.texts()), len(executor.held)) == (0, 1)
    step = harness.engine.step

    def step_during_which_the_transaction_ends():
        executor.release()
        return step()

    monkeypatch.setattr(harness.engine, "step", step_during_which_the_transaction_ends)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    assert (len(harness.texts()), len(executor.held)) == (1, 1)


def test_a_transaction_that_is_committed_during_a_rebalance_is_counted(tmp_path):
    """The rebalance drops the questions in flight. Those of the committed transaction are answered, not dropped."""
    harness = WorkerHarness(tmp_path)

    class SlowExecutor(InlineExecutor):
        """Makes a transaction look unfinished until the loop waits for its result."""

        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            future.done = lambda: False
            return future

    harness.loop.publisher = SlowExecutor()
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    harness.engine.steps = 50
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    harness.broker.rebalance()
    harness.drain(1)
    tally = harness.metrics.tally()
    assert (tally["answered"], tally["publications"], tally["dropped"]) == (1, 1, 1)
    assert len(harness.texts()) == 1


def test_a_transaction_that_does_not_end_ends_the_worker(tmp_path):
    """After a rebalance its outcome is unknown. Only a new process can abort it and read the committed offsets."""
    harness = WorkerHarness(tmp_path)
    harness.loop.publisher = HeldExecutor()
    harness.loop.longest_transaction_s = 0.01
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    harness.engine.steps = 50
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    harness.broker.rebalance()
    harness.loop.models_loaded.set()
    with pytest.raises(Unavailable, match="a transaction has not ended within"):
        harness.loop.run(finish_s=1.0)
    assert harness.texts() == []


def test_after_sigterm_questions_in_flight_are_answered_and_no_others(tmp_path):
    """Later questions stay in Kafka for the next worker."""
    harness = WorkerHarness(tmp_path, steps=4)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(2)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.loop.stop.set()
    harness.loop.run(finish_s=5)
    assert len(harness.texts()) == 1
    assert harness.broker.committed == {0: 1}


class RecordingStop(threading.Event):
    """An event that is not set and records the timeouts of waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        return self.is_set()


@pytest.mark.parametrize(("failures", "pauses"), [(1, 0), (2, 1), (9, 8)])
def test_a_second_failed_publication_in_a_row_is_followed_by_a_pause(tmp_path, failures, pauses):
    """A topic or a permission may be missing. Without pauses, the worker would decode the same questions all the time."""
    harness = WorkerHarness(tmp_path, fail_publishes=failures)
    harness.loop.stop = stop = RecordingStop()
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(50)
    assert len(harness.texts()) == 1
    assert stop.waits == [RETRY_S] * pauses


def test_there_is_no_pause_after_failures_that_are_not_in_a_row(tmp_path):
    """A rebalance also makes a transaction fail, and then a pause is not useful."""
    harness = WorkerHarness(tmp_path)
    harness.loop.stop = stop = RecordingStop()
    for _ in range(4):
        harness.consumer.fail_publishes = 1
        harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
        harness.drain()
    assert len(harness.texts()) == 4
    assert stop.waits == []


def test_the_size_of_a_transaction_is_limited(tmp_path, monkeypatch):
    """On a slow connection, 96 dead letters of a megabyte each could not be sent within the request timeout."""
    harness = WorkerHarness(tmp_path)
    sizes: list[int] = []
    publish = harness.consumer.publish

    def publish_and_measure(assignment, positions, outgoing):
        sizes.append(sum(len(item.value) for item in outgoing))
        return publish(assignment, positions, outgoing)

    monkeypatch.setattr(harness.consumer, "publish", publish_and_measure)
    large = b"x" * (MAX_BYTES_PER_TRANSACTION // 4)
    harness.ask(*[large] * 20)
    harness.drain(60)
    assert len(harness.dead()) == 20
    assert max(sizes) < 2 * MAX_BYTES_PER_TRANSACTION


def test_a_fenced_worker_ends_and_publishes_nothing(tmp_path):
    """It notices this after a transaction that failed. The other process polls the same questions."""
    harness = WorkerHarness(tmp_path, fail_publishes=9)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.loop.models_loaded.set()
    recover = harness.consumer.recover

    def recover_until_fenced() -> None:
        recover()
        if harness.consumer.recoveries > 1:
            raise Fenced("kogpt2-worker-1: another process has this ordinal")

    harness.consumer.recover = recover_until_fenced
    with pytest.raises(Fenced):
        harness.loop.run(finish_s=5)
    assert harness.texts() == []
    assert harness.broker.committed == {}


class LoopTime:
    """Replaces the module ``time`` of the loop. Only sleeps and waits for a transaction advance it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class UnendingExecutor(InlineExecutor):
    """Starts transactions that never end. A wait for one advances the time by its timeout."""

    def __init__(self, time: LoopTime) -> None:
        self._time = time

    def submit(self, fn, /, *args, **kwargs):
        future = Future()

        def time_out(timeout):
            self._time.sleep(timeout)
            raise TimeoutError

        future.result = time_out
        return future


def test_sigterm_does_not_wait_for_a_transaction_that_never_ends(tmp_path):
    """A worker must end within ten seconds, even without a broker."""
    time = LoopTime()
    harness = WorkerHarness(tmp_path)
    harness.loop.monotonic, harness.loop.sleep = time.monotonic, time.sleep
    harness.loop.publisher = UnendingExecutor(time)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(2)
    harness.loop.stop.set()
    harness.loop.run(finish_s=FINISH_S)
    assert time.now == pytest.approx(FINISH_S + LAST_WAIT_S, abs=2 * IDLE_POLL_S)
    assert time.now < 10
    assert harness.texts() == []


def test_an_answer_that_is_too_large_for_its_topic_becomes_a_dead_letter(tmp_path, monkeypatch):
    """Either the worker finds this before it sends the answer, or the broker refuses the answer."""
    harness = WorkerHarness(tmp_path)
    monkeypatch.setattr("kogpt2_chat.testing.kafka._max_bytes", lambda topic: 3 if topic == "ChatbotA" else 10**6)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"), legacy_text("n", "ChatbotB", "안녕?"))
    harness.drain()
    assert harness.dead() == [("answer_too_large", "bot_question-0-0")]
    assert harness.texts("ChatbotB") == ["안녕하세요!"]
    monkeypatch.setattr("serving.reply._max_value_bytes", lambda _: 1)
    harness.ask(legacy_text("n", "ChatbotB", "안녕?"))
    harness.drain()
    assert harness.dead()[1:] == [("answer_too_large", "bot_question-0-2")]


def die_while_decoding(harness: WorkerHarness, fatal: str) -> None:
    """Start a new process that dies when it decodes this question."""

    def answer(question: str) -> str:
        if question == fatal:
            raise SimulatedKill
        return "살았다"

    harness.restart(ScriptedModel(answers=answer))
    with pytest.raises(SimulatedKill):
        harness.drain()


def test_a_question_that_kills_the_worker_three_times_is_a_dead_letter(tmp_path):
    """The questions that were decoded together with it are answered."""
    harness = WorkerHarness(tmp_path)
    harness.ask(*(legacy_text("n", "ChatbotA", text) for text in ("하나", "독", "둘")))
    for _ in range(3):
        die_while_decoding(harness, "독")
    harness.restart(ScriptedModel())
    harness.drain()
    assert harness.dead() == [("crash_loop", "bot_question-0-1")]
    # The question before the fatal one was answered and published by the process after the first crash.
    assert harness.texts() == ["살았다", "둘"]
    assert CrashLog(harness.crash_path).count("bot_question-0-0") == 0


def in_progress(path):
    """Return the work that the newer one of both files lists."""
    states = [json.loads(file.read_text()) for file in (path, path.with_name("crashes.2.json"))]
    return max(states, key=lambda state: state["number"])["in_flight"]


def test_questions_that_are_dropped_at_the_end_are_not_suspects(tmp_path):
    """After SIGTERM there was no time to finish them. Nothing is published."""
    harness = WorkerHarness(tmp_path, steps=5)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    harness.loop.stop.set()
    harness.loop.run(finish_s=0)
    assert harness.texts() == []
    assert harness.engine.in_flight == 0
    assert harness.metrics.tally()["dropped"] == 1
    assert CrashLog(harness.crash_path).count("bot_question-0-0") == 0


def test_a_suspect_is_decoded_alone(tmp_path):
    """So only the question that crashes the worker keeps its count."""
    harness = WorkerHarness(tmp_path, steps=2)
    harness.worker.crashes = died_during(harness.crash_path, "bot_question-0-1")
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    in_flight = []
    harness.worker.on_step = lambda step: in_flight.append(harness.engine.in_flight) if step == "decoding" else None
    harness.drain()
    assert in_flight == [1] * 6
    assert len(harness.texts()) == 3
    assert harness.worker.crashes.count("bot_question-0-1") == 0


def test_questions_that_wait_for_a_suspect_do_not_become_suspects(tmp_path):
    """They were read without a crash, and may wait while the worker is killed several times."""
    harness = WorkerHarness(tmp_path, steps=5)
    harness.worker.crashes = died_during(harness.crash_path, "bot_question-0-0")
    for _ in range(2):
        harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(2)))
        harness.drain(1)
        assert in_progress(harness.crash_path) == ["bot_question-0-0"]


def test_no_suspect_is_decoded_during_a_transaction(tmp_path):
    """Otherwise a crash during the transaction would count for the suspect, which would become a dead letter."""
    harness = WorkerHarness(tmp_path, steps=4)
    executor = harness.loop.publisher = HeldExecutor()
    harness.worker.crashes = died_during(harness.crash_path, "bot_question-0-1")
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(2)))
    harness.drain()
    assert (len(executor.held), harness.engine.in_flight) == (1, 0), "the suspect waits for the transaction"
    executor.release()
    harness.drain(1)
    harness.ask("헛소리", partition=1)  # its dead letter can be published at once
    harness.drain(2)
    assert (len(executor.held), harness.engine.in_flight) == (0, 1), "the transaction waits for the suspect"
    harness.drain()
    executor.release()
    harness.drain()
    assert (len(harness.texts()), len(harness.dead())) == (2, 1)


def test_a_suspect_gets_its_turn_although_there_is_always_something_to_publish(tmp_path, monkeypatch):
    """Each transaction ends during a step, when the next reply is ready."""
    harness = WorkerHarness(tmp_path)
    executor = harness.loop.publisher = HeldExecutor()
    harness.worker.crashes = died_during(harness.crash_path, "bot_question-0-0")
    harness.ask("헛소리", partition=1)
    harness.drain(1)
    harness.ask("헛소리", partition=1)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    step = harness.worker.step

    def step_with_the_end_of_a_transaction(**options):
        step(**options)
        harness.ask("헛소리", partition=1)
        if executor.held:
            executor.release()

    monkeypatch.setattr(harness.worker, "step", step_with_the_end_of_a_transaction)
    harness.drain(6)
    assert harness.worker.crashes.count("bot_question-0-0") == 0
    assert len(harness.texts()) == 1


def with_a_waiting_question(folder: Path) -> WorkerHarness:
    """Return a worker that decodes one question, a suspect, while a second one waits for it."""
    harness = WorkerHarness(folder, steps=3)
    harness.worker.crashes = died_during(harness.crash_path, "bot_question-0-0")
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(2)))
    harness.drain(1)
    return harness


def test_a_turn_names_the_version_that_answered(tmp_path):
    """There may be a swap between the admission of a question and its decoding."""
    harness = with_a_waiting_question(tmp_path)
    harness.swap(4, "새로워요", rollout_epoch=3)
    harness.drain()
    assert [(turn.model_version, turn.answer) for turn in harness.turns()] == [(3, "안녕하세요!"), (4, "새로워요")]


def test_questions_in_flight_finish_on_their_versions_while_others_start_on_the_next_one(tmp_path):
    """During a swap two versions of a bot decode in the same steps. Neither waits for the other."""
    harness = WorkerHarness(tmp_path, steps=3)
    decoding: list[list[str]] = []
    tracker = harness.worker.tracker
    harness.worker.on_step = lambda step: decoding.append(list(tracker.decoding)) if step == "decoding" else None
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain(1)
    harness.swap(4, "새로워요", rollout_epoch=3)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain()
    old, new = "bot_question-0-0@3", "bot_question-0-1@4"
    assert decoding == [[old], [old, new], [old, new], [new]]
    answers = harness.broker.all("ChatbotA")
    assert [(answer.headers["model_version"], answer.value.decode()) for answer in answers] == [
        ("3", "안녕하세요!"),
        ("4", "새로워요"),
    ]
    assert [(turn.model_version, turn.epoch, turn.answer) for turn in harness.turns()] == [
        (3, 2, "안녕하세요!"),
        (4, 3, "새로워요"),
    ]


def test_a_damaged_crash_file_resets_the_counts(tmp_path):
    """It must not prevent the start of a worker."""
    path = tmp_path / "crashes.json"
    for content in (
        "",
        "{",
        "[]",
        '{"number": 1e400, "counts": {}, "in_flight": []}',
        '{"counts": 3, "in_flight": 1}',
        '{"counts": {"a": "x"}}',
    ):
        for damaged in (path, tmp_path / "crashes.2.json"):
            damaged.write_text(content)
        assert CrashLog(path).count("a") == 0


def test_the_crash_file_of_an_earlier_release_is_read(tmp_path):
    path = tmp_path / "crashes.json"
    path.write_text('{"counts": {"a": 1}, "in_flight": ["a", "b"]}')
    for _ in range(2):  # it is read once, and then numbered
        log = CrashLog(path)
        assert (log.count("a"), log.count("b"), log.suspects) == (2, 1, 2)


def test_the_crash_file_of_an_earlier_release_that_ran_in_between_is_the_newest(tmp_path):
    """Whoever goes back one release and returns has both files; the earlier release knows and writes only the first."""
    path = tmp_path / "crashes.json"
    log = CrashLog(path)
    for number in range(5):
        log.begin([f"b{number}"])
    path.write_text('{"counts": {"a": 2}, "in_flight": ["a"]}')
    log = CrashLog(path)
    assert (log.count("a"), log.suspects) == (3, 1)
    assert CrashLog(path).count("a") == 3


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_first_crash_file_alone_says_that_nothing_is_in_progress(tmp_path, steps):
    """An earlier release reads only that one."""
    path = tmp_path / "crashes.json"
    log = CrashLog(path)
    for number in range(steps):
        log.begin([f"b{number}"])
    log.begin([])
    assert json.loads(path.read_text())["in_flight"] == []


@pytest.mark.parametrize("works", [["new", "newer"], ["n"]])
@pytest.mark.parametrize("written", [0, 1, 40, 0.5, -1])
def test_a_worker_that_dies_while_it_writes_the_crash_file_loses_nothing(tmp_path, written, works):
    """The other file has the work that was in progress before; the new work had not begun."""
    path = tmp_path / "crashes.json"
    log = CrashLog(path)
    log.begin(["long ago", "and more of it"])
    log.begin(["old"])
    files = [path, tmp_path / "crashes.2.json"]
    before = [file.read_bytes() for file in files]
    log.begin(works)
    [changed] = [file for file, content in zip(files, before, strict=True) if file.read_bytes() != content]
    new, old = changed.read_bytes(), before[files.index(changed)]
    whole = len(new.rstrip())
    cut = int(written * whole) if isinstance(written, float) else written % whole
    changed.write_bytes(new[:cut] + old[cut:])
    log = CrashLog(path)
    assert (log.count("old"), log.suspects) == (1, 1)


def test_the_crash_file_is_overwritten_and_does_not_grow_with_each_step(tmp_path):
    """Replacing or truncating it would wait for the disk."""
    path = tmp_path / "crashes.json"
    log, many = CrashLog(path), [f"bot_question-0-{number}" for number in range(20)]
    log.begin(many)
    log.begin(many[::-1])
    files = [path, tmp_path / "crashes.2.json"]
    before = [(file.stat().st_ino, file.stat().st_size) for file in files]
    for number in range(50):
        log.begin(many[: number % 20])
    assert [file.stat().st_ino for file in files] == [inode for inode, _ in before]
    assert all(size <= file.stat().st_size <= size + 10 for file, (_, size) in zip(files, before, strict=True))
    assert in_progress(path) == many[: 49 % 20]


def test_an_absurd_record_timestamp_is_ignored(tmp_path):
    """Clients can set any timestamp."""
    harness = WorkerHarness(tmp_path)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    log = harness.broker.log("bot_question", 0)
    log.records[0] = type(log.records[0])(
        topic="bot_question", partition=0, offset=0, key=None, value=log.records[0].value, timestamp_ms=2**62
    )
    harness.drain()
    assert harness.turns()[0].sent_at is None


def test_sampling_is_seeded_by_the_question_s_position(tmp_path):
    """After an aborted transaction the question gets the same answer. The turn records the sampling settings."""
    harness = WorkerHarness(
        tmp_path, fail_publishes=1, serving={"sampling": {"ChatbotA": {"temperature": 0.5, "top_k": 9}}}
    )
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"), legacy_text("n", "ChatbotA", "안녕?"))
    harness.ask(legacy_text("n", "ChatbotB", "안녕?"), partition=1)
    harness.drain(1)
    first = dict(harness.engine.sampled)
    harness.drain()
    assert harness.engine.sampled == first
    assert set(first) == {"bot_question-0-0@3", "bot_question-0-1@3"}
    assert first["bot_question-0-0@3"].seed != first["bot_question-0-1@3"].seed
    decoded = {turn.turn_id: turn.decoding for turn in harness.turns()}
    sampled = decoded["bot_question-0-0"]
    assert (sampled["strategy"], sampled["temperature"], sampled["top_k"]) == ("sampled", 0.5, 9)
    assert sampled["seed"] == first["bot_question-0-0@3"].seed
    assert decoded["bot_question-1-0"]["strategy"] == "greedy"


KNOWN = [
    Known(question="안녕하세요?", answer="반가워요!", source="seed"),
    Known(question="콩떡이 누구야?", answer="포털 앞 고양이 역장님이에요.", source="correction"),
]
UNSURE = Uncertainty(Thresholds(least_logprob=-0.5, least_likeness=0.4, dev_pairs=10), NearestQuestions(KNOWN))


def unsure_harness(tmp_path, **settings):
    """Return a worker whose model is unsure of its answer, which is nonsense."""
    harness = WorkerHarness(tmp_path, answers=lambda _: "잔잔한 나룻배", uncertainty=UNSURE, **settings)
    harness.engine.logprob = -3.0
    return harness


def test_an_unsure_answer_is_replaced_by_the_nearest_known_answer(tmp_path):
    """The turn has the known question and the log probability of the model's answer, but not its tokens."""
    harness = unsure_harness(tmp_path)
    harness.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    harness.drain(3)
    assert harness.texts() == ["반가워요!"]
    assert_only_fallback(harness, "nearest")
    (turn,) = harness.turns()
    assert turn.decoding["nearest"]["question"] == "안녕하세요?"
    assert turn.decoding["nearest"]["source"] == "seed"
    assert turn.decoding["logprob"] == -3.0
    assert turn.answer_token_ids == ()


def test_an_unsure_bot_without_a_similar_known_question_says_that_it_does_not_know(tmp_path):
    """The likeness of every known question is below the threshold."""
    harness = unsure_harness(tmp_path)
    harness.ask(legacy_text("n", "ChatbotA", "수박 값이 얼마예요"))
    harness.drain(3)
    assert harness.texts()[0] in UNSURE_BY_BOT["ChatbotA"]
    assert_only_fallback(harness, "unsure")


def test_an_answer_at_the_threshold_is_not_replaced(tmp_path):
    """The version's threshold is the lowest log probability that is likely enough."""
    harness = unsure_harness(tmp_path)
    harness.engine.logprob = -0.5
    harness.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    harness.drain(3)
    assert harness.texts() == ["잔잔한 나룻배"]
    assert "fallback" not in harness.broker.all("ChatbotA")[0].headers


def test_a_version_without_thresholds_always_uses_its_model(tmp_path):
    """Earlier releases trained versions without thresholds."""
    harness = WorkerHarness(tmp_path, answers=lambda _: "잔잔한 나룻배")
    harness.engine.logprob = -9.0
    harness.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    harness.drain(3)
    assert harness.texts() == ["잔잔한 나룻배"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("model", ["잔잔한 나룻배"]), ("notice", UNSURE_BY_BOT["ChatbotA"])],
    ids=["model", "notice"],
)
def test_a_setting_decides_how_an_unsure_bot_answers(tmp_path, choice, expected):
    """Per bot, either with the model's answer or with a text that it does not know."""
    harness = unsure_harness(tmp_path, serving={"uncertain": {"ChatbotA": choice}})
    harness.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    harness.drain(3)
    (text,) = harness.texts()
    assert text in expected


def test_an_answer_that_is_not_ready_in_time_is_replaced_by_the_nearest_one(tmp_path):
    """If no known question is similar enough, the fixed notice is used."""
    harness = unsure_harness(tmp_path, serving={"answer_deadline_s": 0.001})
    harness.engine.stop_reason = "deadline"
    harness.ask(legacy_text("n", "ChatbotA", "콩떡이 누구예요"), legacy_text("n", "ChatbotA", "수박 값이 얼마예요"))
    harness.drain(3)
    assert harness.texts() == ["포털 앞 고양이 역장님이에요.", NOTICE_BY_FALLBACK["timeout"]]
    assert [turn.fallback for turn in harness.turns()] == ["nearest", "timeout"]


def test_an_empty_answer_is_replaced_by_the_nearest_one(tmp_path):
    """The nearest known answer has priority over the fixed notice."""
    harness = WorkerHarness(tmp_path, answers=lambda _: "", uncertainty=UNSURE)
    harness.ask(legacy_text("n", "ChatbotA", "콩떡이 누구예요"))
    harness.drain(3)
    assert harness.texts() == ["포털 앞 고양이 역장님이에요."]
    assert_only_fallback(harness, "nearest")


def test_without_consent_to_store_the_turn_does_not_have_the_known_question(tmp_path):
    """It is nearly the same as the player's question."""
    harness = unsure_harness(tmp_path)
    harness.ask(v1_text(question_id="q", bot="ChatbotA", sender="n", text="안녕하세요", consent={"store": False}))
    harness.drain(3)
    (turn,) = harness.turns()
    assert turn.fallback == "nearest"
    assert "question" not in turn.decoding["nearest"]
    assert turn.text == turn.answer == ""


def test_a_mute_applies_to_questions_that_already_wait(tmp_path):
    """They get the notice, with the epoch of the mute, and are not decoded."""
    harness = with_a_waiting_question(tmp_path)
    harness.slots.mute("ChatbotA", muted=True)
    harness.slots.activate("ChatbotA", harness.slots.route("ChatbotA").loaded, rollout_epoch=7)
    harness.drain()
    assert harness.texts() == ["안녕하세요!", NOTICE_BY_FALLBACK["muted"]]
    assert [(turn.epoch, turn.fallback) for turn in harness.turns()] == [(2, None), (7, "muted")]


@pytest.mark.parametrize("hours", [1, -1])
def test_setting_the_clock_does_not_affect_deadlines_and_latencies(tmp_path, hours):
    """They use monotonic time."""
    harness = WorkerHarness(tmp_path, steps=3)
    harness.ask(
        legacy_text("n", "ChatbotA", "안녕?"), v1_text(question_id="q", bot="ChatbotA", sender="n", text="안녕?")
    )
    deadlines_s, add_request = [], harness.engine.add_request

    def add(request_id, model, prompt_ids, *, deadline_s=None, sampling=None):
        deadlines_s.append(deadline_s)
        add_request(request_id, model, prompt_ids, deadline_s=deadline_s, sampling=sampling)

    harness.engine.add_request = add
    harness.worker.admit(harness.consumer.poll(0, 1).records)
    harness.now += timedelta(hours=hours)
    harness.seconds -= 3600 * hours
    while harness.worker.tracker.is_busy:
        harness.worker.step()
    (answered,) = harness.worker.tracker.take(10, 10**6).replies
    assert answered.turn.fallback is None
    assert 0 <= answered.turn.latency_ms < 1000
    assert 19 < deadlines_s[0] <= 20


@pytest.mark.parametrize(
    "where", ["serving.worker.find_crisis", "serving.reply.masked_turn", "serving.worker.read_question"]
)
def test_a_question_that_raises_an_unexpected_error_is_a_dead_letter(tmp_path, monkeypatch, where):
    """The header has the type of the error, but not the text of the player. Other questions are answered."""
    harness = WorkerHarness(tmp_path)
    module, _, name = where.rpartition(".")
    real = getattr(importlib.import_module(module), name)
    attempts = []

    def fail(value, *args, **kwargs):
        text = value.decode() if isinstance(value, bytes) else getattr(value, "text", value)
        if "나쁜" in text:
            attempts.append(text)
            raise KeyError(text)
        return real(value, *args, **kwargs)

    monkeypatch.setattr(where, fail)
    harness.ask(*(legacy_text("n", "ChatbotA", text) for text in ("안녕?", "나쁜 말", "안녕?")))
    harness.drain()
    assert harness.texts() == ["안녕하세요!", "안녕하세요!"]
    assert harness.dead() == [("crash_loop", "bot_question-0-1")]
    assert len(attempts) == harness.settings.serving.max_crashes
    (letter,) = harness.broker.all(DEAD_LETTER_TOPIC)
    assert "KeyError" in letter.headers["error"]
    assert "나쁜" not in letter.headers["error"]


def test_a_question_that_kills_the_worker_while_it_is_read_is_a_dead_letter(tmp_path, monkeypatch):
    """It is never decoded. The questions that were polled together with it are answered."""

    def find_crisis(text: str) -> None:
        if text == "독":
            raise SimulatedKill

    monkeypatch.setattr("serving.worker.find_crisis", find_crisis)
    harness = WorkerHarness(tmp_path)
    harness.ask(*(legacy_text("n", "ChatbotA", text) for text in ("하나", "독", "둘")))
    for _ in range(harness.settings.serving.max_crashes):
        with pytest.raises(SimulatedKill):
            harness.drain()
        harness.restart(ScriptedModel())
    harness.drain()
    assert harness.dead() == [("crash_loop", "bot_question-0-1")]
    assert len(harness.texts()) == 2
    assert CrashLog(harness.crash_path).suspects == 1, "only the fatal question keeps its count"


def test_a_question_that_needs_no_decoding_does_not_become_a_suspect(tmp_path):
    """It was read without a crash. The process may be killed at any time after that."""
    harness = WorkerHarness(tmp_path, models=False)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain()
    assert CrashLog(harness.crash_path).suspects == 0


def test_questions_are_answered_if_the_crash_file_cannot_be_written(tmp_path):
    """The fault is reported. The file is written again once the disk has space."""
    messages = []
    harness = WorkerHarness(tmp_path / "home")
    harness.worker.crashes = CrashLog(tmp_path / "full" / "crashes.json", messages.append)
    for file in (tmp_path / "full").iterdir():
        file.unlink()
        file.mkdir()  # even root cannot write a file with the name of a folder
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    harness.drain()
    assert len(harness.texts()) == 3
    assert "cannot be written" in messages[-1]
    for folder in (tmp_path / "full").iterdir():
        folder.rmdir()
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.drain()
    assert messages[-1] == ""
    assert in_progress(tmp_path / "full" / "crashes.json") == []
