"""The tutorial's way of fine-tuning KoGPT2: what the project replaces, written as simply as there.

The widely copied notebook for KoGPT2 and ``ChatbotData.csv`` pads every pair to 40 tokens, computes the logits of all
positions and of all 51,200 entries, sets those outside of the answer to -1e18, and uses batches of 32 and Adam with a
constant rate of 3e-5, in fp32.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.domain.chat.prompt import PAD_ID
from kogpt2_chat.network.batches import Example

_LENGTH: Final = 40
_BATCH: Final = 32
_RATE: Final = 3e-5
_NEVER: Final = -1e18


def train(
    network: GPT2LMHeadModel, examples: Sequence[Example], epochs: int, on_epoch: Callable[[int, float], None]
) -> None:
    """Train a network in place.

    Args:
        network: in fp32.
        examples: at most 40 tokens each.
        epochs: passes over them.
        on_epoch: called after each pass with the number of steps so far and the seconds of this pass.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    criterion = torch.nn.CrossEntropyLoss(reduction="none")
    order = random.Random(20)  # noqa: S311 - shuffling, not secrets
    steps = 0
    for _ in range(epochs):
        network.train()
        started = time.perf_counter()
        shuffled = order.sample(list(examples), len(examples))
        for first in range(0, len(shuffled), _BATCH):
            ids, mask, labels = _batch(shuffled[first : first + _BATCH])
            optimizer.zero_grad()
            logits = network(ids).logits
            wide = mask.unsqueeze(2).repeat_interleave(repeats=logits.shape[2], dim=2)
            masked = torch.where(wide == 1, logits, _NEVER * torch.ones_like(logits))
            loss = criterion(masked.transpose(2, 1), labels)
            torch.autograd.backward(loss.sum() / mask.sum())
            optimizer.step()
            steps += 1
        on_epoch(steps, time.perf_counter() - started)


def _batch(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, whether a position predicts a token of the answer, and that token: (batch, 40) each."""
    ids = torch.full((len(examples), _LENGTH), PAD_ID)
    labels = torch.full((len(examples), _LENGTH), PAD_ID)
    mask = torch.zeros((len(examples), _LENGTH), dtype=torch.long)
    for row, example in enumerate(examples):
        tokens = torch.tensor(example.ids)
        answer = slice(example.answer_start - 1, len(tokens) - 1)
        ids[row, : len(tokens)] = tokens
        labels[row, answer] = tokens[example.answer_start :]
        mask[row, answer] = 1
    return ids, mask, labels
