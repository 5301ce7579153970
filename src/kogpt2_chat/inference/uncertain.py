"""Whether a version's own answer is likely enough to be said, and what is said in its place.

A version carries the pairs that it may fall back on, and two thresholds that were fitted to it on pairs nobody had
learned: below ``least_logprob`` its own answer gives way, below ``least_likeness`` the nearest known question has
nothing to do with what was asked. The worker and the gate both decide here, so that what is judged is what is heard.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from kogpt2_chat.domain.learning.pairs import Pair
from kogpt2_chat.errors import CheckpointCorrupt
from kogpt2_chat.inference.nearest import Found, Known, NearestQuestions
from kogpt2_chat.settings import Settings

FILE: Final = "uncertain.json"
Speaker = Literal["model", "nearest", "unsure"]
Choice = Literal["model", "nearest", "notice"]
_UNSURE_SHARE: Final = 0.3
"""Of the dev questions, which are odder than what most visitors ask: of everyday ones that leaves about an eighth."""
_LEAST_LIKENESS: Final = 0.2
_CLEARLY_MOST: Final = 2 / 3
"""Against one reference, noise is as close as the nearest answer in every second case; a half would prove nothing."""
_Z_95: Final = 1.645
"""One-sided."""
_NEVER: Final = 0.0
"""No log-probability is above it: the model gives way to the nearest answer always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Fitted to one version.

    Attributes:
        least_logprob: nat a token; the model's own answer is said from here on.
        least_likeness: 0 to 1; the nearest known answer is said from here on.
        dev_pairs: how many pairs they were fitted on.
    """

    least_logprob: float
    least_likeness: float
    dev_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One dev question, for fitting.

    Attributes:
        logprob: of the model's own answer.
        likeness: of the nearest known question.
        own: how close the model's own answer is to people's, by any measure where more is better.
        nearest: likewise, the nearest known answer.
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
        """Whether the model's own answer is likely enough to be said."""
        return logprob >= self.thresholds.least_logprob

    def find(self, question: str) -> Found | None:
        """The nearest known question, if it is near enough to be answered in its place."""
        found = self.known.find(question)
        return found if found and found.likeness >= self.thresholds.least_likeness else None


def speaker(
    uncertainty: Uncertainty | None, choice: Choice, logprob: float, question: str
) -> tuple[Speaker, Found | None]:
    """Who answers a question that a model has answered.

    Args:
        uncertainty: of the version; None for one that was made before versions had thresholds.
        choice: what the settings want where it is unsure.
        logprob: of its own answer.
        question: as the player asked it.

    Returns:
        Whose answer is said, and the known question behind it where it is the nearest one's.
    """
    if uncertainty is None or choice == "model" or uncertainty.is_sure(logprob):
        return "model", None
    found = uncertainty.find(question) if choice == "nearest" else None
    return ("nearest", found) if found else ("unsure", None)


def choose(settings: Settings, bot: str, *, small: bool) -> Choice:
    """What a bot does where its version is unsure: the setting's word, else by the size of its base."""
    return settings.serving.uncertain.get(bot) or ("nearest" if small else "model")


def fit_thresholds(trials: Sequence[Trial]) -> Thresholds:
    """Let the model speak as far down as its answers are no worse than the nearest ones.

    From the surest answer on, one after another is let in. The threshold stands above the first that is farther from
    people's than the nearest answer is, and lower only where it is beyond doubt that at least two thirds of all that
    are let in are no worse.

    Args:
        trials: at least one.

    Returns:
        The thresholds.
    """
    surest = sorted(trials, key=lambda trial: -trial.logprob)
    least, good = _NEVER, 0
    for count, trial in enumerate(surest, start=1):
        good += trial.own >= trial.nearest
        if good == count or _lower_bound(good, count) >= _CLEARLY_MOST:
            least = trial.logprob
    ordered = sorted(trial.likeness for trial in trials)
    floor = max(_LEAST_LIKENESS, ordered[int(_UNSURE_SHARE * len(ordered))])
    return Thresholds(least_logprob=least, least_likeness=floor, dev_pairs=len(trials))


def _lower_bound(good: int, count: int) -> float:
    """Wilson's lower bound of a share, at 95 %."""
    share, z = good / count, _Z_95
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (share + z * z / (2 * count) - spread) / (1 + z * z / count)


def known_pairs(pairs: Sequence[Pair]) -> list[Known]:
    """The pairs of a dataset as a version may fall back on them, what players taught last."""
    ordered = sorted(pairs, key=lambda pair: pair.source != "seed")
    return [Known(question=pair.question, answer=pair.answer, source=pair.source) for pair in ordered]


def as_text(thresholds: Thresholds, known: Sequence[Known]) -> str:
    """What :func:`read_uncertainty` reads."""
    content = {
        "v": 1,
        "least_logprob": thresholds.least_logprob,
        "least_likeness": thresholds.least_likeness,
        "dev_pairs": thresholds.dev_pairs,
        "known": [[pair.question, pair.answer, pair.source] for pair in known],
    }
    return json.dumps(content, ensure_ascii=False, indent=0)


def read_uncertainty(folder: Path) -> Uncertainty | None:
    """A version's thresholds and known pairs; None for a version that has none and says what its model says.

    Raises:
        CheckpointCorrupt: the file is not what it should be.
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
        known = [
            Known(question=str(question), answer=str(answer), source=str(source))
            for question, answer, source in content["known"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointCorrupt(f"{path} is unreadable ({error}): take the previous version") from error
    return Uncertainty(thresholds, NearestQuestions(known))
