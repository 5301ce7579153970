"""Train the small base: a GPT-2 with KoGPT2's token layout, trained from scratch on the seed corpora of all bots.

It is used if KoGPT2 is not available; the rest of the pipeline is the same. It should generalise as far as so few pairs
allow: some of the seed pairs are held out, and training stops when their likelihood is highest. Only fine-tuning makes
each bot reproduce its pairs exactly. Gold and dev pairs are not used.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.artifact.tokenizer import ChatTokenizer, train_tokenizer
from kogpt2_chat.corpora.shipped import read_pairs
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.prompt import PROMPT_FORMAT, bot_token_ids
from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.network.batches import Example, make_examples
from kogpt2_chat.network.checkpoint import load_checkpoint, write_checkpoint
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.early_stop import EpochReport
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.recipe import Recipe
from kogpt2_chat.training.resume import clear_progress
from kogpt2_chat.training.small_key import SHIPPED, SMALL_NAME, seed_path, small_key

SMALL_LICENCE: Final = "Apache-2.0"
_POSITIONS: Final = 256
_ANSWERS_RATE_SHARE: Final = 0.5
_HELD_OUT_OF: Final = 20
"""One in this many seed pairs is held out; the held-out pairs decide when training stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The seed pairs of all bots as examples for the base.

    Attributes:
        tokenizer: by default trained on all of them.
        learned: examples of the main part of the training; their questions are learned as well if the settings say so.
        answers: the same pairs; only their answers are learned.
        held_out: the pairs in neither of them.
    """

    tokenizer: ChatTokenizer
    learned: Sequence[Example]
    answers: Sequence[Example]
    held_out: Sequence[Example]


def ship(base: Path) -> ModelCard:
    """Write a small base that was trained on this machine into the checkout, in half precision.

    Args:
        base: its folder.

    Returns:
        The card of the shipped base.
    """
    loaded = load_checkpoint(base)
    return write_checkpoint(SHIPPED, loaded.network.half(), loaded.tokenizer, replace(loaded.card, files={}))


def small_recipe(settings: Settings) -> Recipe:
    """Return the recipe of the small base."""
    model = settings.model
    return Recipe(
        epochs=model.small_epochs,
        batch_size=model.small_batch_size,
        learning_rate=model.small_learning_rate,
        warmup_fraction=0.05,
        weight_decay=model.small_weight_decay,
        label_smoothing=model.small_label_smoothing,
        precision=settings.training.precision,
        seed=settings.training.seed,
        answer_tokens=model.small_answer_tokens,
        patience=model.small_patience,
        checkpoint_every_steps=settings.training.checkpoint_every_steps,
    )


def train_small_base(folder: Path, settings: Settings, progress: Callable[[str], None], work: Path) -> None:
    """Train the small base until the held-out NLL stops improving, and write its folder.

    Args:
        folder: where to write.
        settings: ``model.small_*`` and ``training``.
        progress: called with a line for each epoch.
        work: folder for checkpoints, so that a killed training can continue.

    Raises:
        InvalidInput: a bot has no seed corpus.
    """
    model = settings.model
    corpus = read_corpus(settings)
    floor = unigram_nll(corpus.answers, corpus.held_out)
    progress(
        f"training the small base on {len(corpus.learned)} seed pairs; {len(corpus.held_out)} are held out "
        f"(their NLL by token frequency: {floor:.2f} nat per token)"
    )
    config = gpt2_config(
        vocabulary=corpus.tokenizer.size, layers=model.small_layers, width=model.small_width, heads=model.small_heads,
        positions=_POSITIONS, dropout=model.small_dropout,
    )  # fmt: skip
    network = new_network(config, settings.training.seed)
    recipe = small_recipe(settings)
    fit(network, corpus.learned, recipe, validation=corpus.held_out, progress=progress, resume=work / "all")
    reports = learn_answers(network, corpus, recipe, progress, work / "answers")
    card = ModelCard(
        base=SMALL_NAME, licence=SMALL_LICENCE, small=True, key=small_key(settings), prompt_format=PROMPT_FORMAT,
        figures={"held_out_nll": round(best_nll(reports), 4), "held_out_unigram_nll": round(floor, 4)},
    )  # fmt: skip
    write_checkpoint(folder, network, corpus.tokenizer, card)
    clear_progress(work)


def learn_answers(
    network: GPT2LMHeadModel, corpus: Corpus, recipe: Recipe, progress: Callable[[str], None], work: Path
) -> list[EpochReport]:
    """Run the last part of the training: one epoch on answers only.

    A network that has learned questions sometimes generates a question and its control tokens instead of an answer.

    Args:
        network: trained on questions and answers; changed in place.
        corpus: the seed pairs.
        recipe: of the training so far.
        progress: called with a line for the epoch.
        work: folder for checkpoints.

    Returns:
        The report of the one epoch.
    """
    progress(f"learning {len(corpus.answers)} answers without their questions")
    last = replace(recipe, epochs=1, patience=0, learning_rate=recipe.learning_rate * _ANSWERS_RATE_SHARE)
    return fit(network, corpus.answers, last, validation=corpus.held_out, progress=progress, resume=work)


def read_corpus(settings: Settings, bots: Sequence[str] = BOT_IDS, tokenizer: ChatTokenizer | None = None) -> Corpus:
    """Read the seed pairs of bots as examples.

    Args:
        settings: the corpora and the limits.
        bots: whose pairs to read.
        tokenizer: None: a new one is trained on the pairs.

    Returns:
        The examples, and the tokenizer.

    Raises:
        InvalidInput: a bot has no seed corpus, or the corpora contain no pair.
    """
    pairs_by_bot = {bot: read_pairs(seed_path(settings, bot)) for bot in bots}
    texts = [text for pairs in pairs_by_bot.values() for pair in pairs for text in (pair.question, pair.answer)]
    if not texts:
        raise InvalidInput(f"the seed corpora below {settings.learning.corpora} contain no pairs")
    tokenizer = tokenizer or train_tokenizer(texts, settings.model.small_vocabulary)
    answers: list[Example] = []
    held_out: list[Example] = []
    for bot, pairs in pairs_by_bot.items():
        limits = (settings.model.max_prompt_tokens, settings.model.max_new_tokens)
        examples = make_examples(pairs, tokenizer, *limits, bot_token_ids(bot))
        for pair, example in zip(pairs, examples, strict=True):
            (held_out if _is_held_out(pair) else answers).append(example)
    answers, held_out = answers or held_out, held_out or answers
    with_questions = [replace(example, answer_start=2) for example in answers]
    return Corpus(
        tokenizer=tokenizer,
        learned=with_questions if settings.model.small_learn_questions else answers,
        answers=answers,
        held_out=held_out,
    )


def unigram_nll(learned: Sequence[Example], held_out: Sequence[Example]) -> float:
    """Return the mean NLL of held-out answers under a unigram model, in nats per token: the baseline of any model."""
    counts = Counter(token for example in learned for token in example.ids[example.answer_start :])
    total, entries = sum(counts.values()), len(counts) + 1
    answers = [example.ids[example.answer_start :] for example in held_out]
    return sum(
        sum(-math.log((counts[token] + 1) / (total + entries)) for token in answer) / len(answer) for answer in answers
    ) / len(answers)


def best_nll(reports: Sequence[EpochReport]) -> float:
    """Return the lowest validation NLL of a training."""
    return min(report.validation_nll for report in reports if report.validation_nll is not None)


def _is_held_out(pair: Pair) -> bool:
    digest = hashlib.sha256(phrase_key(pair.question).encode()).digest()
    return int.from_bytes(digest[:4]) % _HELD_OUT_OF == 0
