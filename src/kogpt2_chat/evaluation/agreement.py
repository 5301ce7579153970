"""How far the serving engine's int8 answers are from those of the weights themselves, in fp32."""

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
_GAVE_WAY: Final = (-1,)
"""No token has this id."""


def measure_agreement(
    reference: LoadedBot,
    served: ServedBot,
    questions: Sequence[str],
    pairs: Sequence[Pair],
    settings: Settings,
    choice: Choice = "model",
) -> EngineAgreement:
    """Let both answer the same questions greedily, and compare what is heard and how likely both find known answers.

    Where both are unsure, the same nearest answer is heard, whatever either would have said.

    Args:
        reference: the version on the reference engine.
        served: the same version on the serving engine.
        questions: to be answered.
        pairs: whose answers' likelihood is compared, at least one.
        settings: bounds of the worker.
        choice: what is said where the version is unsure.

    Returns:
        The figures.
    """
    theirs = generate_reference_answers(reference, questions, settings)
    ours = generate_answers(make_engine(settings), served, questions)
    return compare(reference, served, theirs, ours, pairs, settings, choice)


def compare(
    reference: LoadedBot,
    served: ServedBot,
    theirs: Sequence[Answer],
    ours: Sequence[Answer],
    pairs: Sequence[Pair],
    settings: Settings,
    choice: Choice,
) -> EngineAgreement:
    """The same of answers that were given already.

    Args:
        reference: the version on the reference engine.
        served: the same version on the serving engine.
        theirs: the reference's answers.
        ours: the serving engine's, to the same questions in the same order.
        pairs: whose answers' likelihood is compared, at least one.
        settings: bounds of the worker.
        choice: what is said where the version is unsure.

    Returns:
        The figures.
    """
    said = [_heard(reference, answer, choice) for answer in theirs]
    served_tokens = [_heard(served, answer, choice) for answer in ours]
    bounds = (reference.max_prompt_tokens, settings.model.max_new_tokens)
    examples = make_examples(pairs, reference.tokenizer, *bounds, reference.first_ids)
    return EngineAgreement(
        questions=len(said),
        same_answers=sum(a == b for a, b in zip(served_tokens, said, strict=True)),
        same_tokens=sum(_common(a, b) for a, b in zip(served_tokens, said, strict=True)),
        tokens=sum(len(tokens) for tokens in said),
        nll_reference=fmean(nll_by_example(reference.network, examples)),
        nll_engine=fmean(served_nll(served.network, examples)),
    )


def _heard(bot: Bot[Any], answer: Answer, choice: Choice) -> Tokens:
    """Tokens of what the model says itself; one mark where something else takes their place."""
    who, _ = speaker(bot.uncertainty, choice, answer.logprob, answer.question)
    return answer.token_ids if who == "model" else _GAVE_WAY


def served_nll(model: PagedModel, examples: Sequence[Example]) -> list[float]:
    """Mean negative log likelihood of each example's answer tokens on the serving engine, in nat."""
    figures = []
    for example in examples:
        pages = BlockTable()
        logits, normalisers = model.forward([(pages, example.ids)], all_logits=True)
        model.release(pages)
        said = slice(example.answer_start - 1, len(example.ids) - 1)
        chosen = logits[said][np.arange(said.stop - said.start), list(example.ids[example.answer_start :])]
        figures.append(float((normalisers[said] - chosen).mean()))
    return figures


def _common(ours: Tokens, theirs: Tokens) -> int:
    """Tokens up to the first difference."""
    for place, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if a != b:
            return place
    return min(len(ours), len(theirs))
