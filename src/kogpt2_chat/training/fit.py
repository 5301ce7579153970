"""Fit a network to examples: ``setup -> fit -> validate``, deterministic, and resumable after any kill.

Same weights, examples and recipe give the same result on a CPU with the same number of threads, whether or
not the run was interrupted in between: batches depend on (seed, epoch), dropout on (seed, step).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from transformers import GPT2LMHeadModel

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.network.batches import Example, collate
from kogpt2_chat.network.network import answer_logits, knows, nll_by_example
from kogpt2_chat.training.compute import Precision, autocast, choose_precision, device
from kogpt2_chat.training.distillation import Kept
from kogpt2_chat.training.early_stop import Best, EpochReport, best_epoch
from kogpt2_chat.training.recipe import Recipe, planned_batches
from kogpt2_chat.training.resume import load_progress, save_progress


@dataclass(slots=True, kw_only=True)
class _Sums:
    """Running figures of the epoch in progress; part of a checkpoint."""

    loss: float = 0.0
    norm: float = 0.0
    tokens: int = 0
    steps: int = 0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class _Fit:
    """Everything that a checkpoint must bring back, besides weights and optimizer."""

    step: int = 0
    sums: _Sums = field(default_factory=_Sums)
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
) -> list[EpochReport]:
    """Train in place, on a CUDA device where there is one.

    Args:
        network: changed in place; on the CPU and in evaluation mode afterwards.
        examples: what to learn.
        recipe: how.
        kept: examples on which the network's predictions must stay what they are.
        validation: examples whose NLL is measured after each epoch; never learned.
        progress: told about every epoch.
        resume: folder for checkpoints; what an interrupted run left there is taken up.
        on_epoch: given every report, those of the interrupted run as well.

    Returns:
        One report an epoch.

    Raises:
        InvalidInput: there is nothing to learn, or the loss is no number any more.
    """
    if not examples:
        raise InvalidInput("no examples to train on: the dataset's train split is empty")
    plan = planned_batches(examples, recipe)
    epochs, total = len(plan), sum(map(len, plan))
    precision = choose_precision(recipe.precision, progress)
    network.to(device())
    _set_dropout(network, recipe)
    optimizer = _optimizer(network, recipe)
    memory = Kept(network, kept, recipe.kept_rows, recipe.seed)
    best = Best(network, recipe.patience, resume)
    done = _taken_up(resume, network, optimizer, progress, on_epoch)
    first = 0
    for epoch, batches in enumerate(plan, start=1):
        for step, batch in enumerate(batches, start=first):
            if step < done.step:
                continue
            _train_step(network, optimizer, batch, memory, recipe, precision, done, total)
            if resume is not None and done.step % recipe.checkpoint_every_steps == 0 and done.step < total:
                save_progress(resume, network, optimizer, asdict(done))
        first += len(batches)
        if len(done.reports) < epoch:
            _finish_epoch(network, validation, epoch, epochs, optimizer, done, progress)
            best.look(done.reports)
            on_epoch(done.reports[-1])
        if why := _why_over(network, examples, recipe, best, done):
            progress(why)
            break
    best.restore(done.reports)
    network.to("cpu").eval()
    return done.reports


def _taken_up(
    resume: Path | None,
    network: GPT2LMHeadModel,
    optimizer: torch.optim.Optimizer,
    progress: Callable[[str], None],
    on_epoch: Callable[[EpochReport], None],
) -> _Fit:
    """Where an interrupted run left off; the beginning where there was none."""
    saved = load_progress(resume, network, optimizer) if resume is not None else None
    if not saved:
        return _Fit()
    done = _restored(saved)
    progress(f"resumed at step {done.step}")
    for report in done.reports:
        on_epoch(report)
    return done


def _why_over(
    network: GPT2LMHeadModel, examples: Sequence[Example], recipe: Recipe, best: Best, done: _Fit
) -> str | None:
    """Why the training ends before its last epoch; None where it goes on."""
    if best.is_over(done.reports):
        return f"no better validation in {recipe.patience} epochs: back to epoch {best_epoch(done.reports)}"
    if recipe.until_known and all(knows(network, examples)):
        return f"all {len(examples)} pairs are said to the letter"
    return None


def _set_dropout(network: GPT2LMHeadModel, recipe: Recipe) -> None:
    if recipe.dropout is None:
        return
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = recipe.dropout


def _optimizer(network: GPT2LMHeadModel, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves biases and norms alone."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)


def _learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine down to a tenth of the peak."""
    warmup = max(1, int(total * recipe.warmup_fraction))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return recipe.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def _train_step(
    network: GPT2LMHeadModel,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example],
    memory: Kept,
    recipe: Recipe,
    precision: Precision,
    done: _Fit,
    total: int,
) -> None:
    """One optimizer step.

    Raises:
        InvalidInput: the loss or the gradient is not finite.
    """
    started = time.perf_counter()
    torch.manual_seed(recipe.seed * 1_000_003 + done.step)  # dropout of this very step, resumed or not
    network.train()
    batch = collate(examples).to(device())
    with autocast(precision):
        logits = answer_logits(network, batch)
    loss = functional.cross_entropy(logits.float(), batch.targets, label_smoothing=recipe.label_smoothing)
    moved, kept_tokens = memory.divergence(network, done.step)
    loss = loss + recipe.kept_weight * moved
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = float(clip_grad_norm_(network.parameters(), recipe.clip_norm))
    if not (math.isfinite(norm) and math.isfinite(loss.item())):
        raise InvalidInput(
            f"training diverged at step {done.step}: loss {loss.item()}, gradient norm {norm}; "
            f"lower the learning rate ({recipe.learning_rate}) or use precision fp32"
        )
    for group in optimizer.param_groups:
        group["lr"] = _learning_rate(done.step, total, recipe)
    optimizer.step()
    done.step += 1
    sums = done.sums
    sums.loss += loss.item()
    sums.norm += norm
    sums.tokens += batch.tokens + kept_tokens
    sums.steps += 1
    sums.seconds += time.perf_counter() - started


def _finish_epoch(
    network: GPT2LMHeadModel,
    validation: Sequence[Example],
    epoch: int,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    done: _Fit,
    progress: Callable[[str], None],
) -> None:
    """Validate, report, and begin new sums."""
    nll = None
    if validation:
        figures = nll_by_example(network, validation)
        nll = sum(figures) / len(figures)
    sums = done.sums
    report = EpochReport(
        epoch=epoch,
        step=done.step,
        loss=sums.loss / max(sums.steps, 1),
        validation_nll=nll,
        gradient_norm=sums.norm / max(sums.steps, 1),
        learning_rate=float(optimizer.param_groups[0]["lr"]),
        tokens_per_s=sums.tokens / max(sums.seconds, 1e-9),
    )
    done.reports.append(report)
    done.sums = _Sums()
    shown = "" if nll is None else f", validation {nll:.3f}"
    progress(f"epoch {epoch}/{epochs}: loss {report.loss:.3f}{shown}, {report.tokens_per_s:.0f} answer tokens/s")


def _restored(saved: dict[str, object]) -> _Fit:
    """A checkpoint's plain values as they were."""
    sums, reports = saved["sums"], saved["reports"]
    if not isinstance(sums, dict) or not isinstance(reports, list):
        raise InvalidInput("a training checkpoint is unreadable: delete the working folder and train again")
    return _Fit(step=int(str(saved["step"])), sums=_Sums(**sums), reports=[EpochReport(**report) for report in reports])
