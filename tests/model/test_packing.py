"""Packed rows: the loss and the gradients are those of padded rows, and examples in a row do not see each other."""

from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID
from kogpt2_chat.network.batches import Example, collate, epoch_batches, pack
from kogpt2_chat.network.network import answer_logits, gpt2_config, new_network, nll_by_example, reproduces_answers
from kogpt2_chat.testing.tiny_gpt2 import weights_hash
from kogpt2_chat.training.fit import fit
from tests.model.recipes import recipe_with

pytestmark = pytest.mark.capped
LENGTHS = (5, 12, 7, 9, 3, 12, 6, 8, 11)
EXAMPLES = [
    Example(ids=tuple(range(20 + 3 * number, 20 + 3 * number + length)), answer_start=1 + length // 3)
    for number, length in enumerate(LENGTHS)
]
PACKED = recipe_with(
    epochs=3, batch_size=4, examples_per_row=2, learning_rate=1e-3, precision="fp32", checkpoint_every_steps=2
)


def network(dropout=0.0):
    return new_network(gpt2_config(vocabulary=100, layers=2, width=32, heads=2, positions=64, dropout=dropout), seed=3)


def loss_and_gradients(model, batch):
    loss = functional.cross_entropy(answer_logits(model, batch).float(), batch.targets)
    return loss.detach(), torch.autograd.grad(loss, list(model.parameters()))


@pytest.mark.parametrize("per_row", [2, 3, 9])
def test_packing_changes_neither_loss_nor_gradients(per_row):
    """They are those of the padded batch, whatever else is in a row."""
    model = network()
    padded_loss, padded = loss_and_gradients(model, collate(EXAMPLES))
    packed_loss, packed = loss_and_gradients(model, pack(EXAMPLES, per_row))
    assert packed_loss.item() == pytest.approx(padded_loss.item(), abs=1e-5)
    for one, other in zip(padded, packed, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_no_gradient_reaches_a_neighbour_in_the_row():
    """The loss of one example has no gradient with respect to the embedded tokens of the others and of the padding."""
    model = network()
    batch = pack(EXAMPLES, 9)
    embedded = model.transformer.wte(batch.ids).detach().requires_grad_()
    hidden = model.transformer(
        inputs_embeds=embedded, position_ids=batch.positions, attention_mask=batch.mask
    ).last_hidden_state
    starts = (batch.positions[0] == 0).nonzero().flatten().tolist()
    third = slice(starts[2], starts[3])
    found = torch.autograd.grad(hidden[0, third].square().sum(), embedded)[0][0].abs().sum(-1)
    assert found[third].gt(0).all()
    found[third] = 0
    assert found.sum() == 0


def test_packed_rows_contain_every_example_once_and_little_else():
    """Rows of a batch have about the same length, so few positions are padding."""
    batch = pack(EXAMPLES, 3)
    assert batch.ids.shape == (3, 28)
    assert sum(LENGTHS) == 73
    found = [tuple(row[start:end].tolist()) for row, start, end in _segments(batch)]
    assert all(any(ids[: len(example.ids)] == example.ids for ids in found) for example in EXAMPLES)
    assert batch.tokens == collate(EXAMPLES).tokens


def _segments(batch):
    for row, positions in zip(batch.ids, batch.positions, strict=True):
        starts = [*(positions == 0).nonzero().flatten().tolist(), len(row)]
        yield from ((row, start, end) for start, end in pairwise(starts))


def test_batches_to_be_packed_are_not_sorted_by_length():
    """A batch of examples of one length would be less varied; packed rows have no padding to save."""
    many = EXAMPLES * 8
    spread = [
        max(len(example.ids) for example in batch) - min(len(example.ids) for example in batch)
        for batch in epoch_batches(many, 6, 1, 0, by_length=False)
    ]
    assert sum(spread) / len(spread) > 5
    assert sorted(
        example.ids for batch in epoch_batches(many, 6, 1, 0, by_length=False) for example in batch
    ) == sorted(example.ids for example in many)


def test_an_unknown_token_is_never_a_target():
    """A tokenizer without bytes writes rare characters as ``<unk>``; a bot must not learn to say that."""
    example = Example(ids=(10, 11, 12, UNKNOWN_ID, 13, 1), answer_start=2)
    for batch in (collate([example, EXAMPLES[0]]), pack([example, EXAMPLES[0]], 2)):
        assert UNKNOWN_ID not in batch.targets.tolist()
        assert batch.tokens == 3 + len(EXAMPLES[0].ids) - EXAMPLES[0].answer_start
    model = network()
    only_unknown = [Example(ids=(10, 11, UNKNOWN_ID, UNKNOWN_ID, 1), answer_start=2)]
    assert nll_by_example(model, only_unknown)[0] > 0
    assert reproduces_answers(model, only_unknown) == [False]


def test_a_training_on_unknown_tokens_does_not_make_them_likelier():
    """Otherwise the bot says ``<unk>`` where it learned a rare character."""
    examples = [Example(ids=(10 + number, 11, UNKNOWN_ID, UNKNOWN_ID, 1), answer_start=2) for number in range(8)]
    model = network()
    fit(model, examples, recipe_with(epochs=10, batch_size=4, learning_rate=1e-2, precision="fp32"))
    with torch.no_grad():
        likely = model(torch.tensor([examples[0].ids])).logits[0, 1].softmax(-1)
    assert likely[UNKNOWN_ID] < 0.01


@pytest.mark.parametrize("kill_at", [1, 4])
def test_a_killed_packed_training_ends_like_an_uninterrupted_one(tmp_path, monkeypatch, kill_at):
    """Which examples share a row is the same after a resumption."""
    from kogpt2_chat.training import fit as train

    whole = network(dropout=0.1)
    fit(whole, EXAMPLES, PACKED)
    step = train._train_step

    def dying(*arguments):
        if arguments[6].step == kill_at:
            raise KeyboardInterrupt
        step(*arguments)

    monkeypatch.setattr(train, "_train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(network(dropout=0.1), EXAMPLES, PACKED, resume=tmp_path)
    monkeypatch.setattr(train, "_train_step", step)
    resumed = network(dropout=0.1)
    fit(resumed, EXAMPLES, PACKED, resume=tmp_path)
    assert weights_hash(resumed) == weights_hash(whole)
