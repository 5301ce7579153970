"""Measure how closely the serving engine's answers agree with those of the same weights in fp32."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

import numpy as np

from kogpt2_chat.domain.gate.agreement import EngineAgreement
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.answers import Answer
from kogpt2_chat.evaluation.trial import EvaluatedVersion, Trial
from kogpt2_chat.inference.bot import LoadedModel
from kogpt2_chat.inference.pages import PagedNetwork, PageTable
from kogpt2_chat.inference.uncertain import WhenUnsure, choose_answer
from kogpt2_chat.network.batches import Example, make_examples
from kogpt2_chat.network.network import nll_by_example
from kogpt2_chat.settings import Settings

Tokens = tuple[int, ...]
_REPLACED: Final = (-1,)
"""Marks an answer that is replaced; no token has this id."""


def measure(trial: Trial) -> EngineAgreement:
    """Compare the candidate's answers to questions that it has learned, and the likelihoods of known answers."""
    learned = set(trial.evaluation_set.learned_questions())
    answers = zip(trial.own_answers, trial.served_answers, strict=True)
    both = [pair for pair in answers if pair[0].question in learned]
    return compare(trial.candidate, both, trial.evaluation_set.known_pairs(), trial.settings, trial.choice)


def compare(
    version: EvaluatedVersion,
    answers: Sequence[tuple[Answer, Answer]],
    pairs: Sequence[Pair],
    settings: Settings,
    choice: WhenUnsure = "model",
) -> EngineAgreement:
    """Compare greedy answers of both engines, and the likelihoods that both assign to known answers.

    If both engines are unsure, their own answers are replaced in the same way, so they count as the same.

    Args:
        version: the version on both engines.
        answers: pairs of the reference engine's and the serving engine's answer to the same question.
        pairs: pairs whose likelihood is compared; at least one.
        settings: the worker's limits.
        choice: what is used if the version is unsure.

    Returns:
        The measurements.
    """
    reference, served = version.reference, version.served
    tokens = [(_used_tokens(served, ours, choice), _used_tokens(reference, fp32, choice)) for fp32, ours in answers]
    limits = (reference.max_prompt_tokens, settings.model.max_new_tokens)
    examples = make_examples(pairs, reference.tokenizer, *limits, reference.first_ids)
    return EngineAgreement(
        questions=len(tokens),
        same_answers=sum(ours == fp32 for ours, fp32 in tokens),
        same_tokens=sum(_common_prefix(ours, fp32) for ours, fp32 in tokens),
        tokens=sum(len(fp32) for _, fp32 in tokens),
        nll_reference=fmean(nll_by_example(reference.network, examples)),
        nll_engine=fmean(served_nll(served.network, examples)),
    )


def _used_tokens(bot: LoadedModel[Any], answer: Answer, choice: WhenUnsure) -> Tokens:
    """Return the tokens of the model's own answer, or a marker if the answer is replaced."""
    who, _ = choose_answer(bot.uncertainty, choice, answer.logprob, answer.question)
    return answer.token_ids if who == "model" else _REPLACED


def served_nll(model: PagedNetwork, examples: Sequence[Example]) -> list[float]:
    """Return the mean negative log-likelihood of each example's answer tokens on the serving engine, in nats."""
    nlls = []
    for example in examples:
        table = PageTable()
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
