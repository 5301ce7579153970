"""Decide whether a version's own answer is likely enough, and which answer replaces it if not.

A version contains the pairs whose answers may replace its own, and two thresholds that were fitted on pairs that no
version learns. Below ``least_logprob`` its own answer is replaced. Below ``least_likeness`` the nearest known question
is unrelated to the player's question. The worker and the gate both call this module, so that the gate evaluates the
answers that players get.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from kogpt2_chat.domain.gate.wilson import ONE_SIDED_95, wilson
from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.nearest import Found, Known, NearestQuestions
from kogpt2_chat.settings import Settings

FILE: Final = "uncertain.json"
AnswerOrigin = Literal["model", "nearest", "unsure"]
WhenUnsure = Literal["model", "nearest", "notice"]
_UNSURE_SHARE: Final = 0.3
"""Share of dev questions below ``least_likeness``. Everyday questions are less unusual: about one in eight is below."""
_LEAST_LIKENESS: Final = 0.2
_CLEAR_MAJORITY: Final = 2 / 3
"""Compared with one reference, a random answer is at least as close as the nearest one in half of the cases, so a half
is not evidence."""
"""One-sided 95 % quantile of the normal distribution."""
_NEVER: Final = 0.0
"""No log-probability is above 0, so the model's own answer is almost never used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The thresholds of one version.

    Attributes:
        least_logprob: lowest log-probability, in nats per token, at which the model's own answer is used.
        least_likeness: lowest likeness, 0 to 1, at which the nearest known answer is used.
        dev_pairs: number of pairs that the thresholds were fitted on.
    """

    least_logprob: float
    least_likeness: float
    dev_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DevResult:
    """The result of one dev question, for fitting.

    Attributes:
        logprob: of the model's own answer.
        likeness: of the nearest known question.
        own: how close the model's own answer is to the reference, by any measure where higher is better.
        nearest: the same for the nearest known answer.
    """

    logprob: float
    likeness: float
    own: float
    nearest: float


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """One version's thresholds and known pairs."""

    thresholds: Thresholds
    known: NearestQuestions

    def is_sure(self, logprob: float) -> bool:
        """Check whether the model's own answer is likely enough to be used."""
        return logprob >= self.thresholds.least_logprob

    def find(self, question: str) -> Found | None:
        """Return the nearest known question; None if it is not similar enough for its answer to be used."""
        found = self.known.find(question)
        return found if found and found.likeness >= self.thresholds.least_likeness else None


def choose_answer(
    uncertainty: Uncertainty | None, choice: WhenUnsure, logprob: float, question: str
) -> tuple[AnswerOrigin, Found | None]:
    """Decide which answer a player gets.

    Args:
        uncertainty: thresholds and pairs of the version; None if the version has none.
        choice: from the settings: the answer to use if the version is unsure.
        logprob: of the model's own answer.
        question: as the player asked it.

    Returns:
        The origin of the answer, and the nearest known question if its answer is used.
    """
    if uncertainty is None or choice == "model" or uncertainty.is_sure(logprob):
        return "model", None
    found = uncertainty.find(question) if choice == "nearest" else None
    return ("nearest", found) if found else ("unsure", None)


def when_unsure(settings: Settings, bot: str, *, small: bool) -> WhenUnsure:
    """Return the answer that a bot uses if its version is unsure: its setting, or a default by the size of its base."""
    return settings.serving.uncertain.get(bot) or ("nearest" if small else "model")


def fit_thresholds(trials: Sequence[DevResult]) -> Thresholds:
    """Find the lowest log-probability down to which the model's answers are no worse than the nearest ones.

    Answers are accepted in order of log-probability, the highest first. The threshold is at the last answer before the
    first one that is worse than the nearest answer. It is lower only if, with 95 % confidence, at least two thirds of
    all answers accepted down to there are no worse than the nearest ones.

    Args:
        trials: at least one.

    Returns:
        The thresholds.
    """
    likeliest_first = sorted(trials, key=lambda trial: -trial.logprob)
    least, good = _NEVER, 0
    for count, trial in enumerate(likeliest_first, start=1):
        good += trial.own >= trial.nearest
        if good == count or wilson(good, count, ONE_SIDED_95)[0] >= _CLEAR_MAJORITY:
            least = trial.logprob
    ordered = sorted(trial.likeness for trial in trials)
    floor = max(_LEAST_LIKENESS, ordered[int(_UNSURE_SHARE * len(ordered))])
    return Thresholds(least_logprob=least, least_likeness=floor, dev_pairs=len(trials))


def known_pairs(pairs: Sequence[Pair]) -> list[Known]:
    """Return a dataset's pairs as known questions: seed pairs first, pairs taught by players last."""
    ordered = sorted(pairs, key=lambda pair: pair.source != "seed")
    return [
        Known(question=pair.question, answer=pair.answer, source=pair.source, turn_id=pair.turn_id) for pair in ordered
    ]


def as_text(thresholds: Thresholds, known: Sequence[Known]) -> str:
    """Return the content of the file that :func:`read_uncertainty` reads."""
    content = {
        "v": 1,
        "least_logprob": thresholds.least_logprob,
        "least_likeness": thresholds.least_likeness,
        "dev_pairs": thresholds.dev_pairs,
        "known": [[pair.question, pair.answer, pair.source] for pair in known],
        # By itself, so that a worker of an earlier release can read the pairs.
        "turn_ids": [pair.turn_id for pair in known],
    }
    return json.dumps(content, ensure_ascii=False, indent=0)


def read_uncertainty(folder: Path) -> Uncertainty | None:
    """Read a version's thresholds and known pairs. Return None if the version has none and always uses its own answer.

    Raises:
        CheckpointCorrupt: the file cannot be read or its content is invalid.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        thresholds = Thresholds(
            least_logprob=float(content["least_logprob"]),
            least_likeness=float(content["least_likeness"]),
            dev_pairs=int(content["dev_pairs"]),
        )
        rows = content["known"]
        turn_ids = content.get("turn_ids", [""] * len(rows))  # a file of an earlier release has none
        known = [
            Known(question=str(question), answer=str(answer), source=str(source), turn_id=str(turn_id))
            for (question, answer, source), turn_id in zip(rows, turn_ids, strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointCorrupt(f"{path} is unreadable ({error}): take the previous version") from error
    return Uncertainty(thresholds, NearestQuestions(known))
