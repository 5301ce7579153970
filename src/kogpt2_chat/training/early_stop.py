"""Which epoch of a training was the best, and its weights: where validation gets worse, training has gone too far."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.training.resume import load_best, save_best


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """What one epoch came to."""

    epoch: int
    step: int
    loss: float
    validation_nll: float | None
    gradient_norm: float
    learning_rate: float
    tokens_per_s: float


class Best:
    """Early stop: the weights of the epoch with the best validation NLL so far.

    Args:
        network: in training.
        patience: as in the recipe; 0 does nothing.
        folder: where the weights are kept, so that a resumed run finds them; None keeps them in memory.
    """

    def __init__(self, network: GPT2LMHeadModel, patience: int, folder: Path | None) -> None:
        self._network = network
        self._patience = patience
        self._folder = folder
        self._kept: dict[str, torch.Tensor] = {}

    def look(self, reports: Sequence[EpochReport]) -> None:
        """Keep the weights if the newest report is the best one."""
        if not self._patience or best_epoch(reports) != reports[-1].epoch:
            return
        weights = {name: weight.detach().clone() for name, weight in self._network.named_parameters()}
        if self._folder is None:
            self._kept = weights
        else:
            save_best(self._folder, weights)

    def is_over(self, reports: Sequence[EpochReport]) -> bool:
        """Whether patience is at its end."""
        return bool(self._patience) and reports[-1].epoch - best_epoch(reports) >= self._patience

    def restore(self, reports: Sequence[EpochReport]) -> None:
        """Put the best epoch's weights back."""
        if not self._patience or best_epoch(reports) == reports[-1].epoch:
            return
        kept = self._kept if self._folder is None else load_best(self._folder)
        with torch.no_grad():
            for name, weight in self._network.named_parameters():
                weight.copy_(kept[name])


def best_epoch(reports: Sequence[EpochReport]) -> int:
    """The epoch with the lowest validation NLL, from 1; the last one where nothing was validated."""
    validated = [(report.validation_nll, report.epoch) for report in reports if report.validation_nll is not None]
    return min(validated)[1] if validated else reports[-1].epoch
