"""A bot's version, loaded into torch."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.domain.chat.prompt import bot_ids
from kogpt2_chat.inference.bot import Bot
from kogpt2_chat.inference.uncertain import read_uncertainty
from kogpt2_chat.machine.cores import library_threads
from kogpt2_chat.network.checkpoint import Checkpoint, load_checkpoint
from kogpt2_chat.settings import Settings


class LoadedBot(Bot[GPT2LMHeadModel]):
    """A version in torch, for training, judging and the reference engine."""


def load_bot(folder: Path, settings: Settings, version: str | None = None, bot: str = "") -> LoadedBot:
    """Verify a version's folder and load it.

    Args:
        folder: the version's files, with ``model.json``.
        settings: bounds and threads.
        version: what to call it; the folder's name by default.
        bot: whom it speaks for, where the folder is a base that speaks for all.

    Returns:
        The loaded bot.

    Raises:
        CheckpointCorrupt: the folder is not what its hashes promise.
    """
    use_threads(settings)
    loaded = load_checkpoint(folder)
    asked = in_memory(loaded, loaded.card, settings)
    return replace(
        asked,
        version=version or folder.name,
        first_ids=bot_ids(bot or loaded.card.bot, loaded.card.prompt_format),
        uncertainty=read_uncertainty(folder),
    )


def in_memory(loaded: Checkpoint, card: ModelCard, settings: Settings) -> LoadedBot:
    """A bot of weights that are in memory already, as a version made from them would be; it has no thresholds.

    Args:
        loaded: network and tokenizer.
        card: what the version will be.
        settings: bounds.

    Returns:
        The bot.
    """
    room = int(loaded.network.config.n_positions) - settings.model.max_new_tokens
    return LoadedBot(
        version="",
        network=loaded.network,
        tokenizer=loaded.tokenizer,
        card=card,
        max_prompt_tokens=min(settings.model.max_prompt_tokens, room),
        max_answer_chars=settings.serving.max_answer_chars,
        first_ids=bot_ids(card.bot, card.prompt_format),
    )


def use_threads(settings: Settings) -> None:
    """Let torch use as many threads as the settings say; 0 leaves torch's own choice, or what a CPU quota allows."""
    if threads := library_threads(settings.model.threads):
        torch.set_num_threads(threads)
