"""The metrics of a worker, for Prometheus (`/metrics`) and for `/health`, which therefore always agree.

The answering thread and its publisher count, and the health server's threads read. prometheus_client locks each metric.
A label never contains anything that a player wrote.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.dead_letters import REASONS
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.domain.rollout.states import SlotReport
from kogpt2_chat.domain.safety.crisis import KINDS, CrisisKind

NO_FALLBACK: Final = "none"
"""Label of the model's own answers: Prometheus treats an empty label as missing."""
_UNDECODED: Final = frozenset({"safety", "muted", "degraded"})
"""Fallbacks of answers without a model. Their latencies are not recorded: they would hide those of the others."""
_ANSWER_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0)
_STEP_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)
_PUBLICATION_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 96, 128)
_RECORDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """The metrics of the answers with one bot, version and fallback."""

    count: Callable[[], None]
    seconds: Callable[[float], None]
    prompt_tokens: Callable[[float], None]
    answer_tokens: Callable[[float], None]


class Metrics:
    """The metrics of one worker, in their own Prometheus registry.

    Args:
        slots: returns the current report of each slot.
        suspects: returns the number of questions that may have killed this worker.

    Attributes:
        in_flight: questions polled and not yet published.
        publications: committed transactions.
        publication_seconds: duration of every transaction, committed or not.
        dropped: questions that were dropped and will be polled again.
        double_drops: questions that this process answered a second time; must stay 0.
        lag: questions of each assigned partition that are not polled yet; set by the polling thread, because only that
            thread may query the consumer.
    """

    def __init__(
        self, *, slots: Callable[[], Sequence[SlotReport]] = tuple, suspects: Callable[[], int] = lambda: 0
    ) -> None:
        self.registry = CollectorRegistry()
        self.lag: Mapping[int, int] = {}
        self._series_by_answer: dict[tuple[str, int, str | None], _Series] = {}
        self._count_answers()
        self._count_work()
        self.registry.register(_Now(self, slots, suspects))
        ProcessCollector(registry=self.registry)

    def answered(self, turn: Turn, answer_tokens: int) -> None:
        """Count a published answer.

        Args:
            turn: its turn.
            answer_tokens: number of tokens that were decoded for it.
        """
        key = (turn.bot, turn.model_version, turn.fallback)
        series = self._series_by_answer.get(key) or self._bind(*key)
        series.count()
        series.seconds(turn.latency_ms / 1000)
        series.prompt_tokens(turn.prompt_tokens)
        series.answer_tokens(answer_tokens)

    def safety_answered(self, bot: str, kind: CrisisKind) -> None:
        """Count a published vetted answer, in addition to :meth:`answered`."""
        self._safety_answers.labels(bot, kind).inc()

    def dead_letter(self, reason: str) -> None:
        """Count a published dead letter."""
        self._dead_letters.labels(reason).inc()

    def published(self, records: int) -> None:
        """Count a committed transaction and its records."""
        self.publications.inc()
        self._publication_records.observe(records)

    def stepped(self, seconds: float, rows: int) -> None:
        """Count a step of the engine and the requests in it."""
        self._step_seconds.observe(seconds)
        self._rows.observe(rows)

    def swapped(self, bot: str) -> None:
        """Count a swap: another version begins to answer for a bot."""
        self._swaps.labels(bot).inc()

    def page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def tally(self) -> dict[str, int]:
        """Return the sums that `/health` shows."""
        answers = list(_values(self._answers))
        return {
            "answered": int(sum(value for _, value in answers)),
            "fallbacks": int(sum(value for labels, value in answers if labels["fallback"] != NO_FALLBACK)),
            **{name: int(sum(value for _, value in _values(metric))) for name, metric in self._summed().items()},
            **self._safety_tally(),
        }

    def _safety_tally(self) -> dict[str, int]:
        """Return the number of vetted answers by kind."""
        return {
            f"safety_{kind}": int(
                sum(value for labels, value in _values(self._safety_answers) if labels["kind"] == kind)
            )
            for kind in KINDS
        }

    def _bind(self, bot: str, version: int, fallback: str | None) -> "_Series":
        """Look up the metrics of these answers once: a look-up by labels costs more than counting."""
        label = fallback or NO_FALLBACK
        series = _Series(
            count=self._answers.labels(bot, version, label).inc,
            seconds=_ignore if label in _UNDECODED else self._answer_seconds.labels(bot, version).observe,
            prompt_tokens=self._prompt_tokens.labels(bot).inc,
            answer_tokens=self._answer_tokens.labels(bot).inc,
        )
        self._series_by_answer[bot, version, fallback] = series
        return series

    def _summed(self) -> dict[str, Counter | Gauge]:
        return {
            "dead_letters": self._dead_letters,
            "in_flight": self.in_flight,
            "publications": self.publications,
            "dropped": self.dropped,
            "swaps": self._swaps,
            "double_drops": self.double_drops,
        }

    def _count_answers(self) -> None:
        self._answers = self._counter("answers", "Published answers.", "bot", "version", "fallback")
        self._answer_seconds = self._histogram(
            "answer_seconds",
            "Time from poll to answer, without answers that need no model.",
            _ANSWER_S,
            "bot",
            "version",
        )
        self._safety_answers = self._counter(
            "safety_answers", "Published vetted answers, by the kind of crisis.", "bot", "kind"
        )
        self._prompt_tokens = self._counter("prompt_tokens", "Tokens of the prompts of answered questions.", "bot")
        self._answer_tokens = self._counter("answer_tokens", "Tokens decoded for answers.", "bot")
        self._dead_letters = self._counter("dead_letters", "Records that can never be answered.", "reason")
        self.double_drops = self._counter("double_drops", "Questions answered twice; must stay 0.")
        self.dropped = self._counter("dropped", "Questions dropped, to be polled again.")

    def _count_work(self) -> None:
        self.in_flight = Gauge("kogpt2_in_flight", "Questions polled and not yet published.", registry=self.registry)
        self._step_seconds = self._histogram(
            "decode_step_seconds", "Duration of one step of the engine, all bots.", _STEP_S
        )
        self._rows = self._histogram("decode_rows", "Requests in the engine when a step began.", _ROWS)
        self.publications = self._counter("publications", "Committed transactions.")
        self.publication_seconds = self._histogram(
            "publication_seconds", "Duration of one transaction, committed or not.", _PUBLICATION_S
        )
        self._publication_records = self._histogram(
            "publication_records", "Answers, turns and dead letters in a committed transaction.", _RECORDS
        )
        self._swaps = self._counter("swaps", "Swaps: another version began to answer.", "bot")
        # Create every label set at start, so that `rate()` sees the first event.
        for bot in BOT_IDS:
            for counter in (self._swaps, self._prompt_tokens, self._answer_tokens):
                counter.labels(bot)
            for kind in KINDS:
                self._safety_answers.labels(bot, kind)
        for reason in REASONS:
            self._dead_letters.labels(reason)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"kogpt2_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"kogpt2_{name}", text, labels, registry=self.registry, buckets=buckets)


class _Now(Collector):
    """Metrics that are computed at each scrape, so that outdated series disappear."""

    def __init__(
        self, metrics: Metrics, slots: Callable[[], Sequence[SlotReport]], suspects: Callable[[], int]
    ) -> None:
        self._metrics = metrics
        self._slots = slots
        self._suspects = suspects

    def collect(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily("kogpt2_lag", "Questions not polled yet, at the last poll.", labels=["partition"])
        for partition, behind in self._metrics.lag.items():
            lag.add_metric([str(partition)], behind)
        yield lag
        version = GaugeMetricFamily("kogpt2_slot_version", "Version that answers; 0: none.", labels=["bot", "state"])
        for slot in self._slots():
            version.add_metric([slot.bot, slot.state], slot.version)
        yield version
        yield GaugeMetricFamily(
            "kogpt2_crash_suspects", "Questions that may have killed this worker.", value=self._suspects()
        )


def _ignore(seconds: float) -> None:
    del seconds


def _values(metric: Counter | Gauge) -> Iterator[tuple[Mapping[str, str], float]]:
    for family in metric.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield sample.labels, sample.value
