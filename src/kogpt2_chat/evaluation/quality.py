"""Measure all answers of both models: golden questions, closeness to gold, diversity."""

from collections.abc import Sequence

from kogpt2_chat.domain.gate.evaluation_set import EvaluationSet
from kogpt2_chat.domain.gate.quality import AnswerQuality, Quality
from kogpt2_chat.evaluation.answers import Answer, count_right, distinct, entropy, gold_chrf
from kogpt2_chat.evaluation.trial import Trial


def measure(trial: Trial) -> Quality:
    """Measure the candidate's own answers, and those of the baseline unless it is a base."""
    theirs = trial.baseline_answers
    return Quality(
        candidate=_quality(trial.own_answers, trial.evaluation_set),
        baseline=None if theirs is None else _quality(theirs, trial.evaluation_set),
    )


def _quality(answers: Sequence[Answer], evaluation_set: EvaluationSet) -> AnswerQuality:
    texts = [answer.text for answer in answers]
    golden = [entry for entry in evaluation_set.golden if not entry.must_pass]
    return AnswerQuality(
        golden_passed=count_right(golden, answers),
        golden_total=len(golden),
        chrf=gold_chrf(answers, evaluation_set.sampled_gold()),
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        entropy=entropy(texts),
    )
