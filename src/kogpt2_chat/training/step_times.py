"""Time a few steps of each kind on a base, and count the steps of a demo's trainings and evaluations with it.

This runs in a process of its own, ``python -m kogpt2_chat.training.step_times JSON``, whose memory is free again when
it ends. It uses the base's weights, the bots' own pairs and the recipes of real trainings, so it follows their changes.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Final

from kogpt2_chat.corpora.shipped import read_golden, read_pairs
from kogpt2_chat.domain.chat.prompt import bot_token_ids
from kogpt2_chat.domain.gate.evaluation_set import evaluation_set
from kogpt2_chat.domain.learning.cleaning import phrase_key
from kogpt2_chat.domain.learning.dataset import SPLITS, PairKeys, Split, assign_splits
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.evaluation.answers import generate_answers
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.network.batches import Example, make_examples
from kogpt2_chat.network.checkpoint import load_checkpoint
from kogpt2_chat.network.load import LoadedBot, in_memory, use_threads
from kogpt2_chat.network.network import nll_by_example
from kogpt2_chat.settings import Settings, load_settings
from kogpt2_chat.training.curriculum import Curriculum, plan_training
from kogpt2_chat.training.fit import fit
from kogpt2_chat.training.measured_steps import Asked, Counted, StepTimes
from kogpt2_chat.training.recipe import planned_batches

_FORWARD_ROWS: Final = 32
_DECODE_STEPS: Final = 6
_MEMORISED_ROWS: Final = 400
"""Rows that a training checks at its end."""
_EXTRA_ANSWERS: Final = 50
"""Answers that a training generates besides those to the dev questions."""
_USUAL_SHARE: Final = 2 / 3
"""Training on a champion ends once all lessons are learned, usually after this share of its epochs."""


def measure(asked: Asked, settings: Settings) -> StepTimes:
    """Time the steps with the first bot's pairs, and count those of all bots."""
    started = time.perf_counter()
    use_threads(settings)
    loaded = load_checkpoint(Path(asked.base))
    bots = {
        bot: replace(in_memory(loaded, loaded.card, settings), first_ids=bot_token_ids(bot)) for bot in asked.lessons
    }
    work = {bot: _Work(bot, count, settings, small=loaded.card.small) for bot, count in asked.lessons.items()}
    name, bot = next(iter(bots.items()))
    rows = _examples(bot, work[name].train[:_FORWARD_ROWS], settings)
    return StepTimes(
        token_s=_token_s(bot, work[name].train, settings),
        row_s=_row_s(bot, rows),
        first_step_s=_first_step_s(bot, work[name].first_plan(), settings),
        later_step_s=_later_step_s(bot, work[name].later_plan(), settings),
        weights=sum(weight.numel() for weight in loaded.network.parameters()),
        first={name: work[name].first(bots[name]) for name in bots},
        later={name: work[name].later(bots[name], contradicts=name in asked.contradicting) for name in bots},
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        measured_s=time.perf_counter() - started,
    )


