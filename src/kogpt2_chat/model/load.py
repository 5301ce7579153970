"""A bot's version, loaded and ready to speak."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.model.card import ModelCard
from kogpt2_chat.model.checkpoint import load_checkpoint
from kogpt2_chat.model.tokenizer import ChatTokenizer
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBot:
    """A bot's model in memory (a :class:`kogpt2_chat.model.engine.BotModel`).

    Attributes:
        version: which version, as text.
        network: the weights.
        tokenizer: text to ids and back.
        card: what the version is made of.
        max_prompt_tokens: bound of a prompt.
        max_answer_chars: bound of an answer.
    """

    version: str
    network: GPT2LMHeadModel
    tokenizer: ChatTokenizer
    card: ModelCard
    max_prompt_tokens: int
    max_answer_chars: int

    def encode(self, text: str) -> list[int]:
        """Prompt ids of a question."""
        return self.tokenizer.encode_prompt(text, self.max_prompt_tokens)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Plain answer text of generated ids."""
        return self.tokenizer.decode(token_ids, self.max_answer_chars)


def load_bot(folder: Path, settings: Settings, version: str | None = None) -> LoadedBot:
    """Verify a version's folder and load it.

    Args:
        folder: the version's files, with ``model.json``.
        settings: bounds and threads.
        version: what to call it; the folder's name by default.

    Returns:
        The loaded bot.

    Raises:
        CheckpointCorrupt: the folder is not what its hashes promise.
    """
    use_threads(settings)
    loaded = load_checkpoint(folder)
    room = int(loaded.network.config.n_positions) - settings.model.max_new_tokens
    return LoadedBot(
        version=version or folder.name,
        network=loaded.network,
        tokenizer=loaded.tokenizer,
        card=loaded.card,
        max_prompt_tokens=min(settings.model.max_prompt_tokens, room),
        max_answer_chars=settings.serving.max_answer_chars,
    )


def use_threads(settings: Settings) -> None:
    """Let torch use as many threads as the settings say; 0 leaves torch's own choice."""
    if settings.model.threads:
        torch.set_num_threads(settings.model.threads)
