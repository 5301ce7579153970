"""The training loop: deterministic, and resumable if the process is killed at any time.

On a CPU with the same number of threads, the same weights, examples and recipe produce the same result, even if the run
was interrupted: batches depend on (seed, epoch), dropout on (seed, step).

Several processes, the ranks, can train one network: each computes a part of every batch, and gradients are summed.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from transformers import GPT2LMHeadModel

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.machine.allocator import freed_memory_is_kept
from kogpt2_chat.network.batches import Example, pack
from kogpt2_chat.network.network import answer_logits, nll_by_example, reproduces_answers
from kogpt2_chat.training.compute import Precision, autocast, choose_precision, device
from kogpt2_chat.training.distillation import KeptPredictions
from kogpt2_chat.training.early_stop import BestWeights, EpochReport, best_epoch
from kogpt2_chat.training.lora import add_adapters, merge_adapters
from kogpt2_chat.training.ranks import ONE_PROCESS, Ranks, part_of
from kogpt2_chat.training.recipe import Recipe, planned_batches
from kogpt2_chat.training.resume import load_progress, save_progress

_RANK_SEED: Final = 2**40 + 15
"""Distance between the dropout seeds of two ranks."""


@dataclass(slots=True, kw_only=True)
class _EpochSums:
    """Sums of the current epoch; part of a checkpoint."""

    loss: float = 0.0
    norm: float = 0.0
    tokens: int = 0
    steps: int = 0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class _TrainingState:
    """Everything that a checkpoint stores in addition to weights and optimizer."""

    step: int = 0
    sums: _EpochSums = field(default_factory=_EpochSums)
    reports: list[EpochReport] = field(default_factory=list)


def fit(
    network: GPT2LMHeadModel,
    examples: Sequence[Example],
    recipe: Recipe,
    *,
    kept: Sequence[Example] = (),
    validation: Sequence[Example] = (),
    progress: Callable[[str], None] = lambda _: None,
    resume: Path | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    ranks: Ranks = ONE_PROCESS,
    on_checkpoint: Callable[[int], None] = lambda _: None,
) -> list[EpochReport]:
    """Train a network in place, on a CUDA device if there is one.

    Args:
        network: changed in place; afterwards it is on the CPU and in evaluation mode.
        examples: the examples to learn.
        recipe: how to train.
        kept: examples on which the network's predictions must not change.
        validation: examples whose NLL is measured after each epoch; never learned.
        progress: called with a line for each epoch.
        resume: folder for checkpoints; training continues from a checkpoint of an interrupted run.
        on_epoch: called with every report, including those of the interrupted run.
        ranks: this process among those that train together; all get the same arguments. Only rank 0 writes
            checkpoints.
        on_checkpoint: called with the step of each checkpoint that this process has written.

    Returns:
        One report per epoch.

    Raises:
        InvalidInput: there are no examples, or the loss or the gradient is not finite.
    """
    if not examples:
        raise InvalidInput("no examples to train on: the dataset's train split is empty")
    plan = planned_batches(examples, recipe)
    epochs, total = len(plan), sum(map(len, plan))
    precision = choose_precision(recipe.precision, network, progress)
    network.to(device())
    _prepare(network, recipe)
    kept_predictions = KeptPredictions(network, kept, recipe, precision)
    adapters = add_adapters(network, recipe.lora_rank, recipe.seed) if recipe.lora_rank else None
    optimizer = _optimizer(network, recipe)
    best = BestWeights(network, recipe.patience, resume)
    state = _resume(resume, network, optimizer, progress, on_epoch)
    first = 0
    for epoch, batches in enumerate(plan, start=1):
        with freed_memory_is_kept():
            for batch in batches[max(0, state.step - first) :]:
                _train_step(network, optimizer, batch, kept_predictions, recipe, precision, state, total, ranks)
                due = state.step % recipe.checkpoint_every_steps == 0 and state.step < total
                if resume is not None and due and ranks.rank == 0:
                    save_progress(resume, network, optimizer, asdict(state))
                    on_checkpoint(state.step)
        first += len(batches)
        if len(state.reports) < epoch:
            _finish_epoch(network, validation, epoch, epochs, optimizer, state, progress, ranks)
            best.update(state.reports)
            on_epoch(state.reports[-1])
        if why := _stop_reason(network, examples, recipe, best, state, ranks):
            progress(why)
            break
    best.restore(state.reports)
    if adapters is not None:
        merge_adapters(adapters)
    network.to("cpu").eval()
    return state.reports


def _resume(
    resume: Path | None,
    network: GPT2LMHeadModel,
    optimizer: torch.optim.Optimizer,
    progress: Callable[[str], None],
    on_epoch: Callable[[EpochReport], None],
) -> _TrainingState:
    """Load the checkpoint of an interrupted run; without one, return the initial state."""
    saved = load_progress(resume, network, optimizer) if resume is not None else None
    if not saved:
        return _TrainingState()
    state = _restored(saved)
    progress(f"resumed at step {state.step}")
    for report in state.reports:
        on_epoch(report)
    return state


def _stop_reason(
    network: GPT2LMHeadModel,
    examples: Sequence[Example],
    recipe: Recipe,
    best: BestWeights,
    state: _TrainingState,
    ranks: Ranks,
) -> str | None:
    """Return the reason to end the training now; None to continue."""
    if best.should_stop(state.reports):
        best_so_far = best_epoch(state.reports)
        return f"validation has not improved for {recipe.patience} epochs: restoring the weights of epoch {best_so_far}"
    if recipe.until_known and _all_known(network, examples, ranks):
        return f"all {len(examples)} pairs are learned exactly"
    return None


def _all_known(network: GPT2LMHeadModel, examples: Sequence[Example], ranks: Ranks) -> bool:
    part = examples[ranks.rank :: ranks.size]
    [unknown] = ranks.sum([len(part) - sum(reproduces_answers(network, part))])
    return unknown == 0


def _prepare(network: GPT2LMHeadModel, recipe: Recipe) -> None:
    """Set the dropout, and replace the activation by torch's own, which is the same function in one kernel."""
    for block in network.transformer.h:
        block.mlp.act = torch.nn.GELU(approximate="tanh")
    if recipe.dropout is None:
        return
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = recipe.dropout


