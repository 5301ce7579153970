"""Low-rank adapters: they change nothing until they have learned, and are gone after the training."""

from dataclasses import replace

import pytest
import torch

from kogpt2_chat.network.network import nll_by_example
from kogpt2_chat.testing.tiny_gpt2 import weights_hash
from kogpt2_chat.training import fit as train
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.lora import add_adapters, merge_adapters
from tests.model.test_packing import EXAMPLES, PACKED, network

pytestmark = pytest.mark.capped
LORA = replace(PACKED, lora_rank=4, learning_rate=2e-2)
IDS = torch.tensor([EXAMPLES[1].ids])


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits


def test_merging_keeps_the_logits():
    """Merged weights give the logits that the adapters gave, and the network has the names that it had before."""
    model, names = network(), list(network().state_dict())
    before = logits(model)
    adapters = add_adapters(model, 4, seed=1)
    assert torch.allclose(logits(model), before, atol=1e-6)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=draw) * 0.1)
    learned = logits(model)
    assert not torch.allclose(learned, before, atol=1e-2)
    merge_adapters(adapters)
    assert torch.allclose(logits(model), learned, atol=1e-4)
    assert list(model.state_dict()) == names
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_training_with_adapters_learns_and_leaves_an_ordinary_network():
    """Only the linear layers of the blocks differ afterwards."""
    model, start = network(), network()
    before = sum(nll_by_example(model, EXAMPLES))
    fit(model, EXAMPLES, replace(LORA, epochs=20))
    assert sum(nll_by_example(model, EXAMPLES)) < 0.95 * before  # the frozen random embeddings allow no more
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, start.state_dict()[name])}
    assert changed == {
        f"transformer.h.{block}.{layer}.weight"
        for block in range(2)
        for layer in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }


def test_a_killed_training_with_adapters_ends_like_an_uninterrupted_one(tmp_path, monkeypatch):
    """The checkpoint contains the adapters and their moments."""
    whole = network(dropout=0.1)
    fit(whole, EXAMPLES, LORA, validation=EXAMPLES[:3])
    step = train._train_step

    def dying(*arguments):
        if arguments[6].step == 5:
            raise KeyboardInterrupt
        step(*arguments)

    monkeypatch.setattr(train, "_train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(network(dropout=0.1), EXAMPLES, LORA, validation=EXAMPLES[:3], resume=tmp_path)
    monkeypatch.setattr(train, "_train_step", step)
    resumed = network(dropout=0.1)
    fit(resumed, EXAMPLES, LORA, validation=EXAMPLES[:3], resume=tmp_path)
    assert weights_hash(resumed) == weights_hash(whole)
