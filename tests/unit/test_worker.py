"""The worker on a broker in memory: every question gets one answer or one dead letter, whatever happens."""

import importlib
import json
import threading
import time
from collections import Counter
from concurrent.futures import Future
from datetime import datetime, timedelta

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC
from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK
from kogpt2_chat.domain.chat.unsure import UNSURE_BY_BOT
from kogpt2_chat.domain.chat.wire import legacy_text, v1_text
from kogpt2_chat.errors import Fenced, Unavailable
from kogpt2_chat.inference.nearest import Known, NearestQuestions
from kogpt2_chat.inference.uncertain import Thresholds, Uncertainty
from kogpt2_chat.testing.engine import ScriptedModel
from kogpt2_chat.testing.executor import InlineExecutor
from kogpt2_chat.testing.kafka import put_question
from serving.crashes import CrashLog
from serving.loop import MAX_BYTES_PER_TRANSACTION, RETRY_S
from serving.slot import LoadedVersion
from tests.worker_harness import WorkerHarness


def test_a_unity_client_gets_its_answer_by_topic_key_and_value(tmp_path):
    """Topic is the bot, key the sender from the body, value plain text."""
    bench = WorkerHarness(tmp_path)
    put_question(bench.broker, legacy_text("하늘", "ChatbotA", "안녕?").encode(), key=b"someone else")
    bench.drain()
    (answer,) = bench.broker.all("ChatbotA")
    assert (answer.key.decode(), answer.value.decode()) == ("하늘", "안녕하세요!")
    assert answer.headers["model_version"] == "3"
    assert answer.headers["epoch"] == "2"
    assert "fallback" not in answer.headers


