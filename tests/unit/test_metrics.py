"""What a scrape says after the worker has answered, refused, stood in and dropped."""

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


def a_turn(**changed: object) -> Turn:
    said: dict[str, Any] = {
        "turn_id": "bot_question-0-0", "question_id": "q", "bot": "ChatbotA", "player_id": "p", "sender": "하늘",
        "text": "", "answer": "", "received_at": "", "answered_at": "", "latency_ms": 40, "consent_store": True,
        "consent_train": True, "source": "v1", "worker": "worker-1", "prompt_tokens": 5, "model_version": 3,
    }  # fmt: skip
    return Turn(**said | changed)


def test_a_scrape_says_what_became_of_every_question(tmp_path):
    """Answers by bot, version and fallback; dead letters by reason; nothing of them twice."""
    bench = WorkerHarness(tmp_path, steps=2, answers={"안녕?": "안녕하세요!", "침묵": ""})
    bench.ask(*(legacy_text("n", "ChatbotA", text) for text in ("안녕?", "안녕?", "침묵")), "헛소리", b"x" * 17_000)
    bench.drain()
    bench.slots.mute("ChatbotB", muted=True)
    bench.ask(legacy_text("n", "ChatbotB", "안녕?"))
    bench.drain()
    seen = scrape(bench.metrics)
    assert value(seen, "answers_total", bot="ChatbotA", version="3", fallback="none") == 2
    assert value(seen, "answers_total", bot="ChatbotA", version="3", fallback="empty") == 1
    assert value(seen, "answers_total", bot="ChatbotB", version="3", fallback="muted") == 1
    assert value(seen, "dead_letters_total", reason="not_a_question") == 1
    assert value(seen, "dead_letters_total", reason="too_large") == 1
    assert value(seen, "answer_tokens_total", bot="ChatbotA") == 2 * len("안녕하세요!")
    assert value(seen, "prompt_tokens_total", bot="ChatbotA") == 2 * (len("안녕?") + 3) + len("침묵") + 3
    assert (value(seen, "in_flight"), value(seen, "double_drops_total")) == (0, 0)
    assert {
        "answered": 4,
        "fallbacks": 2,
        "dead_letters": 2,
        "in_flight": 0,
        "dropped": 0,
        "double_drops": 0,
    }.items() <= bench.metrics.tally().items()


def test_seconds_are_those_of_answers_that_took_a_model(tmp_path):
    """A muted bot's notices take no time and must not make the others look fast."""
    bench = WorkerHarness(tmp_path)
    bench.ask(legacy_text("n", "ChatbotA", "안녕?"))
    bench.slots.mute("ChatbotB", muted=True)
    bench.ask(legacy_text("n", "ChatbotB", "안녕?"))
    bench.drain()
    seen = scrape(bench.metrics)
    latency_s = bench.turns()[0].latency_ms / 1000
    assert value(seen, "answer_seconds_sum", bot="ChatbotA", version="3") == latency_s > 0
    assert value(seen, "answer_seconds_bucket", bot="ChatbotA", version="3", le="20.0") == 1
    assert value(seen, "answer_seconds_count", bot="ChatbotB", version="3") is None


def test_steps_and_transactions_are_measured(tmp_path):
    """Three questions side by side for four steps, published at once: three answers, three turns."""
    bench = WorkerHarness(tmp_path, steps=4)
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    bench.drain()
    seen = scrape(bench.metrics)
    assert (value(seen, "decode_rows_sum"), value(seen, "decode_rows_count")) == (12, 4)
    assert value(seen, "decode_step_seconds_count") == 4
    assert (value(seen, "publication_records_sum"), value(seen, "publications_total")) == (6, 1)
    assert value(seen, "publication_seconds_count") == 1


def test_what_was_dropped_is_counted_and_answered_once(tmp_path):
    """A transaction that failed has its seconds, but is no publication."""
    bench = WorkerHarness(tmp_path, fail_publishes=1)
    bench.ask(*(legacy_text("n", "ChatbotA", "안녕?") for _ in range(3)))
    bench.drain()
    seen = scrape(bench.metrics)
    assert (value(seen, "dropped_total"), value(seen, "publications_total")) == (3, 1)
    assert value(seen, "publication_seconds_count") == 2
    assert value(seen, "answers_total", bot="ChatbotA", version="3", fallback="none") == 3


def test_the_lag_is_asked_by_the_polling_thread_and_not_by_the_page(tmp_path, monkeypatch):
    """About once a second, and a partition that was given away disappears."""
    now = [100.0]
    monkeypatch.setattr("serving.loop.time.monotonic", lambda: now[0])
    bench = WorkerHarness(tmp_path, steps=50)
    bench.loop.max_in_flight = 1
    asked: list[int] = []
    lag = bench.consumer.lag
    bench.consumer.lag = lambda: asked.append(1) or lag()
    for _ in range(3):
        put_question(bench.broker, legacy_text("n", "ChatbotA", "안녕?").encode(), partition=7)
    bench.drain(5)
    assert len(asked) == 1
    assert value(scrape(bench.metrics), "lag", partition="7") == 2
    assert len(asked) == 1
    now[0] += 1.5
    bench.consumer.lag = lambda: {3: 1}
    bench.drain(1)
    seen = scrape(bench.metrics)
    assert (value(seen, "lag", partition="3"), value(seen, "lag", partition="7")) == (1, None)


def test_a_slot_is_told_as_it_is_now(tmp_path):
    """No series of a state, or of a version, that is no longer so."""
    bench = WorkerHarness(tmp_path)
    bench.drain(1)
    assert value(scrape(bench.metrics), "slot_version", bot="ChatbotA", state="ready") == 3
    bench.slots.activate("ChatbotA", LoadedVersion(version=4, model=ScriptedModel()), rollout_epoch=3)
    bench.drain(1)
    bench.slots.wait_for_load("ChatbotA", 4, "degraded", "해시가 다름")
    seen = scrape(bench.metrics)
    assert value(seen, "slot_version", bot="ChatbotA", state="degraded") == 4
    assert value(seen, "slot_version", bot="ChatbotA", state="ready") is None


def test_no_label_can_break_the_page():
    """Quotes, line feeds, backslashes and Korean come back as they were."""
    odd = '따옴표"\n와 \\ 역슬래시}'
    metrics = Metrics(slots=lambda: [SlotReport(bot=odd, version=1, state="ready", detail="")], suspects=lambda: 2)
    metrics.answered(a_turn(bot=odd, fallback=odd), 2)
    metrics.dead_letter(odd)
    seen = scrape(metrics)
    assert value(seen, "answers_total", bot=odd, version="3", fallback=odd) == 1
    assert value(seen, "dead_letters_total", reason=odd) == 1
    assert value(seen, "slot_version", bot=odd, state="ready") == 1
    assert value(seen, "crash_suspects") == 2


def test_the_process_s_own_memory_and_time_are_there():
    """What an alert on memory needs; and two workers in one process would not share a figure."""
    first, second = Metrics(), Metrics()
    first.dead_letter("schema")
    assert second.tally()["dead_letters"] == 0
    assert scrape(first)[("process_resident_memory_bytes", frozenset())] > 2**20
