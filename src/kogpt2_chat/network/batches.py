"""Turn pairs into examples, and examples into padded batches: bucketed by length, shuffled by seed, weighted.

Only the answer and its end token are learned. A batch lists the positions whose logits are needed, so that the
vocabulary projection is computed for these only. Batches have the length of their examples: at a fixed length of 40,
57 % of the tokens would be padding.
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

# Number of batches that are sorted by length together: enough to reduce padding, few enough to stay well shuffled.
_BUCKET_BATCHES: Final = 8
# Sizes are rounded up to get few distinct shapes: for each shape oneDNN compiles a kernel, and the allocator keeps a
# block.
_WIDTH_STEP: Final = 4
_TARGETS_STEP: Final = 64
IGNORED: Final = -100
"""Target of a padding position; torch's cross entropy ignores it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Token ids of one pair; the loss is computed from ``answer_start`` on."""

    ids: tuple[int, ...]
    answer_start: int
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleBatch:
    """Examples of similar length, padded on the right (which a causal model does not attend to).

    Attributes:
        ids: (batch, seq) int64.
        rows: (targets,) int64, the example of each target.
        columns: (targets,) int64, the position whose logits predict it.
        targets: (targets,) int64, the token to predict; IGNORED for padding at the end.
        tokens: number of targets that are not padding.
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    tokens: int

    def to(self, device: torch.device) -> "ExampleBatch":
        """Return the same batch on a device."""
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
        max_prompt_tokens: longest prompt.
        max_answer_tokens: longest answer, including the end token.
        first_ids: the ids that each prompt begins with, from :func:`kogpt2_chat.domain.chat.prompt.bot_ids`.

    Returns:
        One example per pair, in order.
    """
    examples = []
    for pair in pairs:
        prompt = tokenizer.encode_prompt(pair.question, max_prompt_tokens, first_ids)
        answer = tokenizer.encode_answer(pair.answer, max_answer_tokens)
        examples.append(Example(ids=(*prompt, *answer), answer_start=len(prompt), weight=pair.weight))
    return examples


def collate(examples: Sequence[Example]) -> ExampleBatch:
    """Pad examples into one batch."""
    width = _round_up(max(len(example.ids) for example in examples), _WIDTH_STEP)
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
    padding = _round_up(tokens, _TARGETS_STEP) - tokens
    return ExampleBatch(
        ids=ids,
        rows=torch.tensor(rows + [0] * padding),
        columns=torch.tensor(columns + [0] * padding),
        targets=torch.tensor(targets + [IGNORED] * padding),
        tokens=tokens,
    )


def _round_up(number: int, step: int) -> int:
    """Return the next multiple of ``step``."""
    return -(-number // step) * step


def epoch_batches(examples: Sequence[Example], batch_size: int, seed: int, epoch: int) -> list[list[Example]]:
    """Return the batches of one epoch. They depend on the arguments only, so a resumed run gets the same ones."""
    order = random.Random(f"{seed}/{epoch}")  # noqa: S311 - shuffling, not secrets
    weighted = [example for example in examples for _ in range(example.weight)]
    order.shuffle(weighted)
    bucket = batch_size * _BUCKET_BATCHES
    batches: list[list[Example]] = []
    for start in range(0, len(weighted), bucket):
        by_length = sorted(weighted[start : start + bucket], key=lambda example: len(example.ids))
        batches.extend(by_length[first : first + batch_size] for first in range(0, len(by_length), batch_size))
    order.shuffle(batches)
    return batches


def length_batches(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Return the indices of examples in batches of similar length, for evaluation."""
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