def test_a_turn_says_all_that_the_lake_needs(tmp_path):
    """Text is masked, tokens and decoding are kept, times are the worker's."""
    bench = WorkerHarness(tmp_path, answers=lambda _: "그래요")
    bench.ask(
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
    bench.drain()
    (turn,) = bench.turns()
    assert "5678" not in turn.text
    assert turn.answer == "그래요"
    assert (turn.player_id, turn.consent_train, turn.extra, turn.worker) == ("p1", True, {"mood": "기쁨"}, "worker-1")
    assert len(turn.answer_token_ids) == 3
    assert turn.prompt_tokens > 3
    assert turn.decoding["strategy"] == "greedy"
    assert turn.latency_ms == (
        datetime.fromisoformat(turn.answered_at) - datetime.fromisoformat(turn.received_at)
    ) / timedelta(milliseconds=1)


def test_without_consent_to_store_the_turn_keeps_no_words(tmp_path):
    """The player is answered; the log says that something was asked, never what."""
    bench = WorkerHarness(tmp_path)
    bench.ask(
        v1_text(question_id="q1", bot="ChatbotA", sender="하늘", text="안녕?", consent={"store": False}, note="비밀")
    )
    bench.drain()
    (turn,) = bench.turns()
    assert bench.texts() == ["안녕하세요!"]
    assert (turn.text, turn.answer, turn.answer_token_ids, turn.extra) == ("", "", (), {})


def test_bad_records_are_dead_letters_and_the_next_question_is_answered(tmp_path):
    """As they came, with key, and in the same transaction as the answers around them."""
    bench = WorkerHarness(tmp_path)
    bench.ask("헛소리", legacy_text("n", "ChatbotA", "안녕?"), b"x" * 17_000, legacy_text("n", "ChatbotZ", "안녕?"))
    put_question(bench.broker, None)
    bench.drain()
    assert bench.texts() == ["안녕하세요!"]
    assert [reason for reason, _ in bench.dead()] == ["not_a_question", "too_large", "unknown_bot", "not_a_question"]
    assert [record.value for record in bench.broker.all(DEAD_LETTER_TOPIC)][1] == b"x" * 17_000
    assert bench.broker.committed[0] == 5


def assert_only_notice(bench: WorkerHarness, fallback: str) -> None:
    assert bench.texts() == [NOTICE_BY_FALLBACK[fallback]]
    assert_only_fallback(bench, fallback)


def assert_only_fallback(bench: WorkerHarness, fallback: str) -> None:
    """Both the one answer and its turn name what replaced the model."""
    assert [answer.headers["fallback"] for answer in bench.broker.all("ChatbotA")] == [fallback]
    assert [turn.fallback for turn in bench.turns()] == [fallback]


def test_a_bot_without_a_version_answers_with_its_notice(tmp_path):
    """Version 0 says that no model answered."""
    bench = WorkerHarness(tmp_path, models=False)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain()
    assert_only_notice(bench, "degraded")
    assert bench.broker.all("ChatbotA")[0].headers["model_version"] == "0"


def test_a_muted_bot_answers_with_its_notice(tmp_path):
    """Its model is not asked."""
    bench = WorkerHarness(tmp_path)
    bench.slots.mute("ChatbotA", muted=True)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain()
    assert_only_notice(bench, "muted")
    assert "decoding" not in bench.steps


def test_an_empty_answer_is_replaced_by_its_notice(tmp_path):
    """The model ended its answer at once."""
    bench = WorkerHarness(tmp_path, answers={"침묵": ""})
    bench.ask(legacy_text("n", "ChatbotA", "침묵"))
    bench.drain()
    assert_only_notice(bench, "empty")


def test_a_question_that_comes_after_its_deadline_gets_the_timeout_notice(tmp_path):
    """`reply_by` has passed before the worker sees the question."""
    bench = WorkerHarness(tmp_path)
    bench.ask(v1_text(question_id="q", bot="ChatbotA", sender="n", text="안녕?", reply_by="2026-11-24T02:00:00Z"))
    bench.drain()
    assert_only_notice(bench, "timeout")


def test_a_late_answer_is_replaced_by_the_timeout_notice(tmp_path):
    """Half an answer helps nobody."""
    bench = WorkerHarness(tmp_path)
    bench.engine.stop_reason = "deadline"
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain()
    assert bench.texts() == [NOTICE_BY_FALLBACK["timeout"]]
    assert bench.turns()[0].answer_token_ids == ()


def test_questions_of_all_bots_are_decoded_side_by_side(tmp_path):
    """Three bots, four steps each: four steps in all, not twelve."""
    bench = WorkerHarness(tmp_path, steps=4)
    for number, bot in enumerate(BOT_IDS):
        bench.ask(legacy_text("n", bot, "안녕?"), partition=number)
    bench.drain()
    assert bench.steps.count("decoding") == 4
    assert [bench.texts(bot) for bot in BOT_IDS] == [["안녕하세요!"]] * 3


def test_a_question_joins_while_others_are_being_decoded(tmp_path):
    """Nobody waits for the end of a batch: the late one is a step behind, and no more."""
    bench = WorkerHarness(tmp_path, steps=4)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(2)
    bench.ask(legacy_text("n", "ChatbotB", "안녕?"), partition=1)
    bench.drain(3)
    assert (len(bench.texts("ChatbotA")), len(bench.texts("ChatbotB"))) == (1, 0)
    bench.drain(2)
    assert len(bench.texts("ChatbotB")) == 1
    assert bench.steps.count("decoding") == 6


def test_an_answer_waits_for_those_before_it_in_its_partition_only(tmp_path):
    """Kafka keeps one position a partition: what lies behind a slow answer is published with it, never before."""
    bench = WorkerHarness(tmp_path)
    bench.engine.steps_by_id = {"bot_question-0-0@3": 5}
    bench.ask(legacy_text("느림", "ChatbotA", "안녕?"), legacy_text("뒤", "ChatbotA", "안녕?"), "헛소리")
    bench.ask(legacy_text("옆", "ChatbotB", "안녕?"), partition=1)
    bench.drain(3)
    assert (bench.texts("ChatbotA"), bench.texts("ChatbotB"), bench.dead()) == ([], ["안녕하세요!"], [])
    assert bench.broker.committed == {1: 1}
    bench.drain()
    assert [record.key.decode() for record in bench.broker.all("ChatbotA")] == ["느림", "뒤"]
    assert bench.broker.committed == {0: 3, 1: 1}
    assert bench.dead() == [("not_a_question", "bot_question-0-2")]


def test_no_more_questions_are_taken_than_may_be_in_flight(tmp_path):
    """The rest waits in Kafka, where another worker can have it."""
    bench = WorkerHarness(tmp_path, steps=10)
    bench.loop.max_in_flight = 2
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(5)))
    bench.drain(3)
    assert (bench.engine.in_flight, sum(bench.consumer.lag().values())) == (2, 3)
    bench.drain(60)
    assert len(bench.texts()) == 5


