"""A bot's version in memory: its network, whichever engine that is for, and how text goes in and comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.inference.uncertain import Uncertainty

Network = TypeVar("Network")


@dataclass(frozen=True, kw_only=True)
class Bot(Generic[Network]):
    """A :class:`kogpt2_chat.inference.engine.BotModel`.

    Attributes:
        version: which version, as text.
        network: the weights, in the form of one engine.
        tokenizer: text to ids and back.
        card: what the version is made of.
        max_prompt_tokens: bound of a prompt.
        max_answer_chars: bound of an answer.
        first_ids: what its prompts begin with.
        uncertainty: what is said where its own answer is unlikely; None says it all the same.
    """

    version: str
    network: Network
    tokenizer: ChatTokenizer
    card: ModelCard
    max_prompt_tokens: int
    max_answer_chars: int
    first_ids: tuple[int, ...] = ()
    uncertainty: Uncertainty | None = None

    @property
    def small(self) -> bool:
        """Whether it comes from the small base."""
        return self.card.small

    def encode(self, text: str) -> list[int]:
        """Prompt ids of a question."""
        return self.tokenizer.encode_prompt(text, self.max_prompt_tokens, self.first_ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Plain answer text of generated ids."""
        return self.tokenizer.decode(token_ids, self.max_answer_chars)
