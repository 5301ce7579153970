"""Grow a small GPT-2 to a larger shape without changing what it computes (Net2Net, Chen et al. 2016).

Each value of the hidden state is repeated, so layer norms keep their mean and variance. Weights that read a repeated
value share it in random parts, so that the copies learn different things later. Further heads, units and layers write
nothing at first, but they are trained like the others.
"""

import torch
from torch import Tensor
from torch.nn import Parameter
from transformers import GPT2Config, GPT2LMHeadModel

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.network.network import new_network


@torch.no_grad()
def grown(small: GPT2LMHeadModel, config: GPT2Config, seed: int) -> GPT2LMHeadModel:
    """Return a network of a larger shape with the same logits on the small network's vocabulary and positions.

    Args:
        small: the network to grow.
        config: the larger shape. Its width is a multiple of the small one, its heads have the same width.
        seed: of the new weights.

    Returns:
        The network in evaluation mode.

    Raises:
        InvalidInput: the shapes do not fit.
    """
    times, head = config.n_embd // small.config.n_embd, small.config.n_embd // small.config.n_head
    if times * small.config.n_embd != config.n_embd or head * config.n_head != config.n_embd:
        raise InvalidInput(
            f"a network with {small.config.n_embd} values and heads of {head} cannot grow to {config.n_embd} values "
            f"and {config.n_head} heads: use a multiple of the width, and heads of the same width"
        )
    large = new_network(config, seed)
    theirs, ours = small.transformer, large.transformer
    for mine, other in ((ours.wte, theirs.wte), (ours.wpe, theirs.wpe)):
        mine.weight[: len(other.weight)] = other.weight.repeat(1, times)
    every = len(ours.h) // len(theirs.h)
    for number, block in enumerate(ours.h):
        block.attn.c_proj.weight.zero_()
        block.mlp.c_proj.weight.zero_()
        if number % every == 0 and number // every < len(theirs.h):
            _grow_block(block, theirs.h[number // every], times)
    _repeat(ours.ln_f, theirs.ln_f, times, 1 / times)  # the output layer adds up the copies
    return large.eval()


def _grow_block(mine: torch.nn.Module, other: torch.nn.Module, times: int) -> None:
    """Copy a layer into the first heads and units of a larger one."""
    _repeat(mine.ln_1, other.ln_1, times)
    _repeat(mine.ln_2, other.ln_2, times)
    width, large = other.attn.c_attn.weight.shape[0], mine.attn.c_attn.weight.shape[0]
    for part in range(3):  # queries, keys and values stand side by side
        source, target = slice(part * width, (part + 1) * width), slice(part * large, part * large + width)
        mine.attn.c_attn.weight[:, target] = _shared(other.attn.c_attn.weight[:, source], times)
        mine.attn.c_attn.bias[target] = other.attn.c_attn.bias[source]
    mine.attn.c_proj.weight[:width] = other.attn.c_proj.weight.repeat(1, times)
    mine.attn.c_proj.bias.copy_(other.attn.c_proj.bias.repeat(times))
    units = other.mlp.c_fc.weight.shape[1]
    mine.mlp.c_fc.weight[:, :units] = _shared(other.mlp.c_fc.weight, times)
    mine.mlp.c_fc.bias[:units] = other.mlp.c_fc.bias
    mine.mlp.c_proj.weight[:units] = other.mlp.c_proj.weight.repeat(1, times)
    mine.mlp.c_proj.bias.copy_(other.mlp.c_proj.bias.repeat(times))


def _repeat(mine: torch.nn.LayerNorm, other: torch.nn.LayerNorm, times: int, factor: float = 1.0) -> None:
    for target, source in ((mine.weight, other.weight), (mine.bias, other.bias)):
        target.copy_(source.repeat(times) * factor)


def _shared(weight: Tensor | Parameter, times: int) -> Tensor:
    """Return rows for each copy of the input, (times * in, out); the copies of a row add up to it."""
    parts = torch.rand(times, *weight.shape) + 0.5
    return (weight * parts / parts.sum(0)).flatten(0, 1)