def test_a_dropped_publication_is_answered_again_and_seen_once(tmp_path):
    """An aborted transaction leaves nothing behind but holes in the positions."""
    bench = WorkerHarness(tmp_path, fail_publishes=2)
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)), "헛소리")
    bench.drain()
    assert Counter(record.headers["turn_id"] for record in bench.broker.all("ChatbotA")).most_common(1)[0][1] == 1
    assert len(bench.texts()) == 3
    assert len(bench.dead()) == 1
    assert bench.broker.aborted > 0
    tally = bench.metrics.tally()
    assert (tally["dropped"], tally["answered"]) == (8, 3)
    assert bench.consumer.recoveries == 3


class HeldExecutor(InlineExecutor):
    """Transactions begin only when the test says so."""

    def __init__(self) -> None:
        self.held = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.held.append((future, lambda: fn(*args, **kwargs)))
        return future

    def release(self) -> None:
        future, call = self.held.pop(0)
        future.set_result(call())


def test_decoding_goes_on_while_a_transaction_is_on_its_way(tmp_path):
    """One at a time; whatever is answered meanwhile goes into the next one."""
    bench = WorkerHarness(tmp_path)
    executor = bench.loop.publisher = HeldExecutor()
    for _ in range(3):
        bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
        bench.drain(3)
    assert (len(executor.held), bench.steps.count("decoding")) == (1, 3)
    executor.release()
    bench.drain(2)
    assert (len(bench.texts()), len(executor.held)) == (1, 1)
    executor.release()
    bench.drain(1)
    assert len(bench.texts()) == 3
    assert bench.metrics.tally()["publications"] == 2


def test_a_transaction_that_ends_well_while_the_rest_is_dropped_counts(tmp_path):
    """A rebalance drops what is in hand; what was on its way and became visible is answered, and never dropped too."""
    bench = WorkerHarness(tmp_path)

    class Slow(InlineExecutor):
        """Looks like a transaction on its way, until somebody waits for its end."""

        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            future.done = lambda: False
            return future

    bench.loop.publisher = Slow()
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(1)
    bench.engine.steps = 50
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(1)
    bench.broker.rebalance()
    bench.drain(1)
    tally = bench.metrics.tally()
    assert (tally["answered"], tally["publications"], tally["dropped"]) == (1, 1, 1)
    assert len(bench.texts()) == 1


def test_a_transaction_that_does_not_end_ends_the_worker(tmp_path, monkeypatch):
    """After a rebalance nobody knows what became visible; only a new process can abort the transaction and ask Kafka."""
    bench = WorkerHarness(tmp_path)
    bench.loop.publisher = HeldExecutor()
    monkeypatch.setattr("serving.loop.LONGEST_TRANSACTION_S", 0.01)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(1)
    bench.engine.steps = 50
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(1)
    bench.broker.rebalance()
    bench.loop.models_loaded.set()
    with pytest.raises(Unavailable, match="a transaction has not ended within"):
        bench.loop.run(finish_s=1.0)
    assert bench.texts() == []


def test_sigterm_answers_what_is_in_hand_and_polls_no_more(tmp_path):
    """Questions that came too late stay in Kafka for the next worker."""
    bench = WorkerHarness(tmp_path, steps=4)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(2)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.loop.stop.set()
    bench.loop.run(finish_s=5)
    assert len(bench.texts()) == 1
    assert bench.broker.committed == {0: 1}


