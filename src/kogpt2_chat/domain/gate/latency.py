"""The gate's informational rule on latency."""

from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.gate.block import Block, Case, Comparison, Reason, Target

_P95: Final = Target("p95_ms", "serving", "p95 latency of the serving engine in ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Block):
    """Latencies of single answers in the serving engine.

    Attributes:
        p50_ms: the candidate's median.
        p95_ms: the candidate's 95th percentile.
        baseline_p95_ms: the baseline's 95th percentile; None if the baseline is a base, which is not served.
    """

    p50_ms: float
    p95_ms: float
    baseline_p95_ms: float | None = None

    def reasons(self, case: Case, /) -> list[Reason]:
        """Use a multiple of the baseline's latency as the target."""
        if self.baseline_p95_ms is None:
            return []
        return [_P95.at_most(self.p95_ms, case.thresholds.latency_factor * self.baseline_p95_ms)]

    def comparisons(self) -> list[Comparison]:
        """Compare the 95th percentiles."""
        if self.baseline_p95_ms is None:
            return []
        return [
            Comparison(
                rule=_P95.name, what=_P95.what, value=self.p95_ms, baseline=self.baseline_p95_ms, lower_is_better=True
            )
        ]

    def metrics(self) -> dict[str, float]:
        """Return the candidate's latencies."""
        return {"answer_p50_ms": self.p50_ms, "answer_p95_ms": self.p95_ms}
