"""Turn pairs into examples, and examples into batches: shuffled by seed, weighted, with little padding.

Only the answer and its end token are learned. A batch lists the positions whose logits are needed, so that the
vocabulary projection is computed for these only. At a fixed length of 40, more than half of the tokens would be
padding. A training packs several examples into a row; elsewhere a row is one example.
"""

import heapq
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from kogpt2_chat.artifact.tokenizer import ChatTokenizer
from kogpt2_chat.domain.chat.prompt import PAD_ID, UNKNOWN_ID
from kogpt2_chat.domain.learning.pairs import Pair

# Number of batches that are sorted by length together: enough to reduce padding, few enough to stay well shuffled.
_BUCKET_BATCHES: Final = 8
# Sizes are rounded up to get few distinct shapes: for each shape oneDNN compiles a kernel, and the allocator keeps a
# block.
_WIDTH_STEP: Final = 4
_TARGETS_STEP: Final = 64
IGNORED: Final = -100
"""Target of a padding position; torch's cross entropy ignores it."""
_PADDING: Final = -1
"""Segment of the padding positions of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Token ids of one pair; the loss is computed from ``answer_start`` on."""

    ids: tuple[int, ...]
    answer_start: int
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleBatch:
    """Rows of examples, padded on the right.

    Attributes:
        ids: (batch, seq) int64.
        rows: (targets,) int64, the row of each target.
        columns: (targets,) int64, the position whose logits predict it.
        targets: (targets,) int64, the token to predict; IGNORED for padding at the end.
        tokens: number of targets that are not padding.
        positions: (batch, seq) int64, which start at 0 in each example; None if each row is one example.
        mask: (batch, 1, seq, seq) bool, whether a position attends to another one: only to itself and to earlier ones
            of the same example. None if each row is one example, because a causal model attends to no padding then.
    """

    ids: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    tokens: int
    positions: Tensor | None = None
    mask: Tensor | None = None

    def to(self, device: torch.device) -> "ExampleBatch":
        """Return the same batch on a device."""
        return ExampleBatch(
            ids=self.ids.to(device),
            rows=self.rows.to(device),
            columns=self.columns.to(device),
            targets=self.targets.to(device),
            tokens=self.tokens,
            positions=None if self.positions is None else self.positions.to(device),
            mask=None if self.mask is None else self.mask.to(device),
        )


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
    """Pad examples into one batch: row i is example i."""
    return _batch([[example] for example in examples])


def pack(examples: Sequence[Example], per_row: int) -> ExampleBatch:
    """Put several examples into each row, so that nearly no position is padding; they do not see each other.

    Args:
        examples: of any lengths.
        per_row: examples per row, on average; 1 pads them as :func:`collate` does.

    Returns:
        One batch. Which example is in which row only depends on the lengths.
    """
    if per_row == 1:
        return collate(examples)
    rows: list[list[Example]] = [[] for _ in range(-(-len(examples) // per_row))]
    shortest = [(0, row) for row in range(len(rows))]
    for example in sorted(examples, key=lambda example: -len(example.ids)):
        length, row = heapq.heappop(shortest)
        rows[row].append(example)
        heapq.heappush(shortest, (length + len(example.ids), row))
    batch = _batch(rows)
    positions, mask = _separated(rows, batch.ids.shape[1])
    return replace(batch, positions=positions, mask=mask)


def _batch(rows: Sequence[Sequence[Example]]) -> ExampleBatch:
    """Write the examples of each row one after another, and pad the rows.

    An unknown token is no target: a model must not learn to write it.
    """
    width = _round_up(max(sum(len(example.ids) for example in row) for row in rows), _WIDTH_STEP)
    ids = torch.full((len(rows), width), PAD_ID, dtype=torch.long)
    found: list[tuple[int, int, int]] = []
    for row, examples in enumerate(rows):
        start = 0
        for example in examples:
            end = start + len(example.ids)
            ids[row, start:end] = torch.tensor(example.ids)
            found.extend(
                (row, start + place - 1, example.ids[place])
                for place in range(example.answer_start, len(example.ids))
                if example.ids[place] != UNKNOWN_ID
            )
            start = end
    tokens = len(found)
    found += [(0, 0, IGNORED)] * (_round_up(tokens, _TARGETS_STEP) - tokens)
    in_rows, columns, targets = torch.tensor(found).T.contiguous()
    return ExampleBatch(ids=ids, rows=in_rows, columns=columns, targets=targets, tokens=tokens)


def _separated(rows: Sequence[Sequence[Example]], width: int) -> tuple[Tensor, Tensor]:
    """Return the positions and the mask of packed rows. Padding attends to padding, since softmax needs something."""
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    segments = torch.full((len(rows), width), _PADDING)
    for row, examples in enumerate(rows):
        start = 0
        for number, example in enumerate(examples):
            end = start + len(example.ids)
            positions[row, start:end] = torch.arange(len(example.ids))
            segments[row, start:end] = number
            start = end
    mask = (segments[:, None, :, None] == segments[:, None, None, :]).tril()
    return positions, mask


def _round_up(number: int, step: int) -> int:
    """Return the next multiple of ``step``."""
    return -(-number // step) * step


def epoch_batches(
    examples: Sequence[Example], batch_size: int, seed: int, epoch: int, *, by_length: bool = True
) -> list[list[Example]]:
    """Return the batches of one epoch. They depend on the arguments only, so a resumed run gets the same ones.

    Args:
        examples: each is in the epoch as often as its weight says.
        batch_size: examples per batch.
        seed: of the training.
        epoch: its number, from 0.
        by_length: whether a batch has examples of similar length, so that padded rows have little padding. Packed rows
            do not need that.

    Returns:
        The batches, in random order.
    """
    order = random.Random(f"{seed}/{epoch}")  # noqa: S311 - shuffling, not secrets
    weighted = [example for example in examples for _ in range(example.weight)]
    order.shuffle(weighted)
    if not by_length:
        return [weighted[first : first + batch_size] for first in range(0, len(weighted), batch_size)]
    bucket = batch_size * _BUCKET_BATCHES
    batches: list[list[Example]] = []
    for start in range(0, len(weighted), bucket):
        alike = sorted(weighted[start : start + bucket], key=lambda example: len(example.ids))
        batches.extend(alike[first : first + batch_size] for first in range(0, len(alike), batch_size))
    order.shuffle(batches)
    return batches


def length_batches(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Return the indices of examples in batches of similar length, for evaluation."""
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
