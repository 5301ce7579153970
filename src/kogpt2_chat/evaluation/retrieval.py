"""Compare the candidate with the nearest known answers, which need no model."""

from collections.abc import Sequence

from kogpt2_chat.domain.gate.retrieval import Retrieval
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.answers import corpus_chrf, gold_chrf
from kogpt2_chat.evaluation.trial import Trial
from kogpt2_chat.inference.nearest import NearestQuestions
from kogpt2_chat.inference.uncertain import known_pairs


def measure(trial: Trial) -> Retrieval:
    """Measure both on the sampled gold questions, and the share of the candidate's answers that are not replaced."""
    gold, heard = trial.evaluation_set.sampled_gold(), trial.heard_answers
    return Retrieval(
        chrf=gold_chrf(trial.own_answers, gold),
        nearest_chrf=nearest_chrf(trial.evaluation_set.seen, gold),
        defers=trial.choice == "nearest" and trial.candidate.reference.uncertainty is not None,
        own_share=sum(answer.is_own for answer in heard) / len(heard) if heard else None,
    )


def nearest_chrf(known: Sequence[Pair], gold: Sequence[Pair]) -> float:
    """Return the chrF of answering with the nearest known question's answer, at any likeness."""
    if not known or not gold:
        return 0.0
    index = NearestQuestions(known_pairs(known))
    nearest = [index.find(pair.question) for pair in gold]
    return corpus_chrf([found.known.answer if found else "" for found in nearest], [pair.answer for pair in gold])