class Clockless(threading.Event):
    """A stop that is never asked for; what waits for it does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        return self.is_set()


@pytest.mark.parametrize(("failures", "pauses"), [(1, 0), (2, 1), (9, 8)])
def test_what_cannot_be_published_twice_in_a_row_is_tried_again_after_a_pause(tmp_path, failures, pauses):
    """A topic is missing, or a right: without it, hundreds of decodes and producers a second come to nothing."""
    bench = WorkerHarness(tmp_path, fail_publishes=failures)
    bench.loop.stop = stop = Clockless()
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(50)
    assert len(bench.texts()) == 1
    assert stop.waits == [RETRY_S] * pauses


def test_failures_that_are_not_in_a_row_cost_no_pause(tmp_path):
    """Partitions go to others every now and then."""
    bench = WorkerHarness(tmp_path)
    bench.loop.stop = stop = Clockless()
    for _ in range(4):
        bench.consumer.fail_publishes = 1
        bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
        bench.drain()
    assert len(bench.texts()) == 4
    assert stop.waits == []


def test_large_dead_letters_are_published_a_few_at_a_time(tmp_path, monkeypatch):
    """All of a transaction is sent within the time of one request; 96 of a megabyte each never would be, on a slow line."""
    bench = WorkerHarness(tmp_path)
    sizes: list[int] = []
    publish = bench.consumer.publish

    def weighed(claim, positions, outgoing):
        sizes.append(sum(len(item.value) for item in outgoing))
        return publish(claim, positions, outgoing)

    monkeypatch.setattr(bench.consumer, "publish", weighed)
    large = b"x" * (MAX_BYTES_PER_TRANSACTION // 4)
    bench.ask(*[large] * 20)
    bench.drain(60)
    assert len(bench.dead()) == 20
    assert max(sizes) < 2 * MAX_BYTES_PER_TRANSACTION


def test_a_worker_whose_slot_was_taken_ends_and_publishes_nothing(tmp_path):
    """Seen after a transaction that came to nothing; the other process has the same questions."""
    bench = WorkerHarness(tmp_path, fail_publishes=9)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.loop.models_loaded.set()
    recover = bench.consumer.recover

    def ousted() -> None:
        recover()
        if bench.consumer.recoveries > 1:
            raise Fenced("kogpt2-worker-1: another process runs with this slot")

    bench.consumer.recover = ousted
    with pytest.raises(Fenced):
        bench.loop.run(finish_s=5)
    assert bench.texts() == []
    assert bench.broker.committed == {}


def test_sigterm_does_not_wait_for_a_transaction_that_never_ends(tmp_path, monkeypatch):
    """A lost broker must not keep a worker from ending within its ten seconds."""
    monkeypatch.setattr("serving.loop.LAST_WAIT_S", 0.05)
    bench = WorkerHarness(tmp_path)
    bench.loop.publisher = HeldExecutor()
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(2)
    bench.loop.stop.set()
    began = time.monotonic()
    bench.loop.run(finish_s=0.1)
    assert time.monotonic() - began < 5
    assert bench.texts() == []


def test_an_answer_that_its_topic_cannot_take_becomes_a_dead_letter(tmp_path, monkeypatch):
    """Found before it is sent where that is possible, else when the broker refuses it; never a loop."""
    bench = WorkerHarness(tmp_path)
    monkeypatch.setattr("kogpt2_chat.testing.kafka._max_bytes", lambda topic: 3 if topic == "ChatbotA" else 10**6)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"), legacy_text("n", "ChatbotB", "안녕?"))
    bench.drain()
    assert bench.dead() == [("answer_too_large", "bot_question-0-0")]
    assert bench.texts("ChatbotB") == ["안녕하세요!"]
    monkeypatch.setattr("serving.reply._max_value_bytes", lambda _: 1)
    bench.ask(legacy_text("n", "ChatbotB", "안녕?"))
    bench.drain()
    assert bench.dead()[1:] == [("answer_too_large", "bot_question-0-2")]


def die_while_decoding(bench: WorkerHarness, victim: str) -> None:
    """The process ends in mid-decode, as far as files can tell."""

    class Died(BaseException):
        pass

    def poisoned(question: str) -> str:
        if question == victim:
            raise Died
        return "살았다"

    bench.restart(ScriptedModel(answers=poisoned))
    with pytest.raises(Died):
        bench.drain()


def test_a_question_that_kills_the_worker_three_times_is_a_dead_letter(tmp_path):
    """And the innocent ones of its batch are answered."""
    bench = WorkerHarness(tmp_path)
    bench.ask(*(legacy_text("n", "ChatbotA", text) for text in ("하나", "독", "둘")))
    for _ in range(3):
        die_while_decoding(bench, "독")
    bench.restart(ScriptedModel())
    bench.drain()
    assert bench.dead() == [("crash_loop", "bot_question-0-1")]
    # The one before the poison in its partition was answered, and published, in the life after the first crash.
    assert bench.texts() == ["살았다", "둘"]
    assert CrashLog(bench.crash_path).count("bot_question-0-0") == 0


def test_what_is_given_up_at_the_end_is_no_crash(tmp_path):
    """SIGTERM in mid-decode, and no time left: nothing is published, and nobody is suspected afterwards."""
    bench = WorkerHarness(tmp_path, steps=5)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain(1)
    bench.loop.stop.set()
    bench.loop.run(finish_s=0)
    assert bench.texts() == []
    assert bench.engine.in_flight == 0
    assert bench.metrics.tally()["dropped"] == 1
    assert CrashLog(bench.crash_path).count("bot_question-0-0") == 0


def test_a_suspect_is_decoded_alone(tmp_path):
    """After a crash each suspect has the engine to itself, so that only the guilty one keeps its count."""
    bench = WorkerHarness(tmp_path, steps=2)
    bench.crash_path.write_text(json.dumps({"counts": {}, "in_flight": ["bot_question-0-1"]}))
    bench.worker.crashes = CrashLog(bench.crash_path)
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    together = []
    bench.worker.on_step = lambda step: together.append(bench.engine.in_flight) if step == "decoding" else None
    bench.drain()
    assert together == [1] * 6
    assert len(bench.texts()) == 3
    assert bench.worker.crashes.count("bot_question-0-1") == 0


def test_what_waits_behind_a_suspect_is_suspected_by_no_later_death(tmp_path):
    """It was read well, however often the worker is killed while it waits."""
    bench = WorkerHarness(tmp_path, steps=5)
    bench.crash_path.write_text(json.dumps({"counts": {}, "in_flight": ["bot_question-0-0"]}))
    bench.worker.crashes = CrashLog(bench.crash_path)
    for _ in range(2):
        bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(2)))
        bench.drain(1)
        assert json.loads(bench.crash_path.read_text())["in_flight"] == ["bot_question-0-0"]


def test_a_suspect_is_decoded_while_nothing_is_published(tmp_path):
    """Else a death by the transaction, or in it, would count against the suspect: three, and it is a dead letter."""
    bench = WorkerHarness(tmp_path, steps=4)
    executor = bench.loop.publisher = HeldExecutor()
    bench.crash_path.write_text(json.dumps({"counts": {}, "in_flight": ["bot_question-0-1"]}))
    bench.worker.crashes = CrashLog(bench.crash_path)
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(2)))
    bench.drain()
    assert (len(executor.held), bench.engine.in_flight) == (1, 0), "the suspect waits for the transaction"
    executor.release()
    bench.drain(1)
    bench.ask("헛소리", partition=1)  # its dead letter can be published at once
    bench.drain(2)
    assert (len(executor.held), bench.engine.in_flight) == (0, 1), "the transaction waits for the suspect"
    bench.drain()
    executor.release()
    bench.drain()
    assert (len(bench.texts()), len(bench.dead())) == (2, 1)


def test_a_swap_between_admission_and_decoding_is_told_truly(tmp_path):
    """The turn names the version that answered, not the one that served when the question came."""
    bench = WorkerHarness(tmp_path, steps=3)
    bench.crash_path.write_text(json.dumps({"counts": {}, "in_flight": ["bot_question-0-0"]}))
    bench.worker.crashes = CrashLog(bench.crash_path)
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(2)))
    bench.drain(1)  # the first is decoded alone, the second waits for it
    bench.slots.activate(
        "ChatbotA", LoadedVersion(version=4, model=ScriptedModel(answers={"안녕?": "새로워요"})), rollout_epoch=3
    )
    bench.drain()
    assert [(turn.model_version, turn.answer) for turn in bench.turns()] == [(3, "안녕하세요!"), (4, "새로워요")]


def test_a_torn_crash_file_starts_the_count_anew(tmp_path):
    """A broken file must not keep the worker from starting."""
    path = tmp_path / "crashes.json"
    for content in ("", "{", "[]", '{"counts": 3, "in_flight": 1}', '{"counts": {"a": "x"}}'):
        path.write_text(content)
        assert CrashLog(path).count("a") == 0


def test_a_made_up_record_time_does_not_stop_the_worker(tmp_path):
    """A client may write any timestamp into its record."""
    bench = WorkerHarness(tmp_path)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    log = bench.broker.log("bot_question", 0)
    log.records[0] = type(log.records[0])(
        topic="bot_question", partition=0, offset=0, key=None, value=log.records[0].value, timestamp_ms=2**62
    )
    bench.drain()
    assert bench.turns()[0].sent_at is None


def test_sampling_is_seeded_by_the_question_s_position(tmp_path):
    """Asked again after a dropped transaction, the same question draws the same answer; the turn says how."""
    bench = WorkerHarness(
        tmp_path, fail_publishes=1, serving={"sampling": {"ChatbotA": {"temperature": 0.5, "top_k": 9}}}
    )
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"), legacy_text("n", "ChatbotA", "안녕?"))
    bench.ask(legacy_text("n", "ChatbotB", "안녕?"), partition=1)
    bench.drain(1)
    first = dict(bench.engine.sampled)
    bench.drain()
    assert bench.engine.sampled == first
    assert set(first) == {"bot_question-0-0@3", "bot_question-0-1@3"}
    assert first["bot_question-0-0@3"].seed != first["bot_question-0-1@3"].seed
    decoded = {turn.turn_id: turn.decoding for turn in bench.turns()}
    drawn = decoded["bot_question-0-0"]
    assert (drawn["strategy"], drawn["temperature"], drawn["top_k"]) == ("sampled", 0.5, 9)
    assert drawn["seed"] == first["bot_question-0-0@3"].seed
    assert decoded["bot_question-1-0"]["strategy"] == "greedy"


KNOWN = [
    Known(question="안녕하세요?", answer="반가워요!", source="seed"),
    Known(question="콩떡이 누구야?", answer="포털 앞 고양이 역장님이에요.", source="correction"),
]
UNSURE = Uncertainty(Thresholds(least_logprob=-0.5, least_likeness=0.4, dev_pairs=10), NearestQuestions(KNOWN))


def unsure_bench(tmp_path, **settings):
    """A worker whose model says noise and is not sure of it."""
    bench = WorkerHarness(tmp_path, answers=lambda _: "잔잔한 나룻배", uncertainty=UNSURE, **settings)
    bench.engine.logprob = -3.0
    return bench


def test_an_unsure_model_is_replaced_by_the_nearest_known_answer(tmp_path):
    """The turn has which known question that was, how sure the model was, and none of its tokens."""
    bench = unsure_bench(tmp_path)
    bench.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    bench.drain(3)
    assert bench.texts() == ["반가워요!"]
    assert_only_fallback(bench, "nearest")
    (turn,) = bench.turns()
    assert turn.decoding["nearest"]["question"] == "안녕하세요?"
    assert turn.decoding["nearest"]["source"] == "seed"
    assert turn.decoding["logprob"] == -3.0
    assert turn.answer_token_ids == ()


def test_an_unsure_bot_says_that_it_does_not_know_a_question_like_no_other(tmp_path):
    """No known question is near enough."""
    bench = unsure_bench(tmp_path)
    bench.ask(legacy_text("n", "ChatbotA", "수박 값이 얼마예요"))
    bench.drain(3)
    assert bench.texts()[0] in UNSURE_BY_BOT["ChatbotA"]
    assert_only_fallback(bench, "unsure")


def test_a_sure_model_speaks_itself(tmp_path):
    """From the version's threshold on."""
    bench = unsure_bench(tmp_path)
    bench.engine.logprob = -0.5
    bench.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    bench.drain(3)
    assert bench.texts() == ["잔잔한 나룻배"]
    assert "fallback" not in bench.broker.all("ChatbotA")[0].headers


