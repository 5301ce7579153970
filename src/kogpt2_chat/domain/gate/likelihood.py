"""The gate's rules on likelihoods: not worse on gold, and better on taught pairs or on held-out pairs."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from kogpt2_chat.domain.gate.block import Block, Case, Comparison, Reason, Rule

_GOLD_NOT_WORSE: Final = Rule("gold_not_worse", "fit")
_BETTER_ON_TAUGHT: Final = Rule("better_on_taught", "fit", blocking=False)
_BETTER_ON_HELD_OUT: Final = Rule("better_on_held_out", "fit", blocking=False)
_IMPROVES: Final = Rule("improves", "fit")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedNll:
    """The NLL of both models on the same examples, of which there is at least one.

    Attributes:
        candidate: the candidate's NLL in nat per answer token, one value per example.
        baseline: the baseline's NLL, in the same order.
        clusters: cluster id per example; examples of one cluster are resampled together.
    """

    candidate: Sequence[float]
    baseline: Sequence[float]
    clusters: Sequence[str]

    @property
    def difference(self) -> float:
        """Mean paired difference, candidate minus baseline, in nat."""
        return fmean(self.candidate) - fmean(self.baseline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood(Block):
    """The NLL of both models on each kind of pairs; None if there are no such pairs.

    Attributes:
        gold: on the gold set.
        taught: on pairs of the candidate's dataset that are new to the baseline.
        held_out: on pairs that neither model learned.
    """

    gold: PairedNll | None = None
    taught: PairedNll | None = None
    held_out: PairedNll | None = None

    def reasons(self, case: Case, /) -> list[Reason]:
        """Require that the candidate is not worse on gold, and better on taught pairs or on held-out pairs."""
        better = [
            _better(rule, label, paired, case)
            for rule, label, paired in (
                (_BETTER_ON_TAUGHT, "newly taught", self.taught),
                (_BETTER_ON_HELD_OUT, "held-out", self.held_out),
            )
            if paired is not None
        ]
        return [_gold_not_worse(self.gold, case), *better, _improves(better, case)]

    def metrics(self) -> dict[str, float]:
        """Return the mean NLL of both models on each kind of pairs."""
        metrics = {}
        for name, paired in (("gold", self.gold), ("taught", self.taught), ("held_out", self.held_out)):
            if paired is not None:
                metrics[f"{name}_nll"] = fmean(paired.candidate)
                metrics[f"{name}_nll_opponent"] = fmean(paired.baseline)
        return metrics

    def comparisons(self) -> list[Comparison]:
        """Compare the mean NLL on each kind of pairs."""
        return [
            Comparison(
                rule=rule.name,
                what=f"NLL of {label} answers",
                value=fmean(paired.candidate),
                baseline=fmean(paired.baseline),
                lower_is_better=True,
            )
            for rule, label, paired in (
                (_GOLD_NOT_WORSE, "gold", self.gold),
                (_BETTER_ON_TAUGHT, "newly taught", self.taught),
                (_BETTER_ON_HELD_OUT, "held-out", self.held_out),
            )
            if paired is not None
        ]


def upper_bound(paired: PairedNll, confidence: float, rounds: int, seed: int) -> float:
    """Return the upper confidence bound of the mean paired difference, candidate minus baseline.

    A bootstrap over clusters: examples of one cluster are drawn together.

    Args:
        paired: the NLL of both models.
        confidence: one-sided confidence level, for example 0.95.
        rounds: number of resamples.
        seed: seed of the bootstrap; the same seed yields the same bound.

    Returns:
        The bound, in nat.
    """
    differences: dict[str, list[float]] = {}
    for ours, theirs, cluster in zip(paired.candidate, paired.baseline, paired.clusters, strict=True):
        differences.setdefault(cluster, []).append(ours - theirs)
    clusters = [(sum(values), len(values)) for values in differences.values()]
    rng = random.Random(seed)  # noqa: S311 - resampling, not secrets
    means = []
    for _ in range(rounds):
        drawn = rng.choices(clusters, k=len(clusters))
        means.append(sum(total for total, _ in drawn) / sum(count for _, count in drawn))
    return sorted(means)[min(int(confidence * rounds), rounds - 1)]


def _gold_not_worse(gold: PairedNll | None, case: Case) -> Reason:
    margin = case.thresholds.gold_margin_nat
    if gold is None:
        return _GOLD_NOT_WORSE.result(
            0.0, margin, "the bot has no gold set to compare on: write gold.csv", passed=False
        )
    bound = _bound(gold, case)
    return _GOLD_NOT_WORSE.at_most(
        bound,
        margin,
        f"gold NLL {fmean(gold.candidate):.3f} against {fmean(gold.baseline):.3f} of {case.baseline}: difference "
        f"{gold.difference:+.3f}, upper bound {bound:+.3f} nat, {'within' if bound <= margin else 'above'} the margin "
        f"{margin:+.3f}",
    )


def _better(rule: Rule, label: str, paired: PairedNll, case: Case) -> Reason:
    bound = _bound(paired, case)
    sentence = (
        f"NLL on {len(paired.candidate)} {label} pairs {fmean(paired.candidate):.3f} against "
        f"{fmean(paired.baseline):.3f} of {case.baseline}, upper bound of the difference {bound:+.3f} nat"
    )
    return rule.result(bound, 0.0, sentence, passed=bound < 0)


def _improves(better: Sequence[Reason], case: Case) -> Reason:
    improved = [reason.sentence for reason in better if reason.passed]
    if improved:
        sentence = " and ".join(improved)
    else:
        measured = "; ".join(reason.sentence for reason in better) or "no newly taught or held-out pairs to compare on"
        sentence = f"no improvement over {case.baseline}: {measured}"
    best = min((reason.value for reason in better), default=0.0)
    return _IMPROVES.result(best, 0.0, sentence, passed=bool(improved))


def _bound(paired: PairedNll, case: Case) -> float:
    return upper_bound(paired, case.thresholds.confidence, case.thresholds.bootstrap_rounds, case.seed)
