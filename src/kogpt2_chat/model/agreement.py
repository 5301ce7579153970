"""How far the serving engine's int8 answers are from those of the weights themselves, in fp32."""

from collections.abc import Sequence
from statistics import fmean
from typing import Final

import numpy as np

from kogpt2_chat.domain.gate_figures import EngineAgreement
from kogpt2_chat.model.batches import Example, Pair, make_examples
from kogpt2_chat.model.engine import BotModel, Engine, Finished
from kogpt2_chat.model.engines import ServedBot
from kogpt2_chat.model.load import LoadedBot
from kogpt2_chat.model.network import nll_by_example
from kogpt2_chat.model.openvino_engine import OpenVinoEngine
from kogpt2_chat.model.paged import PagedModel, Pages
from kogpt2_chat.model.transformers_engine import TransformersEngine
from kogpt2_chat.model.uncertain import Choice, speaker
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
    rows, new_tokens = settings.serving.max_batch, settings.model.max_new_tokens
    theirs = _heard(TransformersEngine(max_batch=rows, max_new_tokens=new_tokens), reference, questions, choice)
    ours = _heard(OpenVinoEngine(max_batch=rows, max_new_tokens=new_tokens), served, questions, choice)
    bounds = (reference.max_prompt_tokens, settings.model.max_new_tokens)
    examples = make_examples(pairs, reference.tokenizer, *bounds, reference.first_ids)
    return EngineAgreement(
        questions=len(questions),
        same_answers=sum(a == b for a, b in zip(ours, theirs, strict=True)),
        same_tokens=sum(_common(a, b) for a, b in zip(ours, theirs, strict=True)),
        tokens=sum(len(answer) for answer in theirs),
        nll_reference=fmean(nll_by_example(reference.network, examples)),
        nll_engine=fmean(served_nll(served.network, examples)),
    )


def greedy(engine: Engine, bot: BotModel, questions: Sequence[str]) -> list[Tokens]:
    """Token ids of each question's answer, all asked at once."""
    return [done.token_ids for done in _finished(engine, bot, questions)]


def _finished(engine: Engine, bot: BotModel, questions: Sequence[str]) -> list[Finished]:
    engine.set_model("bot", bot)
    for place, question in enumerate(questions):
        engine.add_request(str(place), "bot", bot.encode(question))
    answers: dict[int, Finished] = {}
    while engine.in_flight:
        answers.update({int(done.request_id): done for done in engine.step()})
    return [answers[place] for place in range(len(questions))]


def _heard(engine: Engine, bot: BotModel, questions: Sequence[str], choice: Choice) -> list[Tokens]:
    """Tokens of what the model says itself; one mark where something else takes their place."""
    return [
        done.token_ids if speaker(bot.uncertainty, choice, done.logprob, question)[0] == "model" else _GAVE_WAY
        for question, done in zip(questions, _finished(engine, bot, questions), strict=True)
    ]


def served_nll(model: PagedModel, examples: Sequence[Example]) -> list[float]:
    """Mean negative log likelihood of each example's answer tokens on the serving engine, in nat."""
    figures = []
    for example in examples:
        pages = Pages()
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
