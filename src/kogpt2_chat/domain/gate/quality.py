"""The gate's informational rules on all answers of the candidate, compared with those of the baseline."""

from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.gate.block import Block, Case, Comparison, Reason, Target

_GOLDEN: Final = Target("golden_rest", "golden", "share of other golden questions answered correctly")
_CHRF: Final = Target("chrf", "reference", "chrF")
_DISTINCT_1: Final = Target("distinct_1", "diversity", "distinct words")
_DISTINCT_2: Final = Target("distinct_2", "diversity", "distinct word pairs")
_ENTROPY: Final = Target("entropy", "diversity", "entropy of words")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerQuality:
    """Metrics of one model's greedy answers on the reference engine.

    Attributes:
        golden_passed: number of golden questions answered correctly, without the must-pass ones.
        golden_total: number of golden questions without the must-pass ones.
        chrf: chrF against the gold answers, 0 to 100.
        distinct_1: share of distinct words among all words, 0 to 1.
        distinct_2: share of distinct word pairs among all word pairs, 0 to 1.
        entropy: entropy of the words, in nat.
    """

    golden_passed: int
    golden_total: int
    chrf: float
    distinct_1: float
    distinct_2: float
    entropy: float

    @property
    def golden_share(self) -> float:
        """``golden_passed`` as a share of ``golden_total``; 0 if there are no such questions."""
        return self.golden_passed / self.golden_total if self.golden_total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality(Block):
    """Both models' metrics.

    Attributes:
        candidate: the candidate's.
        baseline: the baseline's; None if the baseline is a base, whose answers are random.
    """

    candidate: AnswerQuality
    baseline: AnswerQuality | None = None

    def reasons(self, case: Case, /) -> list[Reason]:
        """Use the baseline's metrics as targets, within the profile's margins."""
        ours, theirs = self.candidate, self.baseline
        reasons = []
        if ours.golden_total:
            reasons.append(_GOLDEN.at_least(ours.golden_share, theirs.golden_share if theirs else 0.0))
        if theirs is not None:
            share = case.thresholds.diversity_share
            reasons += [
                _CHRF.at_least(ours.chrf, theirs.chrf - case.thresholds.chrf_margin),
                _DISTINCT_1.at_least(ours.distinct_1, share * theirs.distinct_1),
                _DISTINCT_2.at_least(ours.distinct_2, share * theirs.distinct_2),
                _ENTROPY.at_least(ours.entropy, share * theirs.entropy),
            ]
        return reasons

    def comparisons(self) -> list[Comparison]:
        """Compare all metrics of the answers."""
        ours, theirs = self.candidate, self.baseline
        if theirs is None:
            return []
        pairs = [
            (_CHRF, ours.chrf, theirs.chrf),
            (_DISTINCT_1, ours.distinct_1, theirs.distinct_1),
            (_DISTINCT_2, ours.distinct_2, theirs.distinct_2),
            (_ENTROPY, ours.entropy, theirs.entropy),
        ]
        if ours.golden_total:
            pairs.insert(0, (_GOLDEN, ours.golden_share, theirs.golden_share))
        return [
            Comparison(rule=target.name, what=target.what, value=value, baseline=baseline, lower_is_better=False)
            for target, value, baseline in pairs
        ]

    def metrics(self) -> dict[str, float]:
        """Return the candidate's metrics, by which its version is compared with any other."""
        ours = self.candidate
        metrics = {name: getattr(ours, name) for name in ("chrf", "distinct_1", "distinct_2", "entropy")}
        return metrics | ({"golden_share": ours.golden_share} if ours.golden_total else {})
