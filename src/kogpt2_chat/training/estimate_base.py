"""Estimate how long training KoGPT2 would take on this machine, before downloading half a gigabyte for it."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import psutil

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import CHECKOUT, Settings

if TYPE_CHECKING:
    from kogpt2_chat.domain.learning.pairs import Pair

KOGPT2: Final = "skt/kogpt2-base-v2"
DOWNLOAD_MB: Final = 513
"""Size of its ``pytorch_model.bin``: 125,164,032 weights in fp32, and attention masks."""
MIN_MEMORY_MB: Final = 3500
"""Weights, gradients and the two moments of AdamW need 2 GB; torch and the activations need the rest."""
TIMEOUT_S: Final = 90.0
_CHARACTERS_PER_TOKEN: Final = 2.0
"""For Korean with spaces and a vocabulary of 51,200; with fewer characters per token, training would take longer."""
_FRAME_TOKENS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseEstimate:
    """The cost of training KoGPT2 on this machine.

    Attributes:
        base: hub id of the base.
        download_mb: size of its download.
        bots: number of bots to train.
        answer_tokens: answer tokens in the training of version 1 of all bots.
        answer_tokens_per_s: measured speed; None if nothing was measured.
        training_s: estimated duration; None if nothing was measured.
        reason: why nothing was measured.
    """

    base: str
    download_mb: int
    bots: int
    answer_tokens: int
    answer_tokens_per_s: float | None = None
    training_s: float | None = None
    reason: str = ""


def estimate_base(
    *,
    settings: Settings,
    progress: Callable[[str], None],
    size: Mapping[str, int] | None = None,
    min_memory_mb: int = MIN_MEMORY_MB,
    timeout_s: float = TIMEOUT_S,
) -> BaseEstimate:
    """Time a few training steps at KoGPT2's size, and estimate the training time of version 1 of every bot.

    Args:
        settings: corpora, epochs and the budget of answer tokens.
        progress: called with a line on each step.
        size: fields of :class:`kogpt2_chat.training.speed.Work` that replace KoGPT2's size; for tests.
        min_memory_mb: minimum free memory; with less, nothing is measured.
        timeout_s: time limit of the measurement.

    Returns:
        The estimate. If nothing was measured, it says why.
    """
    from kogpt2_chat.corpora.shipped import read_pairs
    from kogpt2_chat.training.curriculum import BATCH
    from kogpt2_chat.training.speed import Work, command

    corpora = [read_pairs(settings.learning.corpora / bot / "seed.csv") for bot in BOT_IDS]
    estimate = BaseEstimate(
        base=KOGPT2,
        download_mb=DOWNLOAD_MB,
        bots=len(BOT_IDS),
        answer_tokens=sum(_answer_tokens(pairs, settings) for pairs in corpora),
    )
    if (free := psutil.virtual_memory().available >> 20) < min_memory_mb:
        return replace(estimate, reason=f"measuring requires {min_memory_mb} MB of memory, {free} MB are free")
    progress(f"measuring how fast a network of {KOGPT2}'s size trains here, {timeout_s:.0f} s at most")
    pairs = [pair for of_bot in corpora for pair in of_bot]
    work = Work(
        prompt_tokens=round(sum(_tokens(pair.question) for pair in pairs) / max(len(pairs), 1)) or 1,
        answer_tokens=round(sum(_tokens(pair.answer) for pair in pairs) / max(len(pairs), 1)) or 1,
        batch_size=settings.training.batch_size or BATCH,
        precision=settings.training.precision,
        threads=settings.model.threads,
        **(size or {}),
    )
    try:
        done = subprocess.run(
            command(work), cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s, check=True
        )
        speed = float(done.stdout)
    except subprocess.TimeoutExpired:
        return replace(
            estimate, reason=f"a few training steps took more than {timeout_s:g} s: this machine is too slow or busy"
        )
    except (subprocess.CalledProcessError, ValueError, OSError) as error:
        return replace(estimate, reason=f"the measurement failed: {error}")
    seconds = round(estimate.answer_tokens / speed, 1)
    return replace(estimate, answer_tokens_per_s=round(speed, 1), training_s=seconds)


def _answer_tokens(pairs: Sequence["Pair"], settings: Settings) -> int:
    """Return the number of answer tokens in the training of a bot's version 1: those of all epochs, or the budget."""
    from kogpt2_chat.training.curriculum import EPOCHS

    once = sum(_tokens(pair.answer) for pair in pairs)
    return round(min(once * (settings.training.epochs or EPOCHS), settings.training.answer_tokens))


def _tokens(text: str) -> float:
    return len(text) / _CHARACTERS_PER_TOKEN + _FRAME_TOKENS / 2
