"""Early stopping: keep the weights of the epoch with the best validation NLL, and stop when it no longer improves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from kogpt2_chat.training.resume import load_best, save_best


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """The results of one epoch.

    Attributes:
        epoch: its number, from 1.
        step: optimizer steps since the start of the training.
        loss: mean training loss of its steps.
        validation_nll: mean NLL of the validation examples; None without validation examples.
        gradient_norm: mean norm before clipping.
        learning_rate: at the end of the epoch.
        tokens_per_s: answer tokens per second.
    """

    epoch: int
    step: int
    loss: float
    validation_nll: float | None
    gradient_norm: float
    learning_rate: float
    tokens_per_s: float


class BestWeights:
    """The weights of the epoch with the best validation NLL so far.

    Args:
        network: the network in training.
        patience: as in the recipe; 0: no early stopping.
        folder: where the weights are stored, so that a resumed run finds them; None keeps them in memory.
    """

    def __init__(self, network: GPT2LMHeadModel, patience: int, folder: Path | None) -> None:
        self._network = network
        self._patience = patience
        self._folder = folder
        self._kept: dict[str, torch.Tensor] = {}

    def update(self, reports: Sequence[EpochReport]) -> None:
        """Store the current weights if the newest report is the best one."""
        if not self._patience or best_epoch(reports) != reports[-1].epoch:
            return
        weights = {name: weight.detach().clone() for name, weight in self._network.named_parameters()}
        if self._folder is None:
            self._kept = weights
        else:
            save_best(self._folder, weights)

    def should_stop(self, reports: Sequence[EpochReport]) -> bool:
        """Check whether the validation NLL has not improved for ``patience`` epochs."""
        return bool(self._patience) and reports[-1].epoch - best_epoch(reports) >= self._patience

    def restore(self, reports: Sequence[EpochReport]) -> None:
        """Copy the weights of the best epoch back into the network."""
        if not self._patience or best_epoch(reports) == reports[-1].epoch:
            return
        kept = self._kept if self._folder is None else load_best(self._folder)
        with torch.no_grad():
            for name, weight in self._network.named_parameters():
                weight.copy_(kept[name])


def best_epoch(reports: Sequence[EpochReport]) -> int:
    """Return the number of the epoch with the lowest validation NLL; the last one without validation."""
    validated = [(report.validation_nll, report.epoch) for report in reports if report.validation_nll is not None]
    return min(validated)[1] if validated else reports[-1].epoch
