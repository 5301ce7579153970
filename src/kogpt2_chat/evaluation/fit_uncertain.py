"""Fit a version's thresholds on its bot's dev pairs, which no version is trained on."""

from collections.abc import Sequence

from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.answers import generate_reference_answers, sentence_chrf
from kogpt2_chat.inference.nearest import NearestQuestions
from kogpt2_chat.inference.uncertain import DevResult, as_text, fit_thresholds, known_pairs
from kogpt2_chat.network.load import LoadedBot
from kogpt2_chat.settings import Settings


def fit_uncertainty(bot: LoadedBot, known: Sequence[Pair], dev: Sequence[Pair], settings: Settings) -> str:
    """Fit the thresholds by comparing the version's own answers with the nearest known ones.

    Args:
        bot: the version on the reference engine.
        known: pairs whose answers may replace its own.
        dev: pairs that it was not trained on; at least one.
        settings: the worker's limits.

    Returns:
        The content of the version's :data:`kogpt2_chat.inference.uncertain.FILE`.
    """
    rows = known_pairs(known)
    index = NearestQuestions(rows)
    results = []
    for answer, pair in zip(
        generate_reference_answers(bot, [pair.question for pair in dev], settings), dev, strict=True
    ):
        found = index.find(pair.question)
        results.append(
            DevResult(
                logprob=answer.logprob,
                likeness=found.likeness if found else 0.0,
                own=sentence_chrf(answer.text, pair.answer),
                nearest=sentence_chrf(found.known.answer, pair.answer) if found else 0.0,
            )
        )
    return as_text(fit_thresholds(results), rows)
