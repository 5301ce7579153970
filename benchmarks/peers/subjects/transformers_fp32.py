"""transformers in fp32: ``generate`` with its cache on batches; with ``--original`` the original way.

The original way computes the whole sequence again for each token, and answers one request after another.
"""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from benchmarks.peers.loads import END_ID, MAX_BATCH
from benchmarks.peers.measure import arguments, run
from benchmarks.peers.static_batches import Answers, Batch, StaticBatches

_PAD_ID = 3


class Network:
    """The two ways to decode."""

    def __init__(self, folder: str) -> None:
        self._network: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def generate(self, batch: Batch) -> Iterator[Answers]:
        """Generate as many tokens for all as the longest answer has, and cut the others."""
        ids = torch.tensor([request.prompt for request in batch])
        longest = max(request.new_tokens for request in batch)
        out = self._network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=longest, min_new_tokens=longest, do_sample=False,
            pad_token_id=_PAD_ID, eos_token_id=END_ID,
        )[:, ids.shape[1] :].tolist()  # fmt: skip
        yield [
            (request.number, tokens[: request.new_tokens]) for request, tokens in zip(batch, out, strict=True)
        ]  # fmt: skip

    @torch.inference_mode()
    def original(self, batch: Batch) -> Iterator[Answers]:
        """Answer the only request of a batch."""
        (request,) = batch
        ids = list(request.prompt)
        for _ in range(request.new_tokens):
            logits = self._network(torch.tensor([ids]), use_cache=False).logits[0, -1]
            logits[END_ID] = -torch.inf
            ids.append(int(logits.argmax()))
        yield [(request.number, ids[len(request.prompt) :])]


def engine(folder: str, *, original: bool) -> StaticBatches:
    """Return the engine under test."""
    network = Network(folder)
    return StaticBatches(network.original, 1) if original else StaticBatches(network.generate, MAX_BATCH)


if __name__ == "__main__":
    options = arguments(flags=("original",))
    run(options, lambda: engine(options.model, original=options.original))
