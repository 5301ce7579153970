"""The pairs of the measurement, their tokens, and the network that every form starts from."""

import csv
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.tokenizer import FILE, ChatTokenizer, train_tokenizer
from kogpt2_chat.corpora.shipped import read_pairs
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.network.batches import Example, make_examples
from kogpt2_chat.network.checkpoint import load_network
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.settings import CHECKOUT
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.recipe import Recipe

VOCABULARY: Final = 51_200
_LEARNED: Final = 4_000
"""Entries of the vocabulary that the corpora fill. With these, 57 % of the tokens at length 40 are padding, as with
KoGPT2's own tokenizer, which needs a download; a larger vocabulary learns these corpora by heart."""
_MAX_PROMPT, _MAX_ANSWER = 20, 20
"""Together the tutorial's 40 tokens, so that no form sees more of a pair than another."""
_VALIDATION: Final = 96
_STEPS: Final = 24
_STEP: Final = 64
"""Steps, and examples of a step, of the training that the start network comes from."""


def tokenizer(pairs: list[Pair]) -> ChatTokenizer:
    """Return a tokenizer with KoGPT2's number of entries, learned from the pairs and the seeds of all bots."""
    texts = [text for pair in [*pairs, *seeds()] for text in (pair.question, pair.answer)]
    with tempfile.TemporaryDirectory() as folder:
        train_tokenizer(texts, _LEARNED).save(Path(folder))
        content = json.loads((Path(folder) / FILE).read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    learned = len(vocabulary)
    vocabulary.update({f"▁빈칸{id_}": id_ for id_ in range(learned, VOCABULARY)})
    return ChatTokenizer(Tokenizer.from_str(json.dumps(content)))


def seeds() -> list[Pair]:
    """Return the seed pairs of all bots."""
    return [pair for bot in BOT_IDS for pair in read_pairs(CHECKOUT / "corpora" / bot / "seed.csv")]


def read_csv(path: Path | None) -> list[Pair]:
    """Read columns ``Q`` and ``A`` of a file; without one, return the seeds of all bots."""
    if path is None:
        return seeds()
    with path.open(encoding="utf-8") as file:
        return [Pair(question=row["Q"], answer=row["A"]) for row in csv.DictReader(file)]


def split(pairs: list[Pair], count: int) -> tuple[list[Example], list[Example]]:
    """Return ``count`` examples to learn and the validation examples; no answer is in both.

    Args:
        pairs: all pairs.
        count: examples to learn.

    Returns:
        Both sets, which only depend on the arguments.
    """
    draw = random.Random(14)  # noqa: S311 - a sample, not secrets
    shuffled = draw.sample(pairs, len(pairs))
    held_out = shuffled[:_VALIDATION]
    answers = {pair.answer for pair in held_out}
    learned = [pair for pair in shuffled[_VALIDATION:] if pair.answer not in answers][:count]
    own = tokenizer(pairs)
    return (
        make_examples(learned, own, _MAX_PROMPT, _MAX_ANSWER),
        make_examples(held_out, own, _MAX_PROMPT, _MAX_ANSWER),
    )


def start_network(folder: Path, pairs: list[Pair], progress: Callable[[str], None]) -> GPT2LMHeadModel:
    """Return a full-size network that knows a little Korean; it is trained and kept in ``folder`` the first time.

    It learns questions and answers of the bots' seeds, which the measured pairs do not contain.

    Args:
        folder: where it is kept.
        pairs: the measured pairs, for the tokenizer.
        progress: called with a line for each epoch.

    Returns:
        The network.
    """
    if not folder.exists():
        config = gpt2_config(vocabulary=VOCABULARY, layers=12, width=768, heads=12, positions=1024, dropout=0.1)
        network = new_network(config, seed=1)
        examples = make_examples(seeds(), tokenizer(pairs), _MAX_PROMPT, _MAX_ANSWER)
        recipe = Recipe(
            epochs=1, batch_size=_STEP, examples_per_row=4, learning_rate=5e-4, warmup_fraction=0.1, weight_decay=0.01,
            label_smoothing=0.0, dropout=0.0, seed=1, checkpoint_every_steps=10**6,
        )  # fmt: skip
        draw = random.Random(1)  # noqa: S311 - a sample, not secrets
        chosen = draw.sample(examples, min(len(examples), _STEP * _STEPS))
        fit(network, [replace(example, answer_start=1) for example in chosen], recipe, progress=progress)
        network.save_pretrained(folder)
    return load_network(folder)
