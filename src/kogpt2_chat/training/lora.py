"""Low-rank adapters (LoRA, Hu et al. 2021): a training changes few weights, and ends with ordinary weights."""

from typing import TYPE_CHECKING, Final

import torch
from transformers import GPT2LMHeadModel

if TYPE_CHECKING:
    from peft.tuners.lora import LoraModel

_LAYERS: Final = ["c_attn", "c_proj", "c_fc"]
"""All linear layers of a block."""


def add_adapters(network: GPT2LMHeadModel, rank: int, seed: int) -> "LoraModel":
    """Add an adapter to each linear layer of each block, and freeze everything else.

    Args:
        network: changed in place; its logits stay the same, because a new adapter adds 0.
        rank: of the adapters.
        seed: of their initial weights.

    Returns:
        The handle that :func:`merge_adapters` needs.
    """
    from peft import LoraConfig  # imported here, because that takes seconds and most trainings have no adapters
    from peft.tuners.lora import LoraModel

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=_LAYERS,
        fan_in_fan_out=True,  # GPT-2's layers store (in, out)
    )  # fmt: skip
    return LoraModel(network, config, "default")


def merge_adapters(adapters: "LoraModel") -> None:
    """Add what the adapters have learned to the weights, and remove them; the network's logits stay the same."""
    network = adapters.merge_and_unload()
    network.requires_grad_(True)
