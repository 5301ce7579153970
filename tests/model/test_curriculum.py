"""What a training shows: everything from a base, lessons from a champion; and what must not be unlearned."""

import pytest
import torch

from kogpt2_chat.artifact.tokenizer import load_tokenizer
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.network.batches import make_examples
from kogpt2_chat.network.network import gpt2_config, knows, new_network
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.curriculum import MUST_WEIGHT, plan_training
from kogpt2_chat.training.distillation import Kept
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.recipe import Recipe

SEEDS = [Pair(question=f"질문 {n}", answer=f"대답 {n}이에요.") for n in range(6)]
LESSON = Pair(question="콩떡이 누구야?", answer="고양이 역장님이에요.", source="correction", weight=12)


def plan(pairs, known=(), must=(), **how):
    return plan_training(pairs, set(known), set(must), Settings(), **{"epochs": None, "small": True, **how})


def test_from_a_base_everything_is_learned_and_what_must_be_known_more_often():
    """One epoch from the small base, more from KoGPT2; taught pairs keep their weight."""
    found = plan([*SEEDS, LESSON], must={"질문 3"})
    assert [pair.weight for pair in found.learned] == [1, 1, 1, MUST_WEIGHT, 1, 1, 12]
    assert found.kept == ()
    assert found.recipe.epochs == 1
    assert plan(SEEDS, small=False).recipe.epochs > 1
    assert plan(SEEDS, epochs=7).recipe.epochs == 7
    assert plan(SEEDS, small=False).recipe.learning_rate < found.recipe.learning_rate


def test_from_a_champion_only_what_is_new_is_learned_and_the_rest_kept():
    """A pair that was corrected away is neither: its question has another answer now."""
    corrected = Pair(question="질문 0", answer="새 대답이에요.", source="correction", weight=12)
    known = {(pair.question, pair.answer) for pair in SEEDS}
    found = plan([corrected, *SEEDS[1:], LESSON], known)
    assert list(found.learned) == [corrected, LESSON]
    assert [pair.question for pair in found.kept] == [pair.question for pair in SEEDS[1:]]
    assert found.recipe.until_known
    assert found.recipe.learning_rate < plan(SEEDS).recipe.learning_rate


def test_a_correction_of_what_must_be_known_is_a_lesson_like_any_other():
    """The gate asks for the corpus' answer; whoever teaches another one is not heard twice as loud."""
    corrected = Pair(question="질문 0", answer="저리 가요.", source="correction", weight=12)
    found = plan([corrected, *SEEDS[1:]], must={"질문 0", "질문 1"})
    assert [pair.weight for pair in found.learned] == [12, MUST_WEIGHT, 1, 1, 1, 1]


def test_a_champion_that_knows_everything_sees_everything_once_more():
    """A forced training with nothing new is no empty one."""
    found = plan(SEEDS, {(pair.question, pair.answer) for pair in SEEDS})
    assert len(found.learned) == len(SEEDS)
    assert not found.kept


@pytest.fixture
def learned(tiny):
    """A network that knows its seeds by heart, and their examples."""
    tokenizer = load_tokenizer(tiny)
    examples = make_examples(SEEDS, tokenizer, 64, 40)
    config = gpt2_config(vocabulary=tokenizer.size, layers=2, width=64, heads=2, positions=128, dropout=0.0)
    network = new_network(config, 3)
    fit(network, examples, Recipe(epochs=400, batch_size=2, learning_rate=3e-3, precision="fp32", until_known=True))
    assert all(knows(network, examples))
    return network, examples, make_examples([LESSON], tokenizer, 64, 40)


def divergence_after(learned, **how):
    network, examples, lesson = learned
    before = Kept(network, examples, len(examples), 1)
    recipe = Recipe(epochs=60, batch_size=1, learning_rate=2e-3, precision="fp32", until_known=True, **how)
    fit(network, lesson, recipe, kept=examples)
    assert all(knows(network, lesson))
    with torch.no_grad():
        return float(before.divergence(network, 0)[0])


def test_lessons_are_learned_to_the_letter_and_what_is_kept_stays(learned):
    """Predictions on what was known move far less than they do without holding them."""
    start = {name: weight.clone() for name, weight in learned[0].state_dict().items()}
    held = divergence_after(learned, kept_weight=8.0)
    learned[0].load_state_dict(start)
    free = divergence_after(learned, kept_weight=0.0)
    assert held < free / 2


def test_training_ends_when_all_is_known(learned):
    """Not at the last epoch that was allowed."""
    network, _, lesson = learned
    reports = fit(
        network, lesson, Recipe(epochs=500, batch_size=1, learning_rate=2e-3, precision="fp32", until_known=True)
    )
    assert len(reports) < 500


def test_a_network_knows_only_what_it_says_to_the_letter(learned):
    """One token that differs is enough."""
    network, examples, lesson = learned
    assert knows(network, [*examples, *lesson]) == [True] * len(examples) + [False]
