"""Load a version of a bot into torch."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.domain.chat.prompt import bot_token_ids
from kogpt2_chat.inference.bot import LoadedModel
from kogpt2_chat.inference.uncertain import read_uncertainty
from kogpt2_chat.machine.cores import library_threads
from kogpt2_chat.network.checkpoint import Checkpoint, load_checkpoint
from kogpt2_chat.settings import Settings


class LoadedBot(LoadedModel[GPT2LMHeadModel]):
    """A version in torch, for training, evaluation and the reference engine."""


def load_bot(folder: Path, settings: Settings, label: str | None = None, bot: str = "") -> LoadedBot:
    """Verify a version's folder and load it.

    Args:
        folder: the version's files, with ``model.json``.
        settings: limits and threads.
        label: the name that the model reports; by default the folder's name.
        bot: the bot's id, for the folder of a base, whose card has none.

    Returns:
        The loaded bot.

    Raises:
        CheckpointCorrupt: a file is missing, or does not have the hash on the card.
    """
    use_threads(settings)
    loaded = load_checkpoint(folder)
    return replace(
        in_memory(loaded, loaded.card, settings),
        label=label or folder.name,
        first_ids=bot_token_ids(bot or loaded.card.bot, loaded.card.prompt_format),
        uncertainty=read_uncertainty(folder),
    )


def in_memory(loaded: Checkpoint, card: ModelCard, settings: Settings) -> LoadedBot:
    """Return a bot made of weights that are already in memory; it has no thresholds.

    Args:
        loaded: network and tokenizer.
        card: of the version that the weights will become.
        settings: limits.

    Returns:
        The bot.
    """
    room = int(loaded.network.config.n_positions) - settings.model.max_new_tokens
    return LoadedBot(
        label="",
        network=loaded.network,
        tokenizer=loaded.tokenizer,
        card=card,
        max_prompt_tokens=min(settings.model.max_prompt_tokens, room),
        max_answer_chars=settings.serving.max_answer_chars,
        first_ids=bot_token_ids(card.bot, card.prompt_format),
    )


def use_threads(settings: Settings) -> None:
    """Set torch's number of threads from the settings; 0: the CPU quota if there is one, otherwise torch's default."""
    if threads := library_threads(settings.model.threads):
        torch.set_num_threads(threads)
