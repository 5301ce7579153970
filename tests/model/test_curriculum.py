"""The pairs of a training: all pairs from a base, new pairs from a champion; and how known pairs are kept."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.network.batches import make_examples
from kogpt2_chat.network.network import gpt2_config, new_network, reproduces_answers
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.curriculum import MUST_WEIGHT, plan_training
from kogpt2_chat.training.distillation import KeptPredictions
from kogpt2_chat.training.fit import fit
from tests.model.recipes import recipe_with

SEEDS = [Pair(question=f"질문 {n}", answer=f"대답 {n}이에요.") for n in range(6)]
NEW_PAIR = Pair(question="콩떡이 누구야?", answer="고양이 역장님이에요.", source="correction", weight=12)


def plan(pairs, known=(), must=(), training=None, **how):
    settings = Settings(training=training or {})
    return plan_training(pairs, set(known), set(must), settings, **{"epochs": None, "small": True, **how})


def test_from_a_base_all_pairs_are_learned_and_must_pass_questions_have_more_weight():
    """One epoch from the small base, more from KoGPT2; taught pairs keep their weight."""
    found = plan([*SEEDS, NEW_PAIR], must={"질문 3"})
    assert [pair.weight for pair in found.learned] == [1, 1, 1, MUST_WEIGHT, 1, 1, 12]
    assert found.kept == ()
    assert found.recipe.epochs == 1
    assert plan(SEEDS, small=False).recipe.epochs > 1
    assert plan(SEEDS, epochs=7).recipe.epochs == 7
    assert plan(SEEDS, small=False).recipe.learning_rate < found.recipe.learning_rate


def test_the_fast_form_of_training_is_that_of_the_bases_size():
    """KoGPT2 is trained in packed rows without dropout; the small base keeps the recipe that it was made with."""
    small, large = plan(SEEDS).recipe, plan(SEEDS, small=False).recipe
    assert (small.examples_per_row, small.dropout, small.lora_rank) == (1, 0.1, 0)
    assert large.examples_per_row > 1
    assert (large.dropout, large.lora_rank) == (0.0, 0)
    assert (small.batch_size, large.batch_size) == (32, 64)
    assert plan(SEEDS, small=False, training={"batch_size": 16}).recipe.batch_size == 16


def test_adapters_have_a_learning_rate_of_their_own():
    """They start at 0 and need a higher one; a learning rate in the settings has priority."""
    adapted = plan(SEEDS, small=False, training={"lora_rank": 8}).recipe
    assert adapted.lora_rank == 8
    assert adapted.learning_rate > plan(SEEDS, small=False).recipe.learning_rate
    assert plan(SEEDS, small=False, training={"lora_rank": 8, "learning_rate": 2e-4}).recipe.learning_rate == 2e-4


def test_from_a_champion_only_new_pairs_are_learned_and_the_others_kept():
    """A corrected seed pair is neither learned nor kept: its question has another answer now."""
    corrected = Pair(question="질문 0", answer="새 대답이에요.", source="correction", weight=12)
    known = {(pair.question, pair.answer) for pair in SEEDS}
    found = plan([corrected, *SEEDS[1:], NEW_PAIR], known)
    assert list(found.learned) == [corrected, NEW_PAIR]
    assert [pair.question for pair in found.kept] == [pair.question for pair in SEEDS[1:]]
    assert found.recipe.until_known
    assert found.recipe.learning_rate < plan(SEEDS).recipe.learning_rate


def test_a_correction_of_a_must_pass_question_keeps_its_weight():
    """The gate expects the corpus's answer, so a correction does not get the weight of must-pass seeds."""
    corrected = Pair(question="질문 0", answer="저리 가요.", source="correction", weight=12)
    found = plan([corrected, *SEEDS[1:]], must={"질문 0", "질문 1"})
    assert [pair.weight for pair in found.learned] == [12, MUST_WEIGHT, 1, 1, 1, 1]


def test_a_champion_that_knows_all_pairs_learns_all_of_them_again():
    """A forced training without new pairs is not empty."""
    found = plan(SEEDS, {(pair.question, pair.answer) for pair in SEEDS})
    assert len(found.learned) == len(SEEDS)
    assert not found.kept


@pytest.fixture
def learned(tiny):
    """A network that knows its seeds by heart, their examples, and the example of a new pair."""
    tokenizer = load_tokenizer(tiny)
    examples = make_examples(SEEDS, tokenizer, 64, 40)
    config = gpt2_config(vocabulary=tokenizer.size, layers=2, width=64, heads=2, positions=128, dropout=0.0)
    network = new_network(config, 3)
    fit(
        network, examples, recipe_with(epochs=400, batch_size=2, learning_rate=3e-3, precision="fp32", until_known=True)
    )
    assert all(reproduces_answers(network, examples))
    return network, examples, make_examples([NEW_PAIR], tokenizer, 64, 40)


def divergence_after(learned, **how):
    network, examples, new = learned
    recipe = recipe_with(epochs=60, batch_size=1, learning_rate=2e-3, precision="fp32", until_known=True, **how)
    before = KeptPredictions(network, examples, replace(recipe, kept_rows=len(examples)), "fp32")
    fit(network, new, recipe, kept=examples)
    assert all(reproduces_answers(network, new))
    with torch.no_grad():
        return float(before.divergence(network, 0)[0])


def test_new_pairs_are_learned_exactly_and_kept_predictions_stay(learned):
    """Predictions on known pairs change far less than without the loss term that keeps them."""
    start = {name: weight.clone() for name, weight in learned[0].state_dict().items()}
    held = divergence_after(learned, kept_weight=8.0)
    learned[0].load_state_dict(start)
    free = divergence_after(learned, kept_weight=0.0)
    assert held < free / 2


def test_packed_rows_diverge_as_padded_ones_do(learned):
    """How many examples share a row changes neither the divergence nor the number of its tokens."""
    network, examples, _new = learned
    network.eval()
    changed = deepcopy(network)
    with torch.no_grad():
        for weight in changed.parameters():
            weight.mul_(1.05)
    found = []
    for per_row in (1, 3):
        kept = KeptPredictions(
            network,
            examples,
            recipe_with(epochs=1, batch_size=1, learning_rate=1e-3, examples_per_row=per_row, kept_rows=5),
            "fp32",
        )
        with torch.no_grad():
            found.append(kept.divergence(changed, 4))
    (padded, tokens), (packed, packed_tokens) = found
    assert float(padded) > 0.001
    assert float(packed) == pytest.approx(float(padded), rel=1e-4)
    assert packed_tokens == tokens


def test_in_bf16_too_nothing_diverges_at_first(learned):
    """Both networks compute in the same precision: else rounding would look like forgetting."""
    network, examples, _new = learned
    network.eval()
    recipe = recipe_with(epochs=1, batch_size=1, learning_rate=1e-3, examples_per_row=3, kept_rows=5)
    kept = KeptPredictions(network, examples, recipe, "bf16")
    with torch.no_grad():
        assert float(kept.divergence(network, 0)[0]) == 0.0


def test_training_ends_when_all_pairs_are_known(learned):
    """It ends before the last epoch of the recipe."""
    network, _, new = learned
    reports = fit(
        network, new, recipe_with(epochs=500, batch_size=1, learning_rate=2e-3, precision="fp32", until_known=True)
    )
    assert len(reports) < 500


def test_a_network_knows_only_exact_answers(learned):
    """One different token is enough for an answer to count as unknown."""
    network, examples, new = learned
    assert reproduces_answers(network, [*examples, *new]) == [True] * len(examples) + [False]