def test_a_version_without_thresholds_says_what_its_model_says(tmp_path):
    """Versions from before the thresholds go on as they were."""
    bench = WorkerHarness(tmp_path, answers=lambda _: "잔잔한 나룻배")
    bench.engine.logprob = -9.0
    bench.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    bench.drain(3)
    assert bench.texts() == ["잔잔한 나룻배"]


@pytest.mark.parametrize(("choice", "expected"), [("model", "잔잔한 나룻배"), ("notice", None)])
def test_what_an_unsure_bot_says_is_a_setting(tmp_path, choice, expected):
    """By bot: its own answer all the same, or that it does not know."""
    bench = unsure_bench(tmp_path, serving={"uncertain": {"ChatbotA": choice}})
    bench.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    bench.drain(3)
    assert bench.texts() == [expected] or (expected is None and bench.texts()[0] in UNSURE_BY_BOT["ChatbotA"])


def test_a_late_or_silent_model_is_stood_in_for_by_the_nearest_answer(tmp_path):
    """The fixed notice remains where nothing known is near, and where there is no version at all."""
    bench = unsure_bench(tmp_path, serving={"answer_deadline_s": 0.001})
    bench.engine.stop_reason = "deadline"
    bench.ask(legacy_text("n", "ChatbotA", "콩떡이 누구예요"), legacy_text("n", "ChatbotA", "수박 값이 얼마예요"))
    bench.drain(3)
    assert bench.texts() == ["포털 앞 고양이 역장님이에요.", NOTICE_BY_FALLBACK["timeout"]]
    assert [turn.fallback for turn in bench.turns()] == ["nearest", "timeout"]
    silent = WorkerHarness(tmp_path / "2", answers=lambda _: "", uncertainty=UNSURE)
    silent.ask(legacy_text("n", "ChatbotA", "콩떡이 누구예요"))
    silent.drain(3)
    assert silent.texts() == ["포털 앞 고양이 역장님이에요."]
    without = WorkerHarness(tmp_path / "3", models=False)
    without.ask(legacy_text("n", "ChatbotA", "안녕하세요"))
    without.drain()
    assert without.texts() == [NOTICE_BY_FALLBACK["degraded"]]


