"""The small base: a GPT-2 of KoGPT2's token layout, trained from nothing on the three seed corpora together.

It stands in where KoGPT2 cannot be had, to show the whole loop; everything downstream is the same code. Gold
pairs are never trained on.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kogpt2_chat.domain.bots import BOT_IDS
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.model.batches import make_examples
from kogpt2_chat.model.card import ModelCard
from kogpt2_chat.model.checkpoint import write_checkpoint
from kogpt2_chat.model.corpora import read_pairs
from kogpt2_chat.model.network import gpt2_config, new_network
from kogpt2_chat.model.resume import clear_progress
from kogpt2_chat.model.tokenizer import train_tokenizer
from kogpt2_chat.model.train import Recipe, fit
from kogpt2_chat.settings import Settings

SMALL_NAME: Final = "small"
SMALL_LICENCE: Final = "Apache-2.0"
# Part of the cache key: raise it when this code would make another model from the same corpus and settings.
_CODE_VERSION: Final = "3"
_POSITIONS: Final = 256


def small_key(settings: Settings) -> str:
    """Hash of everything the small base follows from: corpora, settings, code."""
    digest = hashlib.sha256(_CODE_VERSION.encode())
    model = settings.model
    for figure in (
        model.small_layers, model.small_width, model.small_heads, model.small_vocabulary, model.small_epochs,
        model.small_batch_size,
        model.small_learning_rate, model.small_max_steps, model.small_dropout, model.small_label_smoothing,
        settings.training.precision, settings.training.seed, model.max_prompt_tokens, model.max_new_tokens,
    ):  # fmt: skip
        digest.update(f"/{figure}".encode())
    for bot in BOT_IDS:
        digest.update(_seed_path(settings, bot).read_bytes() if _seed_path(settings, bot).is_file() else b"-")
    return digest.hexdigest()[:16]


def small_recipe(settings: Settings) -> Recipe:
    """How the small base is trained."""
    model = settings.model
    return Recipe(
        epochs=model.small_epochs,
        batch_size=model.small_batch_size,
        learning_rate=model.small_learning_rate,
        warmup_fraction=0.05,
        weight_decay=settings.training.weight_decay,
        clip_norm=settings.training.clip_norm,
        label_smoothing=model.small_label_smoothing,
        precision=settings.training.precision,
        seed=settings.training.seed,
        max_steps=model.small_max_steps,
        checkpoint_every_steps=settings.training.checkpoint_every_steps,
    )


def train_small_base(folder: Path, settings: Settings, progress: Callable[[str], None], work: Path) -> None:
    """Train it to convergence and write its version folder.

    Args:
        folder: where to write.
        settings: ``model.small_*`` and ``training``.
        progress: told about every epoch.
        work: folder for checkpoints, so that a killed training is taken up again.

    Raises:
        InvalidInput: a bot has no seed corpus.
    """
    pairs = [pair for bot in BOT_IDS for pair in read_pairs(_seed_path(settings, bot))]
    if not pairs:
        raise InvalidInput(f"the seed corpora below {settings.learning.corpora} hold no pairs")
    progress(f"training the small base on {len(pairs)} seed pairs")
    model = settings.model
    texts = [text for pair in pairs for text in (pair.question, pair.answer)]
    tokenizer = train_tokenizer(texts, model.small_vocabulary)
    config = gpt2_config(
        vocabulary=tokenizer.size, layers=model.small_layers, width=model.small_width, heads=model.small_heads,
        positions=_POSITIONS, dropout=model.small_dropout,
    )  # fmt: skip
    network = new_network(config, settings.training.seed)
    examples = make_examples(pairs, tokenizer, model.max_prompt_tokens, model.max_new_tokens)
    fit(network, examples, small_recipe(settings), progress=progress, resume=work)
    write_checkpoint(folder, network, tokenizer, ModelCard(base=SMALL_NAME, licence=SMALL_LICENCE, small=True))
    clear_progress(work)


def _seed_path(settings: Settings, bot: str) -> Path:
    return settings.learning.corpora / bot / "seed.csv"
