"""Checkpoints of a training in progress: weights, optimizer and counters, in safetensors and JSON.

They contain no pickle, because other users may have changed the working folder. A checkpoint is
put in place by a rename, so a process that is killed while it writes leaves the previous one.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

_NAME: Final = "in-progress"
_BEST: Final = "best.safetensors"
_STATE: Final = ("exp_avg", "exp_avg_sq", "step")


def save_progress(
    folder: Path, network: GPT2LMHeadModel, optimizer: torch.optim.Optimizer, counters: dict[str, Any]
) -> None:
    """Write a checkpoint that replaces the folder's previous one."""
    aside = folder / f".{_NAME}-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    weights = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    moments = {
        f"{index}.{key}": optimizer.state[weight][key]
        for index, weight in enumerate(_weights(optimizer))
        for key in _STATE
    }
    save_file(weights, aside / "weights.safetensors")
    save_file(moments, aside / "optimizer.safetensors")
    (aside / "counters.json").write_text(json.dumps(counters), "utf-8")
    target, old = folder / _NAME, folder / f".{_NAME}-old"
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def load_progress(folder: Path, network: GPT2LMHeadModel, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Load the newest checkpoint into network and optimizer. Return its counters; None if there is no checkpoint."""
    found = next((path for path in (folder / _NAME, folder / f".{_NAME}-old") if path.exists()), None)
    if found is None:
        return None
    weights = load_file(found / "weights.safetensors")
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(weights[name])
    moments = load_file(found / "optimizer.safetensors")
    for index, weight in enumerate(_weights(optimizer)):
        optimizer.state[weight] = {key: moments[f"{index}.{key}"].to(weight.device) for key in _STATE}
    return json.loads((found / "counters.json").read_text("utf-8"))


def save_best(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write the weights of the best epoch so far."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{_BEST}-{os.getpid()}"
    save_file(weights, aside)
    aside.rename(folder / _BEST)


def load_best(folder: Path) -> dict[str, torch.Tensor]:
    """Read the weights of the best epoch so far."""
    return load_file(folder / _BEST)


def clear_progress(folder: Path) -> None:
    """Remove the checkpoints of a finished training."""
    shutil.rmtree(folder, ignore_errors=True)


def _weights(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