def test_what_was_asked_is_not_told_by_the_known_question_behind_the_answer(tmp_path):
    """Without consent to store, a turn keeps neither the question nor the one that is nearly the same."""
    bench = unsure_bench(tmp_path)
    bench.ask(v1_text(question_id="q", bot="ChatbotA", sender="n", text="안녕하세요", consent={"store": False}))
    bench.drain(3)
    (turn,) = bench.turns()
    assert turn.fallback == "nearest"
    assert "question" not in turn.decoding["nearest"]
    assert turn.text == turn.answer == ""


def test_a_mute_reaches_questions_that_already_wait(tmp_path):
    """It waited behind a suspect when the mute came: the notice, under the mute's epoch, and no word of the model."""
    bench = WorkerHarness(tmp_path, steps=3)
    bench.crash_path.write_text(json.dumps({"counts": {}, "in_flight": ["bot_question-0-0"]}))
    bench.worker.crashes = CrashLog(bench.crash_path)
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(2)))
    bench.drain(1)  # the first is decoded alone, the second waits for it
    bench.slots.mute("ChatbotA", muted=True)
    bench.slots.activate("ChatbotA", bench.slots.route("ChatbotA").loaded, rollout_epoch=7)
    bench.drain()
    assert bench.texts() == ["안녕하세요!", NOTICE_BY_FALLBACK["muted"]]
    assert [(turn.epoch, turn.fallback) for turn in bench.turns()] == [(2, None), (7, "muted")]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_makes_no_question_late(tmp_path, hours):
    """Deadlines and latencies are counted in seconds that passed, whatever somebody sets the clock to."""
    bench = WorkerHarness(tmp_path, steps=3)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"), v1_text(question_id="q", bot="ChatbotA", sender="n", text="안녕?"))
    patience_s, add_request = [], bench.engine.add_request

    def add(request_id, model, prompt_ids, *, deadline_s=None, sampling=None):
        patience_s.append(deadline_s)
        add_request(request_id, model, prompt_ids, deadline_s=deadline_s, sampling=sampling)

    bench.engine.add_request = add
    bench.worker.admit(bench.consumer.poll(0, 1).records)
    bench.now += timedelta(hours=hours)
    bench.seconds -= 3600 * hours
    while bench.worker.tracker.is_busy:
        bench.worker.step()
    (answered,) = bench.worker.tracker.take(10, 10**6).replies
    assert answered.turn.fallback is None
    assert 0 <= answered.turn.latency_ms < 1000
    assert 19 < patience_s[0] <= 20


