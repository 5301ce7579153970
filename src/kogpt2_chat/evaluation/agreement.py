"""Measure how far the serving engine's answers agree with those of the same weights in fp32."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

import numpy as np

from kogpt2_chat.domain.gate.measurements import EngineAgreement
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.answers import Answer, generate_answers, generate_reference_answers
from kogpt2_chat.inference.bot import Bot
from kogpt2_chat.inference.loading import ServedBot, make_engine
from kogpt2_chat.inference.paged import BlockTable, PagedModel
from kogpt2_chat.inference.uncertain import Choice, speaker
from kogpt2_chat.network.batches import Example, make_examples
from kogpt2_chat.network.load import LoadedBot
from kogpt2_chat.network.network import nll_by_example
from kogpt2_chat.settings import Settings

Tokens = tuple[int, ...]
_REPLACED: Final = (-1,)
"""Stands for an answer that is replaced; no token has this id."""


def measure_agreement(
    reference: LoadedBot,
    served: ServedBot,
    questions: Sequence[str],
    pairs: Sequence[Pair],
    settings: Settings,
    choice: Choice = "model",
) -> EngineAgreement:
    """Generate greedy answers on both engines; compare the answers and the likelihoods of known answers.

    If both engines are unsure, their own answers are replaced in the same way, so they count as the same.

    Args:
        reference: the version on the reference engine.
        served: the same version on the serving engine.
        questions: to be answered.
        pairs: pairs whose likelihood is compared; at least one.
        settings: the worker's limits.
        choice: what is used if the version is unsure.

    Returns:
        The measurements.
    """
    reference_answers = generate_reference_answers(reference, questions, settings)
    served_answers = generate_answers(make_engine(settings), served, questions)
    return compare(reference, served, reference_answers, served_answers, pairs, settings, choice)


def compare(
    reference: LoadedBot,
    served: ServedBot,
    reference_answers: Sequence[Answer],
    served_answers: Sequence[Answer],
    pairs: Sequence[Pair],
    settings: Settings,
    choice: Choice,
) -> EngineAgreement:
    """Compare answers that were already generated; see :func:`measure_agreement`.

    Args:
        reference: the version on the reference engine.
        served: the same version on the serving engine.
        reference_answers: the reference engine's answers.
        served_answers: the serving engine's answers to the same questions in the same order.
        pairs: pairs whose likelihood is compared; at least one.
        settings: the worker's limits.
        choice: what is used if the version is unsure.

    Returns:
        The measurements.
    """
    reference_tokens = [_used_tokens(reference, answer, choice) for answer in reference_answers]
    served_tokens = [_used_tokens(served, answer, choice) for answer in served_answers]
    limits = (reference.max_prompt_tokens, settings.model.max_new_tokens)
    examples = make_examples(pairs, reference.tokenizer, *limits, reference.first_ids)
    return EngineAgreement(
        questions=len(reference_tokens),
        same_answers=sum(a == b for a, b in zip(served_tokens, reference_tokens, strict=True)),
        same_tokens=sum(_common_prefix(a, b) for a, b in zip(served_tokens, reference_tokens, strict=True)),
        tokens=sum(len(tokens) for tokens in reference_tokens),
        nll_reference=fmean(nll_by_example(reference.network, examples)),
        nll_engine=fmean(served_nll(served.network, examples)),
    )


def _used_tokens(bot: Bot[Any], answer: Answer, choice: Choice) -> Tokens:
    """Return the tokens of the model's own answer, or a marker if the answer is replaced."""
    who, _ = speaker(bot.uncertainty, choice, answer.logprob, answer.question)
    return answer.token_ids if who == "model" else _REPLACED


def served_nll(model: PagedModel, examples: Sequence[Example]) -> list[float]:
    """Return the mean negative log-likelihood of each example's answer tokens on the serving engine, in nats."""
    nlls = []
    for example in examples:
        table = BlockTable()
        logits, normalisers = model.forward([(table, example.ids)], all_logits=True)
        model.release(table)
        answer = slice(example.answer_start - 1, len(example.ids) - 1)
        chosen = logits[answer][np.arange(answer.stop - answer.start), list(example.ids[example.answer_start :])]
        nlls.append(float((normalisers[answer] - chosen).mean()))
    return nlls


def _common_prefix(first: Tokens, second: Tokens) -> int:
    """Return the number of tokens before the first difference."""
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))