class _Work:
    """The pairs of a bot, divided as a dataset does, and what is counted on them."""

    def __init__(self, bot: str, lessons: int, settings: Settings, *, small: bool) -> None:
        folder = settings.learning.corpora / bot
        pairs = read_pairs(folder / "seed.csv")
        keys = [PairKeys(question_key=phrase_key(one.question), answer_key=phrase_key(one.answer)) for one in pairs]
        by_split: dict[Split, list[Pair]] = {split: [] for split in SPLITS}
        for pair, assigned in zip(pairs, assign_splits(keys), strict=True):
            by_split[assigned.split].append(pair)
        self.train, self.val, self.test = by_split["train"], by_split["val"], by_split["test"]
        weight = settings.training.new_pair_weight
        self.lessons = [replace(pair, source="correction", weight=weight) for pair in self.train[:lessons]]
        self.golden = read_golden(folder / "golden.json")
        self.gold = read_pairs(folder / "gold.csv")
        self.dev = len(read_pairs(folder / "dev.csv")) if (folder / "dev.csv").is_file() else 0
        self.small, self.settings = small, settings

    def first_plan(self) -> Curriculum:
        return self._plan(self.train, ())

    def later_plan(self) -> Curriculum:
        known = self.train[len(self.lessons) :]
        return self._plan([*self.lessons, *known], known)

    def first(self, bot: LoadedBot) -> Counted:
        steps, epochs = _steps(self.first_plan(), bot, self.settings)
        splits: dict[Split, Sequence[Pair]] = {"train": self.train, "val": self.val, "test": self.test}
        found = evaluation_set(splits, None, self.gold, self.golden, small=self.small)
        rows = len(found.gold) + len(found.taught) + (0 if found.held_out is found.gold else len(found.held_out))
        questions = len(found.questions())
        return self._counted(bot, steps, epochs * len(self.val), 2 * rows, questions, questions)

    def later(self, bot: LoadedBot, *, contradicts: bool) -> Counted:
        steps, epochs = _steps(self.later_plan(), bot, self.settings)
        share = 1.0 if contradicts else _USUAL_SHARE
        epochs, steps = math.ceil(epochs * share), math.ceil(steps * share)
        splits: dict[Split, Sequence[Pair]] = {
            "train": [*self.lessons, *self.train[len(self.lessons) :]], "val": self.val, "test": self.test,
        }  # fmt: skip
        # The lessons stand for new pairs, so the rest of the dataset is what the champion knows.
        known = [*self.train[len(self.lessons) :], *self.val, *self.test]
        found = evaluation_set(splits, known, self.gold, self.golden, small=self.small)
        questions = len(found.questions())
        rows = 2 * (len(found.gold) + len(found.taught))
        return self._counted(bot, steps, epochs * (len(self.val) + len(self.lessons)), rows, 2 * questions, questions)

    def _plan(self, pairs: Sequence[Pair], known: Sequence[Pair]) -> Curriculum:
        must = {entry.question for entry in self.golden if entry.must_pass}
        known_texts = {(pair.question, pair.answer) for pair in known}
        return plan_training(pairs, known_texts, must, self.settings, epochs=None, small=self.small)

    def _counted(self, bot: LoadedBot, steps: int, validated: int, rows: int, reference: int, served: int) -> Counted:
        examples = _examples(bot, self.train, self.settings)
        return Counted(
            steps=steps,
            trained_rows=validated + _MEMORISED_ROWS,
            trained_answers=self.dev + _EXTRA_ANSWERS,
            evaluated_rows=rows,
            evaluated_answers=reference,
            served_answers=served,
            answer_tokens=fmean(len(example.ids) - example.answer_start for example in examples),
        )


def _steps(plan: Curriculum, bot: LoadedBot, settings: Settings) -> tuple[int, int]:
    """Return the number of steps and epochs of a training."""
    batches = planned_batches(_examples(bot, plan.learned, settings), plan.recipe)
    return sum(map(len, batches)), len(batches)


def _first_step_s(bot: LoadedBot, plan: Curriculum, settings: Settings) -> float:
    examples = [replace(one, weight=1) for one in _examples(bot, plan.learned, settings)]
    recipe = replace(plan.recipe, epochs=3, answer_tokens=0, learning_rate=1e-9)
    return _last_epoch_s(bot, examples[: recipe.batch_size], [], replace(plan, recipe=recipe))


def _later_step_s(bot: LoadedBot, plan: Curriculum, settings: Settings) -> float:
    learned = [replace(one, weight=1) for one in _examples(bot, plan.learned, settings)]
    kept = [replace(one, weight=1) for one in _examples(bot, plan.kept, settings)]
    recipe = replace(plan.recipe, epochs=3, answer_tokens=0, learning_rate=1e-9, until_known=False)
    return _last_epoch_s(bot, (learned * recipe.batch_size)[: recipe.batch_size], kept, replace(plan, recipe=recipe))


def _last_epoch_s(bot: LoadedBot, examples: list[Example], kept: list[Example], plan: Curriculum) -> float:
    """Train for three epochs of one step each, and return the time between the ends of the last two."""
    ends: list[float] = []
    fit(bot.network, examples, plan.recipe, kept=kept, on_epoch=lambda _: ends.append(time.perf_counter()))
    return ends[-1] - ends[-2]


def _row_s(bot: LoadedBot, rows: Sequence[Example]) -> float:
    started = time.perf_counter()
    nll_by_example(bot.network, rows)
    return (time.perf_counter() - started) / len(rows)


def _token_s(bot: LoadedBot, pairs: Sequence[Pair], settings: Settings) -> float:
    """Time a busy engine with few tokens, and return the time of each token."""
    questions = [pair.question for pair in pairs[: settings.serving.max_batch]]
    engine = TransformersEngine(max_batch=settings.serving.max_batch, max_new_tokens=_DECODE_STEPS)
    started = time.perf_counter()
    answers = generate_answers(engine, bot, questions)
    return (time.perf_counter() - started) / sum(len(answer.token_ids) + 1 for answer in answers)


def _examples(bot: LoadedBot, pairs: Sequence[Pair], settings: Settings) -> list[Example]:
    return make_examples(pairs, bot.tokenizer, bot.max_prompt_tokens, settings.model.max_new_tokens, bot.first_ids)


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Asked(**json.loads(sys.argv[1])), load_settings()))))  # noqa: T201