def _optimizer(network: GPT2LMHeadModel, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only, not on biases and norms."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)


def _learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine down to a tenth of the peak."""
    warmup = max(1, int(total * recipe.warmup_fraction))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return recipe.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def _train_step(
    network: GPT2LMHeadModel,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example],
    kept: KeptPredictions,
    recipe: Recipe,
    precision: Precision,
    state: _TrainingState,
    total: int,
    ranks: Ranks,
) -> None:
    """Run one optimizer step. Its loss is the mean over the targets of the whole batch, whatever the number of ranks.

    Raises:
        InvalidInput: the loss or the gradient is not finite.
    """
    started = time.perf_counter()
    # So that dropout does not depend on resuming, and differs between ranks.
    torch.manual_seed(recipe.seed * 1_000_003 + state.step + ranks.rank * _RANK_SEED)
    network.train()
    part = part_of(examples, ranks)
    batch = pack(part.examples, recipe.examples_per_row).to(device())
    with autocast(precision):
        logits = answer_logits(network, batch)
    loss = functional.cross_entropy(logits.float(), batch.targets, label_smoothing=recipe.label_smoothing)
    divergence, kept_tokens = kept.divergence(network, state.step, ranks)
    loss = loss * part.share + recipe.kept_weight * divergence
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    ranks.sum_gradients(network.parameters())
    [whole_loss] = ranks.sum([loss.item()])
    norm = float(clip_grad_norm_(network.parameters(), recipe.clip_norm))
    if not (math.isfinite(norm) and math.isfinite(whole_loss)):
        raise InvalidInput(
            f"training diverged at step {state.step}: loss {whole_loss}, gradient norm {norm}; "
            f"lower the learning rate ({recipe.learning_rate}) or use precision fp32"
        )
    for group in optimizer.param_groups:
        group["lr"] = _learning_rate(state.step, total, recipe)
    optimizer.step()
    state.step += 1
    sums = state.sums
    sums.loss += whole_loss
    sums.norm += norm
    sums.tokens += part.targets + kept_tokens
    sums.steps += 1
    sums.seconds += time.perf_counter() - started


def _finish_epoch(
    network: GPT2LMHeadModel,
    validation: Sequence[Example],
    epoch: int,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    state: _TrainingState,
    progress: Callable[[str], None],
    ranks: Ranks,
) -> None:
    """Measure the validation NLL, report the epoch and reset the sums."""
    nll = None
    if validation:
        [nll] = ranks.sum([sum(nll_by_example(network, validation[ranks.rank :: ranks.size]))])
        nll /= len(validation)
    sums = state.sums
    report = EpochReport(
        epoch=epoch,
        step=state.step,
        loss=sums.loss / max(sums.steps, 1),
        validation_nll=nll,
        gradient_norm=sums.norm / max(sums.steps, 1),
        learning_rate=float(optimizer.param_groups[0]["lr"]),
        tokens_per_s=sums.tokens / max(sums.seconds, 1e-9),
    )
    state.reports.append(report)
    state.sums = _EpochSums()
    shown = "" if nll is None else f", validation {nll:.3f}"
    progress(f"epoch {epoch}/{epochs}: loss {report.loss:.3f}{shown}, {report.tokens_per_s:.0f} answer tokens/s")


def _restored(saved: dict[str, object]) -> _TrainingState:
    """Rebuild the state from a checkpoint's plain values."""
    sums, reports = saved["sums"], saved["reports"]
    if not isinstance(sums, dict) or not isinstance(reports, list):
        raise InvalidInput("a training checkpoint is unreadable: delete the working folder and train again")
    return _TrainingState(
        step=int(str(saved["step"])), sums=_EpochSums(**sums), reports=[EpochReport(**report) for report in reports]
    )
