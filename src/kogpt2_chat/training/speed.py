"""Measure how fast a network of a given size trains on this machine, with a few steps of the project's own training.

This runs in a separate process, ``python -m kogpt2_chat.training.speed``, whose memory is free again when it ends. The
weights are random, which does not change the speed.
"""

import json
import random
import sys
from dataclasses import asdict, dataclass

from kogpt2_chat.domain.chat.prompt import CONTROL_TOKENS
from kogpt2_chat.network.batches import Example
from kogpt2_chat.network.network import gpt2_config, new_network
from kogpt2_chat.training.compute import Asked
from kogpt2_chat.training.curriculum import DROPOUT, EXAMPLES_PER_ROW
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.recipe import Recipe

_FEW, _MORE = 2, 6
"""Sizes of the two batches that are timed. The time of a step is a constant plus a multiple of the batch size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The training whose speed is estimated; the defaults are KoGPT2's size.

    Attributes:
        prompt_tokens: per example.
        answer_tokens: per example.
        batch_size: of the training.
        precision: as in the recipe.
        threads: of torch; 0: torch's default.
        vocabulary: entries of the vocabulary.
        layers: of the network.
        width: of the network.
        heads: of the network.
        positions: of the network.
    """

    prompt_tokens: int
    answer_tokens: int
    batch_size: int
    precision: Asked = "auto"
    threads: int = 0
    vocabulary: int = 51_200
    layers: int = 12
    width: int = 768
    heads: int = 12
    positions: int = 1024


def answer_tokens_per_s(work: Work) -> float:
    """Time two small batch sizes, after one warm-up epoch each, and extrapolate linearly to the real batch size."""
    import torch

    if work.threads:
        torch.set_num_threads(work.threads)
    config = gpt2_config(
        vocabulary=work.vocabulary, layers=work.layers, width=work.width, heads=work.heads, positions=work.positions,
        dropout=0.1,
    )  # fmt: skip
    network = new_network(config, seed=1)
    draw = random.Random(1)  # noqa: S311 - random tokens, not secrets
    seconds = {}
    for count in (_FEW, _MORE):
        examples = [_example(work, draw) for _ in range(count)]
        recipe = Recipe(
            epochs=2, batch_size=count, learning_rate=1e-5, warmup_fraction=0.1, weight_decay=0.01, label_smoothing=0.0,
            precision=work.precision, seed=20, checkpoint_every_steps=200, examples_per_row=EXAMPLES_PER_ROW,
            dropout=DROPOUT,
        )  # fmt: skip
        speed = fit(network, examples, recipe)[-1].tokens_per_s
        seconds[count] = count * work.answer_tokens / speed
    each = max((seconds[_MORE] - seconds[_FEW]) / (_MORE - _FEW), seconds[_MORE] / _MORE / 2)
    once = max(seconds[_MORE] - each * _MORE, 0.0)
    return work.batch_size * work.answer_tokens / (once + each * work.batch_size)


def command(work: Work) -> list[str]:
    """Return the command that runs the measurement and prints the answer tokens per second."""
    return [sys.executable, "-m", __name__, json.dumps(asdict(work))]


def _example(work: Work, draw: random.Random) -> Example:
    length = work.prompt_tokens + work.answer_tokens
    ids = tuple(draw.randrange(len(CONTROL_TOKENS), work.vocabulary) for _ in range(length))
    return Example(ids=ids, answer_start=work.prompt_tokens)


if __name__ == "__main__":
    print(answer_tokens_per_s(Work(**json.loads(sys.argv[1]))))  # noqa: T201
