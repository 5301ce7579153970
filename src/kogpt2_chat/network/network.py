"""The network, a GPT-2 from transformers, and the likelihoods of answers."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from kogpt2_chat.domain.chat.prompt import END_ID, PAD_ID
from kogpt2_chat.network.batches import Example, ExampleBatch, collate, length_batches


def gpt2_config(*, vocabulary: int, layers: int, width: int, heads: int, positions: int, dropout: float) -> GPT2Config:
    """Return the config of a GPT-2 with KoGPT2's control ids. KoGPT2 itself: 51200, 12, 768, 12, 1024, 0.1."""
    return GPT2Config(
        vocab_size=vocabulary, n_layer=layers, n_embd=width, n_head=heads, n_positions=positions, n_ctx=positions,
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout,
        bos_token_id=END_ID, eos_token_id=END_ID, pad_token_id=PAD_ID,
    )  # fmt: skip


def new_network(config: GPT2Config, seed: int) -> GPT2LMHeadModel:
    """Return a randomly initialised network; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return GPT2LMHeadModel(config)


def answer_logits(network: GPT2LMHeadModel, batch: ExampleBatch) -> Tensor:
    """Return the logits at the positions that predict answer tokens: (targets, vocabulary)."""
    hidden = network.transformer(
        batch.ids, position_ids=batch.positions, attention_mask=batch.mask, use_cache=False
    ).last_hidden_state
    return network.lm_head(hidden[batch.rows, batch.columns])


@torch.no_grad()
def nll_by_example(network: GPT2LMHeadModel, examples: Sequence[Example], batch_size: int = 64) -> list[float]:
    """Return the mean negative log-likelihood of each example's answer tokens, in nats, in the order given."""
    network.eval()
    nlls = [0.0] * len(examples)
    for indices in length_batches(examples, batch_size):
        batch = collate([examples[index] for index in indices]).to(network.device)
        losses = functional.cross_entropy(answer_logits(network, batch).float(), batch.targets, reduction="none")
        sums = torch.zeros(len(indices), device=network.device).index_add_(0, batch.rows, losses)
        counts = torch.bincount(batch.rows[: batch.tokens], minlength=len(indices))
        for index, nll in zip(indices, (sums / counts).tolist(), strict=True):
            nlls[index] = nll
    return nlls


@torch.no_grad()
def reproduces_answers(network: GPT2LMHeadModel, examples: Sequence[Example], batch_size: int = 64) -> list[bool]:
    """Check for each example whether the network's likeliest tokens are exactly its answer, including the end token."""
    network.eval()
    known = [True] * len(examples)
    for indices in length_batches(examples, batch_size):
        batch = collate([examples[index] for index in indices]).to(network.device)
        right = (answer_logits(network, batch).argmax(-1) == batch.targets)[: batch.tokens]
        for row, same in zip(batch.rows[: batch.tokens].tolist(), right.tolist(), strict=True):
            known[indices[row]] &= same
    return known
