"""The question to :mod:`kogpt2_chat.training.step_times`, its answer, and how to run it. Does not import torch."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

_MODULE: Final = "kogpt2_chat.training.step_times"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to measure.

    Attributes:
        base: folder of the prepared base.
        lessons: number of lessons that each bot will be taught; its keys are the bots.
        contradicting: bots whose lessons contradict what they know, which takes all epochs.
    """

    base: str
    lessons: Mapping[str, int]
    contradicting: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The work of one training and its evaluation.

    Attributes:
        steps: optimizer steps.
        trained_rows: rows whose likelihood the training measures.
        trained_answers: answers that it generates.
        evaluated_rows: rows whose likelihood the evaluation measures, on both models together.
        evaluated_answers: answers that the evaluation generates on the reference engine.
        served_answers: the same on the serving engine.
        answer_tokens: mean length of an answer.
    """

    steps: int
    trained_rows: int
    trained_answers: int
    evaluated_rows: int
    evaluated_answers: int
    served_answers: int
    answer_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """Measured times, and the counts that they are multiplied with.

    Attributes:
        first_step_s: one step of a training from the base.
        later_step_s: one step of a training from a champion.
        row_s: likelihood of one pair.
        token_s: one token of an answer, of many that are generated together.
        measured_s: duration of all of this, without the start of the process.
        peak_mb: largest resident memory, in MiB: that of a training.
        weights: number of weights.
        first: the work of version 1, by bot.
        later: the work of version 2, by bot.
    """

    first_step_s: float
    later_step_s: float
    row_s: float
    token_s: float
    measured_s: float
    peak_mb: int
    weights: int
    first: Mapping[str, Counted]
    later: Mapping[str, Counted]


def command(asked: Asked) -> list[str]:
    """Return the command that measures and prints the result as JSON on its last line."""
    return [sys.executable, "-m", _MODULE, json.dumps(asdict(asked))]


def parse(text: str) -> StepTimes:
    """Read what the command printed.

    Raises:
        ValueError: it is not the result of the command.
        TypeError: the same, with other fields.
    """
    found = json.loads(text.strip().rpartition("\n")[2])
    first, later = (
        {bot: Counted(**counted) for bot, counted in found.pop(name).items()} for name in ("first", "later")
    )
    return StepTimes(**found, first=first, later=later)
