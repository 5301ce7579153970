"""How far the serving engine's int8 answers are from those of the weights themselves, in fp32."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from kogpt2_chat.domain.gate_figures import EngineAgreement
from kogpt2_chat.model.batches import Example, Pair, make_examples
from kogpt2_chat.model.engine import BotModel, Engine
from kogpt2_chat.model.engines import ServedBot
from kogpt2_chat.model.load import LoadedBot
from kogpt2_chat.model.network import nll_by_example
from kogpt2_chat.model.openvino_engine import OpenVinoEngine
from kogpt2_chat.model.paged import PagedModel, Pages
from kogpt2_chat.model.transformers_engine import TransformersEngine
from kogpt2_chat.settings import Settings

Tokens = tuple[int, ...]


def measure_agreement(
    reference: LoadedBot, served: ServedBot, questions: Sequence[str], pairs: Sequence[Pair], settings: Settings
) -> EngineAgreement:
    """Let both answer the same questions greedily, and compare how likely both find known answers.

    Args:
        reference: the version on the reference engine.
        served: the same version on the serving engine.
        questions: to be answered.
        pairs: whose answers' likelihood is compared, at least one.
        settings: bounds of the worker.

    Returns:
        The figures.
    """
    rows, new_tokens = settings.serving.max_batch, settings.model.max_new_tokens
    theirs = greedy(TransformersEngine(max_batch=rows, max_new_tokens=new_tokens), reference, questions)
    ours = greedy(OpenVinoEngine(max_batch=rows, max_new_tokens=new_tokens), served, questions)
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
    engine.set_model("bot", bot)
    for place, question in enumerate(questions):
        engine.add_request(str(place), "bot", bot.encode(question))
    answers: dict[int, Tokens] = {}
    while engine.in_flight:
        answers.update({int(done.request_id): done.token_ids for done in engine.step()})
    return [answers[place] for place in range(len(questions))]


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
