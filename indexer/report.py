"""What the indexer has done and how far behind it is, for `/health` and `/metrics`.

The indexing thread writes and the health server's threads read. No label or text contains anything that a player wrote.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kogpt2_chat.domain.search.fields import FIELDS_BY_INDEX, INDEXER_INDEX
from kogpt2_chat.ports import Record

SILENT_S: Final = 180.0
"""After this time without a word from the indexing thread, the indexer is not ready: a call does not return."""
_MAX_NOTES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """The state of the indexer at one moment.

    Attributes:
        ready: whether documents are being written.
        lag_s: age of the oldest record that is not written yet, in seconds; 0 if there is none; None if that is not
            known yet.
        lag_s_by_topic: the same for each topic that is known.
        documents: documents written since the start, by index.
        refused: documents that an index refused, by index.
        left_out: records without a document by design, by reason.
        unreadable: records that could not be read, by topic.
        problems: why nothing is being written now.
        notes: what an operator may want to do.
        silent_s: seconds since the indexing thread last reported progress.
    """

    ready: bool
    lag_s: float | None
    lag_s_by_topic: Mapping[str, float]
    documents: Mapping[str, int]
    refused: Mapping[str, int]
    left_out: Mapping[str, int]
    unreadable: Mapping[str, int]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    silent_s: float

    def as_json(self) -> dict[str, Any]:
        """Return the body of `/health`."""
        return {
            "ready": self.ready,
            "lag_s": self.lag_s,
            "lag_s_by_topic": dict(self.lag_s_by_topic),
            "documents": dict(self.documents),
            "refused": dict(self.refused),
            "left_out": dict(self.left_out),
            "unreadable": dict(self.unreadable),
            "problems": list(self.problems),
            "notes": list(self.notes),
            "silent_s": round(self.silent_s, 3),
        }


@dataclass(slots=True, kw_only=True)
class Progress:
    """The indexer's counters and its lag.

    Attributes:
        clock: the time, to compare with the times of records.
        monotonic: seconds, for the age of the last progress.
    """

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float]
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _oldest_ms: dict[str, int | None] = field(default_factory=dict)
    _problem: str = "starting"
    _notes: list[str] = field(default_factory=list)
    _progress_at: float = 0.0
    _worked_at: datetime | None = None
    _documents: Counter = field(init=False)
    _refused: Counter = field(init=False)
    _left_out: Counter = field(init=False)
    _unreadable: Counter = field(init=False)

    def __post_init__(self) -> None:
        self._documents = self._counter("documents", "Documents written.", "index")
        self._refused = self._counter("refused", "Documents that do not fit their index.", "index")
        self._left_out = self._counter("left_out", "Records without a document by design.", "reason")
        self._unreadable = self._counter("unreadable", "Records that could not be read.", "topic")
        for index in FIELDS_BY_INDEX:  # so that `rate()` sees the first event
            if index != INDEXER_INDEX:
                self._documents.labels(index)
                self._refused.labels(index)
        self.registry.register(_Lag(self))
        ProcessCollector(registry=self.registry)
        self.beat()

    def beat(self) -> None:
        """Note that the indexing thread is alive."""
        self._progress_at = self.monotonic()

    def works(self) -> None:
        """Note that both servers answer and that nothing prevents writing."""
        self.beat()
        self._worked_at = self.clock()
        self._problem = ""

    def fails(self, problem: str) -> None:
        """Note why nothing can be written now."""
        self.beat()
        self._problem = problem

    def note(self, text: str) -> None:
        """Add a note for operators."""
        with self._lock:
            self._notes = [*(note for note in self._notes if note != text), text][-_MAX_NOTES:]

    def holds(self, records: Sequence[Record]) -> None:
        """Note the records that were read and are to be written: the oldest of each topic counts."""
        self._note_times({record.topic: record.timestamp_ms for record in sorted(records, key=_time)[::-1]})

    def has_written(self, records: Sequence[Record]) -> None:
        """Note that these records are written. Until the next read, those that may follow are as old as the newest."""
        self._note_times({record.topic: record.timestamp_ms for record in sorted(records, key=_time)})

    def holds_none(self, topic: str) -> None:
        """Note that Kafka has returned no other record of a topic."""
        self._note_times({topic: None})

    def written(self, index: str, documents: int) -> None:
        """Count documents."""
        self._documents.labels(index).inc(documents)

    def refused(self, index: str) -> None:
        """Count a document that its index refused."""
        self._refused.labels(index).inc()

    def left_out(self, reason: str) -> None:
        """Count a record that has no document by design."""
        self._left_out.labels(reason).inc()

    def unreadable(self, topic: str) -> None:
        """Count a record that could not be read."""
        self._unreadable.labels(topic).inc()

    def lag_s_by_topic(self) -> dict[str, float]:
        """Return how many seconds ago the oldest record that is not written came, by topic; 0 if there is none.

        While a server is away, nothing is known of what has come since it went. Then it is at least the time since.
        """
        now_ms = self.clock().timestamp() * 1000
        with self._lock:
            oldest = dict(self._oldest_ms)
        if self._problem and self._worked_at is not None:
            worked_ms = int(self._worked_at.timestamp() * 1000)
            oldest = {topic: worked_ms if ms is None else min(ms, worked_ms) for topic, ms in oldest.items()}
        # The clocks of two machines may differ.
        return {topic: 0.0 if ms is None else round(max(0.0, now_ms - ms) / 1000, 3) for topic, ms in oldest.items()}

    def report(self) -> HealthReport:
        """Return the present state."""
        lags, silent_s = self.lag_s_by_topic(), self.monotonic() - self._progress_at
        problem = self._problem or (f"no progress for {silent_s:.0f} s" if silent_s > SILENT_S else "")
        return HealthReport(
            ready=not problem,
            lag_s=max(lags.values(), default=None),
            lag_s_by_topic=lags,
            documents=_sums(self._documents, "index"),
            refused=_sums(self._refused, "index"),
            left_out=_sums(self._left_out, "reason"),
            unreadable=_sums(self._unreadable, "topic"),
            problems=(problem,) if problem else (),
            notes=tuple(self._notes),
            silent_s=silent_s,
        )

    def page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _note_times(self, oldest_ms: Mapping[str, int | None]) -> None:
        with self._lock:
            self._oldest_ms.update(oldest_ms)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(f"kogpt2_indexer_{name}", text, (label,), registry=self.registry)


class _Lag(Collector):
    """Gauges that are computed at each scrape."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "kogpt2_indexer_lag_seconds", "Age of the oldest record that is not written yet; 0: none.", labels=["topic"]
        )
        for topic, seconds in self._progress.lag_s_by_topic().items():
            lag.add_metric([topic], seconds)
        yield lag
        ready = float(self._progress.report().ready)
        yield GaugeMetricFamily("kogpt2_indexer_ready", "1 while documents can be written.", value=ready)


def _time(record: Record) -> int:
    return record.timestamp_ms


def _sums(counter: Counter, label: str) -> dict[str, int]:
    return {
        sample.labels[label]: int(sample.value)
        for family in counter.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }
