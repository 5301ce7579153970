"""Training: what is learned, what is not, and that an interruption does not change the result."""

import pytest
import torch

from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.chat.prompt import END_ID
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.network.batches import IGNORED, collate, epoch_batches, make_examples
from kogpt2_chat.network.network import answer_logits, gpt2_config, new_network, nll_by_example
from kogpt2_chat.testing.tiny_gpt2 import LINES, weights_hash
from kogpt2_chat.training import compute
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.recipe import planned_batches
from tests.model.recipes import recipe_with

pytestmark = pytest.mark.capped
PAIRS = [Pair(question=f"질문 {number}번", answer=line) for number, line in enumerate(LINES * 3)]
RECIPE = recipe_with(epochs=3, batch_size=4, learning_rate=1e-3, precision="fp32", checkpoint_every_steps=2)


@pytest.fixture
def examples(tiny):
    return make_examples(PAIRS, load_tokenizer(tiny), 64, 40)


def network(dropout=0.1, vocabulary=1000):
    return new_network(
        gpt2_config(vocabulary=vocabulary, layers=2, width=32, heads=2, positions=128, dropout=dropout), seed=3
    )


def test_only_the_answer_and_its_end_are_targets(examples):
    """The question is never learned; padding is never a target."""
    batch = collate(examples[:5])
    real = batch.targets[: batch.tokens].tolist()
    assert real == [id_ for example in examples[:5] for id_ in example.ids[example.answer_start :]]
    assert real.count(END_ID) == 5
    assert set(batch.targets[batch.tokens :].tolist()) <= {IGNORED}


def test_answer_only_logits_equal_those_of_the_whole_sequence(examples):
    """Projecting fewer positions gives the same logits."""
    model = network().eval()
    batch = collate(examples[:5])
    whole = model(batch.ids).logits[batch.rows, batch.columns]
    assert torch.allclose(answer_logits(model, batch), whole, atol=1e-5)


def test_padding_and_neighbours_do_not_change_a_likelihood(examples):
    """The NLL of an example is the same in a batch and alone."""
    model = network()
    single = [nll_by_example(model, [example])[0] for example in examples]
    assert nll_by_example(model, examples, batch_size=4) == pytest.approx(single, abs=1e-4)


def test_an_epoch_contains_a_pair_as_often_as_its_weight(tiny):
    """A pair with weight 3 is in an epoch three times."""
    pairs = [PAIRS[0], Pair(question="콩떡이 누구야?", answer="고양이 역장님이에요.", weight=3)]
    seen = [
        example
        for batch in epoch_batches(make_examples(pairs, load_tokenizer(tiny), 64, 40), 2, 1, 0)
        for example in batch
    ]
    assert sorted(example.weight for example in seen) == [1, 3, 3, 3]


def test_the_order_depends_on_seed_and_epoch(examples):
    """The same seed and epoch give the same batches, another epoch gives others; each contains every example once."""
    assert epoch_batches(examples, 4, 1, 0) == epoch_batches(examples, 4, 1, 0)
    assert epoch_batches(examples, 4, 1, 0) != epoch_batches(examples, 4, 1, 1)
    assert sorted(example.ids for batch in epoch_batches(examples, 4, 1, 0) for example in batch) == sorted(
        example.ids for example in examples
    )


def test_same_seed_same_weights(examples):
    """Training twice gives the same weights hash; another seed gives another."""
    hashes = []
    for seed in (20, 20, 21):
        model = network()
        fit(model, examples, recipe_with(epochs=2, batch_size=4, learning_rate=1e-3, precision="bf16", seed=seed))
        hashes.append(weights_hash(model))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("kill_at", [1, 2, 5, 9, 14])
