"""Count the faults of the candidate's answers, as it generates them and as players receive them."""

from collections.abc import Sequence

from kogpt2_chat.domain.gate.behaviour import FAILURES, AnswerFaults, Behaviour
from kogpt2_chat.domain.learning.pairs import GoldenQuestion
from kogpt2_chat.evaluation.answers import Answer, count_right
from kogpt2_chat.evaluation.trial import Trial


def measure(trial: Trial) -> Behaviour:
    """Count failures, leaks and passed must-pass questions: of its own answers, the heard ones and the baseline's."""
    golden = trial.evaluation_set.golden
    theirs = trial.baseline_answers
    return Behaviour(
        own=_faults(trial.own_answers, golden),
        heard=_faults(trial.heard_answers, golden),
        baseline=None if theirs is None else _faults(theirs, golden),
    )


def _faults(answers: Sequence[Answer], golden: Sequence[GoldenQuestion]) -> AnswerFaults:
    must = [entry for entry in golden if entry.must_pass]
    return AnswerFaults(
        answers=len(answers),
        failures={kind: sum(kind in answer.failures for answer in answers) for kind in FAILURES},
        leaks=sum(answer.leaked for answer in answers),
        must_passed=count_right(must, answers),
        must_total=len(must),
    )
