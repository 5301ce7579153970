"""Measure the range of a network's activations per layer on its training data, to calibrate int8 activations."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import GPT2LMHeadModel

from kogpt2_chat.artifact.convert import LM_HEAD, Ranges

SEQUENCES: Final = 64
_LAYERS: Final = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


@torch.no_grad()
def activation_ranges(network: GPT2LMHeadModel, sequences: Sequence[Sequence[int]]) -> Ranges:
    """Return the largest magnitude of each linear layer's input channels.

    Args:
        network: in evaluation mode.
        sequences: token ids of prompts with their answers; about ``SEQUENCES`` of them, evenly spaced, are used.

    Returns:
        By layer, (in,) float32.
    """
    found: dict[str, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(_record_largest(name, found)) for name, layer in _layers(network)]
    try:
        for sequence in sequences[:: max(1, len(sequences) // SEQUENCES)]:
            network(torch.tensor([list(sequence)]))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: largest.numpy().astype(np.float32) for name, largest in found.items()}


def _layers(network: GPT2LMHeadModel) -> list[tuple[str, Any]]:
    layers = [
        (f"h.{number}.{name}", block.get_submodule(name))
        for number, block in enumerate(network.transformer.h)
        for name in _LAYERS
    ]
    return [*layers, (LM_HEAD, network.lm_head)]


def _record_largest(name: str, found: dict[str, Tensor]) -> Callable[[Any, tuple[Tensor, ...]], None]:
    def hook(_layer: Any, inputs: tuple[Tensor, ...]) -> None:
        largest = inputs[0].abs().flatten(0, -2).amax(0).float()
        found[name] = torch.maximum(found[name], largest) if name in found else largest

    return hook