def test_a_killed_training_ends_like_an_uninterrupted_one(examples, tmp_path, monkeypatch, kill_at):
    """At whichever step it is killed, the resumed run has the same weights and reports."""
    whole = network()
    reports = fit(whole, examples, RECIPE, validation=examples[:4])

    from kogpt2_chat.training import fit as train

    step = train._train_step

    def dying(model, optimizer, batch, kept, recipe, precision, state, *rest):
        if state.step == kill_at:
            raise KeyboardInterrupt
        step(model, optimizer, batch, kept, recipe, precision, state, *rest)

    monkeypatch.setattr(train, "_train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), examples, RECIPE, validation=examples[:4], resume=tmp_path)
    monkeypatch.setattr(train, "_train_step", step)
    resumed = network()
    again = fit(resumed, examples, RECIPE, validation=examples[:4], resume=tmp_path)
    assert weights_hash(resumed) == weights_hash(whole)
    assert [(report.epoch, report.step, report.loss, report.validation_nll) for report in again] == [
        (report.epoch, report.step, report.loss, report.validation_nll) for report in reports
    ]


def test_a_tiny_corpus_is_learned(examples):
    """The loss falls, and validation is reported for each epoch."""
    model = network(dropout=0.0)
    reports = fit(
        model, examples, recipe_with(epochs=15, batch_size=4, learning_rate=5e-3, precision="fp32"), validation=examples
    )
    assert reports[-1].loss < reports[0].loss / 2
    assert reports[-1].validation_nll < reports[0].validation_nll
    assert not model.training


def test_a_diverging_training_stops_with_a_clear_message(examples):
    """NaN is noticed at its step, and the message says what to do."""
    model = network()
    with torch.no_grad():
        model.transformer.wte.weight[:] = float("nan")
    with pytest.raises(InvalidInput, match="lower the learning rate"):
        fit(model, examples, RECIPE)


def test_an_empty_dataset_is_refused():
    """A training without examples is an input error."""
    with pytest.raises(InvalidInput, match="train split is empty"):
        fit(network(), [], RECIPE)


def test_a_large_corpus_gets_fewer_steps(examples):
    """The budget of answer tokens ends the training, even within an epoch, but after one step at the earliest."""
    everything = planned_batches(examples, RECIPE)
    assert [sum(map(len, batches)) for batches in everything] == [len(examples)] * 3
    tokens = sum(len(example.ids) - example.answer_start for example in examples)
    bounded = recipe_with(epochs=50, batch_size=4, learning_rate=1e-3, answer_tokens=tokens + tokens // 2)
    plan = planned_batches(examples, bounded)
    assert len(plan) == 2
    assert plan[0] == everything[0]
    assert plan[1] == everything[1][: len(plan[1])]
    assert len(plan[1]) < len(everything[1])
    seen = sum(len(example.ids) - example.answer_start for epoch in plan for batch in epoch for example in batch)
    assert tokens * 1.5 <= seen < tokens * 2
    assert (
        len(planned_batches(examples, recipe_with(epochs=50, batch_size=4, learning_rate=1e-3, answer_tokens=1))[0])
        == 1
    )


def test_early_stopping_restores_the_best_epoch(examples, tmp_path):
    """The weights of the best epoch are the result, with and without a folder for checkpoints."""
    recipe = recipe_with(
        epochs=60, batch_size=4, learning_rate=2e-2, precision="fp32", patience=2, checkpoint_every_steps=3
    )
    for resume in (None, tmp_path):
        model = network(dropout=0.0)
        reports = fit(model, examples[:8], recipe, validation=examples[8:], resume=resume)
        nlls = [report.validation_nll for report in reports]
        assert len(nlls) < 60
        assert nlls.index(min(nlls)) == len(nlls) - 3
        found = nll_by_example(model, examples[8:])
        assert sum(found) / len(found) == pytest.approx(min(nlls), abs=1e-5)


def test_bf16_is_chosen_only_if_it_is_faster(monkeypatch):
    """A measurement decides and is reported; a precision in the settings is used without one."""
    lines = []
    for bf16_s, expected in ((0.01, "bf16"), (0.1, "fp32"), (0.09, "fp32")):
        monkeypatch.setattr(compute, "_seconds", lambda precision, _, slow=bf16_s: slow if precision == "bf16" else 0.1)
        assert compute.choose_precision("auto", network(), lines.append) == expected
    assert "10.00 times as fast" in lines[0]
    assert "training in fp32" in lines[1]
    assert compute.choose_precision("bf16", network(), lines.append) == "bf16"
    assert len(lines) == 3


def test_both_precisions_can_be_measured():
    """Each measurement runs forward and backward passes, and returns their time."""
    assert compute._seconds("fp32", 64) > 0
    assert compute._seconds("bf16", 64) > 0
