"""What the small base is made of: the key by which it is found again, here or in the checkout. Needs no torch."""

import hashlib
from pathlib import Path
from typing import Final

from kogpt2_chat.artifact.card import CARD_FILE, read_card
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import CHECKOUT, Settings

SMALL_NAME: Final = "small"
# Part of the key: raise it when `small_base` would make another model from the same corpus and settings.
_CODE_VERSION: Final = "5"
SHIPPED: Final = CHECKOUT / "base" / "small"
"""The one that comes with the checkout."""


def small_key(settings: Settings) -> str:
    """Hash of everything the small base follows from: corpora, settings, code. Not the machine, nor its precision."""
    digest = hashlib.sha256(_CODE_VERSION.encode())
    model = settings.model
    for figure in (
        model.small_layers, model.small_width, model.small_heads, model.small_vocabulary, model.small_epochs,
        model.small_batch_size, model.small_learning_rate, model.small_answer_tokens, model.small_dropout,
        model.small_label_smoothing, model.small_weight_decay, model.small_patience, model.small_learn_questions,
        settings.training.seed,
        model.max_prompt_tokens, model.max_new_tokens,
    ):  # fmt: skip
        digest.update(f"/{figure}".encode())
    for bot in BOT_IDS:
        digest.update(seed_path(settings, bot).read_bytes() if seed_path(settings, bot).is_file() else b"-")
    return digest.hexdigest()[:16]


def is_shipped(settings: Settings) -> bool:
    """Whether the base in the checkout is what these settings would make of the checkout's own corpora.

    Other corpora start from it as well: it knows Korean small talk, and the bots learn theirs in fine-tuning.
    """
    if not (SHIPPED / CARD_FILE).is_file():
        return False
    learning = settings.learning.model_copy(update={"corpora": CHECKOUT / "corpora"})
    return read_card(SHIPPED).key == small_key(settings.model_copy(update={"learning": learning}))


def seed_path(settings: Settings, bot: str) -> Path:
    """The seed corpus of a bot."""
    return settings.learning.corpora / bot / "seed.csv"
