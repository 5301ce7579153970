"""Pairs to examples, examples to padded batches: bucketed by length, shuffled by seed, weighted.

Only the answer and its end are learned: a batch names the positions whose logits are needed, so that the
vocabulary projection is done for those alone (57 % of the tokens would be padding at a fixed length of 40).
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.chat.prompt import PAD_ID
from kogpt2_chat.domain.learning.pairs import Pair

# Batches that are sorted by length together: enough to cut padding, few enough to stay well shuffled.
_BUCKET_BATCHES: Final = 8
# Few distinct shapes: oneDNN compiles a kernel for each new one, and the allocator keeps a block for each.
_WIDTH_STEP: Final = 4
_TARGETS_STEP: Final = 64
IGNORED: Final = -100
"""Target of a position that only pads the batch; what torch's cross entropy leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Token ids of one pair; the loss begins at ``answer_start``."""

    ids: tuple[int, ...]
    answer_start: int
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleBatch:
    """Examples of similar length, padded on the right (a causal model never looks at that padding).

    Attributes:
        ids: (batch, seq) int64.
        rows: (targets,) int64, the example of each target.
        columns: (targets,) int64, the position whose logits predict it.
        targets: (targets,) int64, the token to predict, or IGNORED at the end.
        tokens: how many targets are real.
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    tokens: int

    def to(self, device: torch.device) -> "ExampleBatch":
        """The same batch on a device."""
        moved = (tensor.to(device) for tensor in (self.ids, self.rows, self.columns, self.targets))
        ids, rows, columns, targets = moved
        return ExampleBatch(ids=ids, rows=rows, columns=columns, targets=targets, tokens=self.tokens)


def make_examples(
    pairs: Iterable[Pair],
    tokenizer: ChatTokenizer,
    max_prompt_tokens: int,
    max_answer_tokens: int,
    first_ids: Sequence[int] = (),
) -> list[Example]:
    """Tokenise pairs in the chat format.

    Args:
        pairs: questions and answers.
        tokenizer: of the model.
        max_prompt_tokens: bound of the question's part.
        max_answer_tokens: bound of the answer's part.
        first_ids: what each prompt begins with, from :func:`kogpt2_chat.domain.chat.prompt.bot_ids`.

    Returns:
        One example a pair, in order.
    """
    examples = []
    for pair in pairs:
        asked = tokenizer.encode_prompt(pair.question, max_prompt_tokens, first_ids)
        said = tokenizer.encode_answer(pair.answer, max_answer_tokens)
        examples.append(Example(ids=(*asked, *said), answer_start=len(asked), weight=pair.weight))
    return examples


def collate(examples: Sequence[Example]) -> ExampleBatch:
    """Pad examples to one batch."""
    width = _up(max(len(example.ids) for example in examples), _WIDTH_STEP)
    ids = torch.full((len(examples), width), PAD_ID, dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        answer = range(example.answer_start, len(example.ids))
        rows.extend([row] * len(answer))
        columns.extend(position - 1 for position in answer)
        targets.extend(example.ids[position] for position in answer)
    tokens = len(targets)
    padding = _up(tokens, _TARGETS_STEP) - tokens
    return ExampleBatch(
        ids=ids,
        rows=torch.tensor(rows + [0] * padding),
        columns=torch.tensor(columns + [0] * padding),
        targets=torch.tensor(targets + [IGNORED] * padding),
        tokens=tokens,
    )


def _up(number: int, step: int) -> int:
    """The next multiple of ``step``."""
    return -(-number // step) * step


def epoch_batches(examples: Sequence[Example], batch_size: int, seed: int, epoch: int) -> list[list[Example]]:
    """The batches of one epoch: a function of its arguments alone, so that a resumed run sees the same."""
    order = random.Random(f"{seed}/{epoch}")  # noqa: S311 - shuffling, not secrets
    seen = [example for example in examples for _ in range(example.weight)]
    order.shuffle(seen)
    bucket = batch_size * _BUCKET_BATCHES
    batches: list[list[Example]] = []
    for start in range(0, len(seen), bucket):
        alike = sorted(seen[start : start + bucket], key=lambda example: len(example.ids))
        batches.extend(alike[first : first + batch_size] for first in range(0, len(alike), batch_size))
    order.shuffle(batches)
    return batches


def length_batches(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Indices of examples in batches of similar length, for measuring."""
    order = sorted(range(len(examples)), key=lambda place: len(examples[place].ids))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