@pytest.mark.parametrize(
    "where", ["serving.worker.find_crisis", "serving.reply.masked_turn", "serving.worker.read_question"]
)
def test_a_question_that_the_code_fails_on_is_a_dead_letter(tmp_path, monkeypatch, where):
    """Counted, told by kind and place and not in the player's words; the worker lives, and others are answered."""
    bench = WorkerHarness(tmp_path)
    module, _, name = where.rpartition(".")
    real = getattr(importlib.import_module(module), name)
    tried = []

    def fails(text, *args, **kwargs):
        said = text.decode() if isinstance(text, bytes) else getattr(text, "text", text)
        if "나쁜" in said:
            tried.append(text)
            raise KeyError(said)
        return real(text, *args, **kwargs)

    monkeypatch.setattr(where, fails)
    bench.ask(*(legacy_text("n", "ChatbotA", text) for text in ("안녕?", "나쁜 말", "안녕?")))
    bench.drain()
    assert bench.texts() == ["안녕하세요!", "안녕하세요!"]
    assert bench.dead() == [("crash_loop", "bot_question-0-1")]
    assert len(tried) == bench.settings.serving.max_crashes
    (letter,) = bench.broker.all(DEAD_LETTER_TOPIC)
    assert "KeyError" in letter.headers["error"]
    assert "나쁜" not in letter.headers["error"]


