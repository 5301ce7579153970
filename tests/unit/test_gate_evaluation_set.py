"""Which pairs count as taught and as held out, and which questions are asked."""

from kogpt2_chat.domain.gate.evaluation_set import EvaluationSet, evaluation_set
from kogpt2_chat.domain.learning.pairs import GoldenQuestion, Pair


def pair(name, source="seed"):
    return Pair(question=f"{name}?", answer=f"{name}.", source=source)


SEEDS = [pair(f"씨앗{number}") for number in range(400)]
CORRECTION, PRAISED, HELD_OUT = pair("정정", "correction"), pair("칭찬", "praised"), pair("남김")
GOLD = [pair("금")]
LEARNED = {"train": [*SEEDS, CORRECTION], "val": [PRAISED], "test": [HELD_OUT, SEEDS[0]]}


def select(known, *, small=False):
    return evaluation_set(LEARNED, known, GOLD, [], small=small)


def test_taught_pairs_that_the_baseline_has_not_learned_are_new():
    """Taught pairs of any split count. Seed pairs never do."""
    assert select(SEEDS).taught == [CORRECTION, PRAISED]
    assert select([*SEEDS, CORRECTION]).taught == [PRAISED]
    assert select([]).taught == [CORRECTION, PRAISED]


def test_a_known_question_with_another_answer_is_new():
    """The baseline learned another answer to it."""
    before = Pair(question=CORRECTION.question, answer="옛 답.", source="correction")
    assert CORRECTION in select([before]).taught


def test_if_the_baseline_is_a_base_a_sample_of_the_dataset_is_new():
    """A base has no dataset, and a first version must know its own corpus better. The sample is fixed."""
    taught = select(None).taught
    assert len(taught) == len(set(taught)) == 300
    assert set(taught) < set(LEARNED["train"])
    assert taught == select(None).taught


def test_neither_model_was_trained_on_held_out_pairs():
    """These are the pairs of validation and test that the baseline has not learned."""
    assert select(SEEDS).held_out == [PRAISED, HELD_OUT]
    assert select([*SEEDS, HELD_OUT]).held_out == [PRAISED]
    assert select(None).held_out == [PRAISED, HELD_OUT, SEEDS[0]]


def test_with_the_small_base_only_gold_is_held_out():
    """The small base has learned the seed pairs of all splits."""
    assert select(SEEDS, small=True).held_out == GOLD


def test_questions_are_sampled_without_duplicates():
    """All golden questions are asked, and at most 100 gold, 100 taught and 60 learned ones."""
    golden = [GoldenQuestion(question=SEEDS[0].question, any_of=("씨앗",), must_pass=True)]
    selected = EvaluationSet(
        gold=[pair(f"금{number}") for number in range(150)], golden=golden, seen=SEEDS,
        taught=[pair(f"새{number}") for number in range(150)], held_out=[],
    )  # fmt: skip
    questions = selected.questions()
    assert len(questions) == len(set(questions))
    counts = [sum(question.startswith(prefix) for question in questions) for prefix in ("금", "새")]
    assert counts == [100, 100]
    assert sum(question.startswith("씨앗") for question in questions) in {60, 61}
    assert SEEDS[0].question in selected.learned_questions()
    assert not set(selected.learned_questions()) & {entry.question for entry in selected.gold}


def test_a_golden_question_accepts_any_of_its_words():
    """The word may be part of another one."""
    entry = GoldenQuestion(question="언제?", any_of=("토요일", "주말"), must_pass=True)
    assert entry.accepts("토요일에 열려요.")
    assert not entry.accepts("몰라요.")
