"""chrF: how close answers are to reference answers, 0 to 100."""

from collections.abc import Sequence

from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.answers import Answer


def gold_chrf(answers: Sequence[Answer], gold: Sequence[Pair]) -> float:
    """Return the chrF of the answers to the gold questions; there must be an answer to each of them."""
    text_by_question = {answer.question: answer.text for answer in answers}
    return corpus_chrf([text_by_question[pair.question] for pair in gold], [pair.answer for pair in gold])


def corpus_chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return the chrF over all answers; 0 if there is nothing to compare."""
    import sacrebleu

    return float(sacrebleu.corpus_chrf(list(answers), [list(references)]).score) if answers else 0.0


def sentence_chrf(answer: str, reference: str) -> float:
    """Return the chrF of one answer."""
    import sacrebleu

    return float(sacrebleu.sentence_chrf(answer, [reference]).score)