def test_a_question_that_kills_the_worker_while_it_is_read_is_a_dead_letter(tmp_path, monkeypatch):
    """Before anything is decoded; the innocent ones that were polled with it are answered."""

    class Died(BaseException):
        pass

    def deadly(text: str) -> None:
        if text == "독":
            raise Died

    monkeypatch.setattr("serving.worker.find_crisis", deadly)
    bench = WorkerHarness(tmp_path)
    bench.ask(*(legacy_text("n", "ChatbotA", text) for text in ("하나", "독", "둘")))
    for _ in range(bench.settings.serving.max_crashes):
        with pytest.raises(Died):
            bench.drain()
        bench.restart(ScriptedModel())
    bench.drain()
    assert bench.dead() == [("crash_loop", "bot_question-0-1")]
    assert len(bench.texts()) == 2
    assert CrashLog(bench.crash_path).suspects == 1, "only the guilty one keeps its count"


def test_what_was_read_well_is_suspected_by_no_later_death(tmp_path):
    """A notice needs no decoding; the process may be killed at any time after it."""
    bench = WorkerHarness(tmp_path, models=False)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain()
    assert CrashLog(bench.crash_path).suspects == 0


def test_a_full_disk_costs_no_answer(tmp_path):
    """The crash count is best effort: it is told, and it is written again when there is room."""
    told = []
    bench = WorkerHarness(tmp_path / "home")
    bench.worker.crashes = CrashLog(tmp_path / "full" / "crashes.json", told.append)
    (tmp_path / "full" / "crashes.new").mkdir()  # what cannot be written to, for root either
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    bench.drain()
    assert len(bench.texts()) == 3
    assert "cannot be written" in told[-1]
    (tmp_path / "full" / "crashes.new").rmdir()
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.drain()
    assert told[-1] == ""
    assert json.loads((tmp_path / "full" / "crashes.json").read_text())["in_flight"] == []
