"""Measure on which topics the candidate is better or worse than the baseline, by the gold likelihoods."""

from collections import defaultdict
from statistics import fmean

from kogpt2_chat.domain.gate.topics import TopicNll
from kogpt2_chat.evaluation.trial import Trial


def measure(trial: Trial) -> TopicNll:
    """Group the differences of the gold likelihoods by topic."""
    nll = trial.gold_nll
    if nll is None:
        return TopicNll({})
    differences: dict[str, list[float]] = defaultdict(list)
    for pair, ours, theirs in zip(trial.evaluation_set.gold, nll.candidate, nll.baseline, strict=True):
        differences[pair.topic].append(ours - theirs)
    return TopicNll({topic: fmean(values) for topic, values in differences.items()})
