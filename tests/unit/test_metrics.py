"""Metrics of answers, dead letters, notices and dropped questions, as Prometheus scrapes them."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.chat.wire import legacy_text
from kogpt2_chat.domain.rollout.states import SlotReport
from kogpt2_chat.testing.engine import ScriptedModel
from kogpt2_chat.testing.kafka import put_question
from serving.metrics import Metrics
from serving.slot import LoadedVersion
from tests.worker_harness import WorkerHarness

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(metrics: Metrics) -> Series:
    families = text_string_to_metric_families(metrics.page().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((f"kogpt2_{name}", frozenset(labels.items())))


def make_turn(**changed: object) -> Turn:
    fields: dict[str, Any] = {
        "turn_id": "bot_question-0-0", "question_id": "q", "bot": "ChatbotA", "player_id": "p", "sender": "하늘",
        "text": "", "answer": "", "received_at": "", "answered_at": "", "latency_ms": 40, "consent_store": True,
        "consent_train": True, "source": "v1", "worker": "worker-1", "prompt_tokens": 5, "model_version": 3,
    }  # fmt: skip
    return Turn(**fields | changed)


def test_every_question_is_counted_once(tmp_path):
    """Answers are counted by bot, version and fallback, and dead letters by reason."""
    harness = WorkerHarness(tmp_path, steps=2, answers={"안녕?": "안녕하세요!", "침묵": ""})
    harness.ask(*(legacy_text("n", "ChatbotA", text) for text in ("안녕?", "안녕?", "침묵")), "헛소리", b"x" * 17_000)
    harness.drain()
    harness.slots.mute("ChatbotB", muted=True)
    harness.ask(legacy_text("n", "ChatbotB", "안녕?"))
    harness.drain()
    series = scrape(harness.metrics)
    assert value(series, "answers_total", bot="ChatbotA", version="3", fallback="none") == 2
    assert value(series, "answers_total", bot="ChatbotA", version="3", fallback="empty") == 1
    assert value(series, "answers_total", bot="ChatbotB", version="3", fallback="muted") == 1
    assert value(series, "dead_letters_total", reason="not_a_question") == 1
    assert value(series, "dead_letters_total", reason="too_large") == 1
    assert value(series, "answer_tokens_total", bot="ChatbotA") == 2 * len("안녕하세요!")
    assert value(series, "prompt_tokens_total", bot="ChatbotA") == 2 * (len("안녕?") + 3) + len("침묵") + 3
    assert (value(series, "in_flight"), value(series, "double_drops_total")) == (0, 0)
    assert {
        "answered": 4,
        "fallbacks": 2,
        "dead_letters": 2,
        "in_flight": 0,
        "dropped": 0,
        "double_drops": 0,
    }.items() <= harness.metrics.tally().items()


def test_only_answers_of_a_model_count_for_the_latency(tmp_path):
    """The notices of a muted bot take no time, and would make the latency look better than it is."""
    harness = WorkerHarness(tmp_path)
    harness.ask(legacy_text("n", "ChatbotA", "안녕?"))
    harness.slots.mute("ChatbotB", muted=True)
    harness.ask(legacy_text("n", "ChatbotB", "안녕?"))
    harness.drain()
    series = scrape(harness.metrics)
    latency_s = harness.turns()[0].latency_ms / 1000
    assert value(series, "answer_seconds_sum", bot="ChatbotA", version="3") == latency_s > 0
    assert value(series, "answer_seconds_bucket", bot="ChatbotA", version="3", le="20.0") == 1
    assert value(series, "answer_seconds_count", bot="ChatbotB", version="3") is None


def test_steps_and_transactions_are_measured(tmp_path):
    """Three questions are decoded together in four steps. One transaction publishes three answers and three turns."""
    harness = WorkerHarness(tmp_path, steps=4)
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    harness.drain()
    series = scrape(harness.metrics)
    assert (value(series, "decode_rows_sum"), value(series, "decode_rows_count")) == (12, 4)
    assert value(series, "decode_step_seconds_count") == 4
    assert (value(series, "publication_records_sum"), value(series, "publications_total")) == (6, 1)
    assert value(series, "publication_seconds_count") == 1


def test_dropped_questions_are_counted_and_answered_once(tmp_path):
    """The duration of a failed transaction is measured, but the transaction does not count as a publication."""
    harness = WorkerHarness(tmp_path, fail_publishes=1)
    harness.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    harness.drain()
    series = scrape(harness.metrics)
    assert (value(series, "dropped_total"), value(series, "publications_total")) == (3, 1)
    assert value(series, "publication_seconds_count") == 2
    assert value(series, "answers_total", bot="ChatbotA", version="3", fallback="none") == 3


def test_the_polling_thread_updates_the_lag_and_a_scrape_does_not(tmp_path):
    """It does so about once per second. A partition that is no longer assigned disappears."""
    now = [100.0]
    harness = WorkerHarness(tmp_path, steps=50)
    harness.loop.monotonic = lambda: now[0]
    harness.loop.max_in_flight = 1
    calls: list[int] = []
    lag = harness.consumer.lag
    harness.consumer.lag = lambda: calls.append(1) or lag()
    for _ in range(3):
        put_question(harness.broker, legacy_text("n", "ChatbotA", "안녕?").encode(), partition=7)
    harness.drain(5)
    assert len(calls) == 1
    assert value(scrape(harness.metrics), "lag", partition="7") == 2
    assert len(calls) == 1
    now[0] += 1.5
    harness.consumer.lag = lambda: {3: 1}
    harness.drain(1)
    series = scrape(harness.metrics)
    assert (value(series, "lag", partition="3"), value(series, "lag", partition="7")) == (1, None)


def test_a_slot_has_one_series_with_its_current_state(tmp_path):
    """The series of an earlier state disappears."""
    harness = WorkerHarness(tmp_path)
    harness.drain(1)
    assert value(scrape(harness.metrics), "slot_version", bot="ChatbotA", state="ready") == 3
    harness.slots.activate("ChatbotA", LoadedVersion(version=4, model=ScriptedModel()), rollout_epoch=3)
    harness.drain(1)
    harness.slots.wait_for_load("ChatbotA", 4, "degraded", "해시가 다름")
    series = scrape(harness.metrics)
    assert value(series, "slot_version", bot="ChatbotA", state="degraded") == 4
    assert value(series, "slot_version", bot="ChatbotA", state="ready") is None


def test_labels_with_special_characters_are_escaped():
    """Quotes, line feeds, backslashes and Korean text are parsed back unchanged."""
    odd = '따옴표"\n와 \\ 역슬래시}'
    metrics = Metrics(slots=lambda: [SlotReport(bot=odd, version=1, state="ready", detail="")], suspects=lambda: 2)
    metrics.answered(make_turn(bot=odd, fallback=odd), 2)
    metrics.dead_letter(odd)
    series = scrape(metrics)
    assert value(series, "answers_total", bot=odd, version="3", fallback=odd) == 1
    assert value(series, "dead_letters_total", reason=odd) == 1
    assert value(series, "slot_version", bot=odd, state="ready") == 1
    assert value(series, "crash_suspects") == 2


def test_the_memory_of_the_process_is_a_metric():
    """The alert on memory needs it."""
    assert scrape(Metrics())[("process_resident_memory_bytes", frozenset())] > 2**20


def test_two_workers_in_one_process_do_not_share_counters():
    """Each has its own registry."""
    first, second = Metrics(), Metrics()
    first.dead_letter("schema")
    assert (first.tally()["dead_letters"], second.tally()["dead_letters"]) == (1, 0)
