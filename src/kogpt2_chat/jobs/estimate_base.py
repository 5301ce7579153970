"""Say what KoGPT2 would cost on this machine, before anybody fetches half a gigabyte for it."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import psutil

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import CHECKOUT, Settings

if TYPE_CHECKING:
    from kogpt2_chat.domain.learning.pairs import Pair

KOGPT2: Final = "skt/kogpt2-base-v2"
DOWNLOAD_MB: Final = 513
"""Size of its ``pytorch_model.bin``: 125,164,032 weights in fp32, and the attention masks of that time."""
MIN_MEMORY_MB: Final = 3500
"""Weights, gradients and two moments of AdamW are 2 GB; torch and the activations come on top."""
TIMEOUT_S: Final = 90.0
_CHARACTERS_A_TOKEN: Final = 2.0
"""Of Korean with spaces, in a vocabulary of 51,200: about two; fewer characters would make it slower."""
_FRAME_TOKENS: Final = 4


def estimate_base(
    *,
    settings: Settings,
    progress: Callable[[str], None],
    size: Mapping[str, int] | None = None,
    min_memory_mb: int = MIN_MEMORY_MB,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, object]:
    """Time a few training steps at KoGPT2's size, and reckon version 1 of every bot from that.

    Args:
        settings: corpora, epochs and the budget of answer tokens.
        progress: told what is measured.
        size: fields of :class:`kogpt2_chat.training.speed.Work` that make another network than KoGPT2's.
        min_memory_mb: with less free memory nothing is measured.
        timeout_s: the measurement is given up after that.

    Returns:
        ``base``, ``download_mb``, ``bots``, ``answer_tokens`` of all bots together, ``answer_tokens_per_s`` and
        ``training_s``, both None where nothing was measured, and ``reason`` then says why.
    """
    from kogpt2_chat.corpora.shipped import read_pairs
    from kogpt2_chat.training.speed import Work, command

    corpora = [read_pairs(settings.learning.corpora / bot / "seed.csv") for bot in BOT_IDS]
    facts = {
        "base": KOGPT2, "download_mb": DOWNLOAD_MB, "bots": len(BOT_IDS),
        "answer_tokens": sum(_answer_tokens(pairs, settings) for pairs in corpora),
    }  # fmt: skip
    if (free := psutil.virtual_memory().available >> 20) < min_memory_mb:
        return _unmeasured(facts, f"measuring takes {min_memory_mb} MB of memory, {free} MB are free")
    progress(f"measuring how fast {KOGPT2}'s size trains here, {timeout_s:.0f} s at most")
    pairs = [pair for of_bot in corpora for pair in of_bot]
    work = Work(
        prompt_tokens=round(sum(_tokens(pair.question) for pair in pairs) / max(len(pairs), 1)) or 1,
        answer_tokens=round(sum(_tokens(pair.answer) for pair in pairs) / max(len(pairs), 1)) or 1,
        batch_size=settings.training.batch_size,
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
        return _unmeasured(
            facts, f"a few training steps took more than {timeout_s:g} s: this machine is too slow or busy"
        )
    except (subprocess.CalledProcessError, ValueError, OSError) as error:
        return _unmeasured(facts, f"the measurement failed: {error}")
    seconds = round(float(str(facts["answer_tokens"])) / speed, 1)
    return {**facts, "answer_tokens_per_s": round(speed, 1), "training_s": seconds, "reason": ""}


def _answer_tokens(pairs: Sequence["Pair"], settings: Settings) -> int:
    """What training version 1 of a bot learns from: all epochs, or the budget."""
    from kogpt2_chat.training.curriculum import EPOCHS

    once = sum(_tokens(pair.answer) for pair in pairs)
    return round(min(once * (settings.training.epochs or EPOCHS), settings.training.answer_tokens))


def _tokens(text: str) -> float:
    return len(text) / _CHARACTERS_A_TOKEN + _FRAME_TOKENS / 2


def _unmeasured(facts: Mapping[str, object], reason: str) -> dict[str, object]:
    return {**facts, "answer_tokens_per_s": None, "training_s": None, "reason": reason}
