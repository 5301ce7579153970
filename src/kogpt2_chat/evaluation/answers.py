"""Greedy answers of a bot in the worker's engine, and what can be said of them."""

import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID, has_control_token
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.bot import Bot
from kogpt2_chat.inference.engine import Engine, StopReason
from kogpt2_chat.network.load import LoadedBot
from kogpt2_chat.settings import Settings

# A phrase of up to four words, or a few letters, said over and over.
_WORD_LOOP: Final = re.compile(r"(?:^| )(\S+(?: \S+){0,3})(?: \1){2,}(?: |$)")
_LETTER_LOOP: Final = re.compile(r"([^\s.!?~ㅋㅎㅠㅜ]{1,12}?)\1{4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a bot said.

    Attributes:
        question: what it was asked.
        text: as a player would see it.
        token_ids: what the model chose, without the end token.
        leaked: whether it would have said a control token, had the engine let it.
        stop_reason: why it ended.
        logprob: how sure it was, mean nat a token.
        is_own: whether the text is the model's own, and nothing that took its place.
    """

    question: str
    text: str
    token_ids: tuple[int, ...]
    leaked: bool
    stop_reason: StopReason
    logprob: float = 0.0
    is_own: bool = True

    @property
    def failures(self) -> list[str]:
        """Which of the gate's failures it shows."""
        seen = {
            "empty": not self.text,
            "cut": self.stop_reason == "length",
            "looping": is_loop(self.text),
            "copied": bool(self.text) and _letters(self.text) == _letters(self.question),
        }
        return [kind for kind, found in seen.items() if found]


def generate_reference_answers(
    bot: LoadedBot, questions: Sequence[str], settings: Settings, *, suppress_control: bool = True
) -> list[Answer]:
    """Ask all questions at once of the reference engine; answers in the questions' order."""
    return generate_answers(reference_engine(settings, suppress_control=suppress_control), bot, questions)


def reference_engine(settings: Settings, *, suppress_control: bool = True) -> TransformersEngine:
    """The engine that judges, with the worker's bounds."""
    return TransformersEngine(
        max_batch=settings.serving.max_batch,
        max_new_tokens=settings.model.max_new_tokens,
        suppress_control=suppress_control,
    )


def generate_answers(engine: Engine, bot: Bot[Any], questions: Sequence[str]) -> list[Answer]:
    """Ask all questions at once, as a busy worker would; answers in the questions' order."""
    for place, question in enumerate(questions):
        engine.add_request(str(place), bot, bot.encode(question))
    answers: dict[int, Answer] = {}
    while engine.in_flight:
        for done in engine.step():
            place = int(done.request_id)
            controls = bot.tokenizer.control_ids - {UNKNOWN_ID}
            leaked = bool(controls.intersection(done.token_ids)) or has_control_token(
                bot.tokenizer.decode_raw([id_ for id_ in done.token_ids if id_ != UNKNOWN_ID])
            )
            answers[place] = Answer(
                question=questions[place],
                text=bot.decode(done.token_ids),
                token_ids=done.token_ids,
                leaked=leaked,
                stop_reason=done.stop_reason,
                logprob=done.logprob,
            )
    return [answers[place] for place in range(len(questions))]


def ask_singly(bot: LoadedBot, questions: Sequence[str], settings: Settings) -> list[float]:
    """Milliseconds of each question, asked alone."""
    times = []
    for question in questions:
        started = time.perf_counter()
        generate_reference_answers(bot, [question], settings)
        times.append((time.perf_counter() - started) * 1000)
    return times


def is_loop(text: str) -> bool:
    """Whether a text says the same few words or letters over and over; laughing (ㅋㅋㅋ) is none."""
    return _WORD_LOOP.search(text) is not None or _LETTER_LOOP.search(text) is not None


def distinct(texts: Sequence[str], size: int) -> float:
    """Share of distinct word n-grams among all; 1 where there are none."""
    grams = [gram for text in texts for gram in _grams(text.split(), size)]
    return len(set(grams)) / len(grams) if grams else 1.0


def entropy(texts: Sequence[str]) -> float:
    """Entropy of the words, in nat."""
    counts = Counter(word for text in texts for word in text.split())
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values()) if total else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; 0 for no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def _letters(text: str) -> str:
    return "".join(character for character in one_line(text).casefold() if character.isalnum())
