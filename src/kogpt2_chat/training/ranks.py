"""The processes that train one network together: what the training loop asks of them.

Each process, a *rank*, has the whole network and computes the gradients of its part of every batch. The gradients are
summed over all ranks, so that all take the same optimizer step. This module depends on no transport;
:mod:`kogpt2_chat.training.process_group` has one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from torch import Tensor

from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID
from kogpt2_chat.network.batches import Example


class Ranks(Protocol):
    """This process among those that train the network. Every rank must make the same calls in the same order."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def size(self) -> int:
        """Number of processes."""
        ...

    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """Replace the gradient of each weight by the sum over all ranks: bit for bit the same on each of them."""
        ...

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums over all ranks: bit for bit the same on each of them."""
        ...


class OneProcess:
    """The only process of a training; nothing is sent."""

    rank: Final = 0
    size: Final = 1

    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """Leave the gradients as they are."""

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Return the numbers."""
        return list(numbers)


ONE_PROCESS: Final = OneProcess()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One rank's part of a batch.

    Attributes:
        examples: its examples; never empty.
        share: its targets as a share of the batch's; 0 if the batch has fewer examples than there are ranks.
        targets: number of targets of the whole batch.
    """

    examples: Sequence[Example]
    share: float
    targets: int


def part_of(batch: Sequence[Example], ranks: Ranks) -> Part:
    """Return this rank's part of a batch that is the same on all ranks.

    The mean loss of the part times ``share``, summed over all ranks, is the mean loss per target of the whole batch.
    Examples are dealt out in turn: batches are sorted by length, so all parts have similar lengths.
    """
    dealt = batch[ranks.rank :: ranks.size]
    targets = _targets(batch)
    if not dealt:  # a rank without examples computes one that does not count, so that all ranks do the same
        return Part(examples=batch[:1], share=0.0, targets=targets)
    return Part(examples=dealt, share=_targets(dealt) / targets, targets=targets)


def _targets(examples: Sequence[Example]) -> int:
    return sum(token != UNKNOWN_ID for example in examples for token in example.ids[example.answer_start :])
