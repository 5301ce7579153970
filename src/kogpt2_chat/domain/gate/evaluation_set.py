"""The pairs and questions that a candidate and its baseline are evaluated on, and which of them count as new."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from kogpt2_chat.domain.learning.dataset import Split
from kogpt2_chat.domain.learning.pairs import TAUGHT_SOURCES, GoldenQuestion, Pair

_SEEN: Final = 60
_GOLD_QUESTIONS: Final = 100
_TAUGHT_QUESTIONS: Final = 100
_NEW_AGAINST_A_BASE: Final = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """The pairs and questions that both models are evaluated on.

    Attributes:
        gold: the gold pairs, which no version is trained on.
        golden: questions with words; a correct answer contains at least one of them.
        seen: pairs that the candidate learned.
        taught: pairs that the candidate learned and the baseline did not: those taught by players, or, if the baseline
            is a base, a sample of all.
        held_out: pairs that neither model learned: those of val and test, or the gold pairs for the small base.
    """

    gold: Sequence[Pair]
    golden: Sequence[GoldenQuestion]
    seen: Sequence[Pair]
    taught: Sequence[Pair]
    held_out: Sequence[Pair]

    def questions(self) -> list[str]:
        """Return every question whose answer is evaluated, without duplicates."""
        return list(dict.fromkeys([*(pair.question for pair in self.sampled_gold()), *self.learned_questions()]))

    def sampled_gold(self) -> list[Pair]:
        """Return the sample of gold pairs whose questions are asked; likelihoods are measured on all gold pairs."""
        return _sample(self.gold, _GOLD_QUESTIONS, seed=1)

    def known_pairs(self) -> list[Pair]:
        """Return pairs whose likelihood is compared between two engines."""
        return [*self.sampled_gold(), *self.seen[:_SEEN]]

    def learned_questions(self) -> list[str]:
        """Return the questions whose answers the candidate has learned, and the golden ones.

        Small models answer other questions at random, so those are not used to compare engines.
        """
        # Against a base, `taught` contains up to 300 training pairs, so only a sample of them is asked.
        asked = [*_sample(self.taught, _TAUGHT_QUESTIONS, seed=2), *_sample(self.seen, _SEEN, seed=0)]
        return list(dict.fromkeys([*(pair.question for pair in asked), *(entry.question for entry in self.golden)]))


def evaluation_set(
    learned: Mapping[Split, Sequence[Pair]],
    known_to_baseline: Sequence[Pair] | None,
    gold: Sequence[Pair],
    golden: Sequence[GoldenQuestion],
    *,
    small: bool,
) -> EvaluationSet:
    """Select what both models are evaluated on: what is new and what is held out depends on what they learned.

    Compared with a version, the taught pairs that its dataset lacks are new. A base is not a version of this bot and
    has no dataset, so a sample of the candidate's training pairs counts as new: a first version must be better on its
    own corpus than the base.

    Args:
        learned: the pairs of the candidate's dataset, by split: train, val and test.
        known_to_baseline: the pairs that the baseline was trained on; None if it is a base.
        gold: the gold pairs.
        golden: the golden questions.
        small: whether the candidate was trained from the small base.

    Returns:
        The evaluation set.
    """
    known = {(pair.question, pair.answer) for pair in known_to_baseline or ()}

    def unknown(splits: Iterable[Split]) -> list[Pair]:
        pairs = (pair for split in splits for pair in learned[split])
        return [pair for pair in pairs if (pair.question, pair.answer) not in known]

    if known_to_baseline is None:
        new = _sample(learned["train"], _NEW_AGAINST_A_BASE, seed=0)
    else:
        new = [pair for pair in unknown(learned) if pair.source in TAUGHT_SOURCES]
    # The small base has learned every seed pair, so only the gold set is unseen by both models.
    held_out = gold if small else unknown(("val", "test"))
    return EvaluationSet(gold=gold, golden=golden, seen=learned["train"], taught=new, held_out=held_out)


def _sample(values: Sequence[T], size: int, *, seed: int) -> list[T]:
    """Return a fixed sample of at most ``size`` values, in shuffled order."""
    chosen = list(values)
    random.Random(seed).shuffle(chosen)  # noqa: S311 - a sample, not secrets
    return chosen[:size]
