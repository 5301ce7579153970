"""The key of the small base: a hash of everything it is made from. Does not import torch."""

import hashlib
from pathlib import Path
from typing import Final

from kogpt2_chat.artifact.card import CARD_FILE, read_card
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import CHECKOUT, Settings

SMALL_NAME: Final = "small"
# Part of the key: increase it if `small_base` would make another model from the same corpora and settings.
_CODE_VERSION: Final = "5"
SHIPPED: Final = CHECKOUT / "base" / "small"
"""The small base in the checkout."""


def small_key(settings: Settings) -> str:
    """Return the hash of everything that determines the small base: corpora, settings, code; not the precision."""
    digest = hashlib.sha256(_CODE_VERSION.encode())
    model = settings.model
    for value in (
        model.small_layers, model.small_width, model.small_heads, model.small_vocabulary, model.small_epochs,
        model.small_batch_size, model.small_learning_rate, model.small_answer_tokens, model.small_dropout,
        model.small_label_smoothing, model.small_weight_decay, model.small_patience, model.small_learn_questions,
        settings.training.seed,
        model.max_prompt_tokens, model.max_new_tokens,
    ):  # fmt: skip
        digest.update(f"/{value}".encode())
    for bot in BOT_IDS:
        digest.update(seed_path(settings, bot).read_bytes() if seed_path(settings, bot).is_file() else b"-")
    return digest.hexdigest()[:16]


def is_shipped(settings: Settings) -> bool:
    """Check whether the base in the checkout is what these settings would make from the checkout's own corpora.

    The corpora of the settings may differ: bots with other corpora also start from the shipped base, which knows Korean
    small talk, and learn their pairs in fine-tuning.
    """
    if not (SHIPPED / CARD_FILE).is_file():
        return False
    learning = settings.learning.model_copy(update={"corpora": CHECKOUT / "corpora"})
    return read_card(SHIPPED).key == small_key(settings.model_copy(update={"learning": learning}))


def seed_path(settings: Settings, bot: str) -> Path:
    """Return the path of a bot's seed corpus."""
    return settings.learning.corpora / bot / "seed.csv"
