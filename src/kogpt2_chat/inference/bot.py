"""A version of a bot in memory: its network, in the form of one engine, and the conversion between text and ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kogpt2_chat.artifact.card import ModelCard
from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.inference.drafts import Drafts
from kogpt2_chat.inference.uncertain import Uncertainty

Network = TypeVar("Network")


@dataclass(frozen=True, kw_only=True)
class LoadedModel(Generic[Network]):
    """A :class:`kogpt2_chat.inference.engine.BotModel`.

    Attributes:
        label: the version's number or its folder's name, to recognise the model by.
        network: the weights, in the form of one engine.
        tokenizer: converts text to ids and back.
        card: the contents of ``model.json``.
        max_prompt_tokens: longest prompt.
        max_answer_chars: longest answer.
        first_ids: the ids that every prompt begins with.
        uncertainty: thresholds and pairs for replacing an unlikely answer; None: its own answer is always used.
        drafts: what it has learned, to guess its next tokens; None: nothing is guessed.
    """

    label: str
    network: Network
    tokenizer: ChatTokenizer
    card: ModelCard
    max_prompt_tokens: int
    max_answer_chars: int
    first_ids: tuple[int, ...] = ()
    uncertainty: Uncertainty | None = None
    drafts: Drafts | None = None

    @property
    def free_rows(self) -> float:
        """How many rows cost as much as a pass costs without rows, on this machine; 0 if that was not measured."""
        return 0.0

    @property
    def small(self) -> bool:
        """Whether the version was trained from the small base."""
        return self.card.small

    def encode(self, text: str) -> list[int]:
        """Return the prompt ids of a question."""
        return self.tokenizer.encode_prompt(text, self.max_prompt_tokens, self.first_ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the answer text of generated ids."""
        return self.tokenizer.decode(token_ids, self.max_answer_chars)
