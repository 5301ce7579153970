"""Generate greedy answers of a bot on any engine, and compute statistics of them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kogpt2_chat.domain.chat.prompt import UNKNOWN_ID, has_control_token
from kogpt2_chat.domain.learning.pairs import GoldenQuestion, Pair
from kogpt2_chat.domain.text.characters import one_line
from kogpt2_chat.domain.text.loops import is_loop
from kogpt2_chat.evaluation.reference import TransformersEngine
from kogpt2_chat.inference.bot import LoadedModel
from kogpt2_chat.inference.drain import drain
from kogpt2_chat.inference.engine import Engine, Finished, StopReason
from kogpt2_chat.network.load import LoadedBot
from kogpt2_chat.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of a bot.

    Attributes:
        question: the question.
        text: the text that a player would see.
        token_ids: the tokens that the model chose, without the end token.
        leaked: whether the tokens contain or spell a control token.
        stop_reason: why generation stopped.
        logprob: mean log-probability, in nats per token.
        is_own: whether the text is the model's own, not a replacement.
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
        """The kinds of failure in this answer, of those that the gate counts."""
        found_by_kind = {
            "empty": not self.text,
            "cut": self.stop_reason == "length",
            "looping": is_loop(self.text),
            "copied": bool(self.text) and _letters(self.text) == _letters(self.question),
        }
        return [kind for kind, found in found_by_kind.items() if found]


def generate_reference_answers(
    bot: LoadedBot, questions: Sequence[str], settings: Settings, *, suppress_control: bool = True
) -> list[Answer]:
    """Answer all questions in batches on the reference engine; return the answers in the questions' order."""
    return generate_answers(reference_engine(settings, suppress_control=suppress_control), bot, questions)


def reference_engine(settings: Settings, *, suppress_control: bool = True) -> TransformersEngine:
    """Return a new reference engine with the worker's limits."""
    return TransformersEngine(
        max_batch=settings.serving.max_batch,
        max_new_tokens=settings.model.max_new_tokens,
        suppress_control=suppress_control,
    )


def generate_answers(engine: Engine, bot: LoadedModel[Any], questions: Sequence[str]) -> list[Answer]:
    """Answer all questions in batches, as a busy worker does; return the answers in the questions' order."""
    for index, question in enumerate(questions):
        engine.add_request(str(index), bot, bot.encode(question))
    finished_by_index = {int(done.request_id): done for done in drain(engine)}
    return [_answer(bot, question, finished_by_index[index]) for index, question in enumerate(questions)]


def _answer(bot: LoadedModel[Any], question: str, done: Finished) -> Answer:
    controls = bot.tokenizer.control_ids - {UNKNOWN_ID}
    spelled = bot.tokenizer.decode_raw([id_ for id_ in done.token_ids if id_ != UNKNOWN_ID])
    return Answer(
        question=question,
        text=bot.decode(done.token_ids),
        token_ids=done.token_ids,
        leaked=bool(controls.intersection(done.token_ids)) or has_control_token(spelled),
        stop_reason=done.stop_reason,
        logprob=done.logprob,
    )


def count_right(golden: Sequence[GoldenQuestion], answers: Sequence[Answer]) -> int:
    """Return how many golden questions are answered correctly; there must be an answer to each of them."""
    text_by_question = {answer.question: answer.text for answer in answers}
    return sum(entry.accepts(text_by_question[entry.question]) for entry in golden)


def distinct(texts: Sequence[str], size: int) -> float:
    """Return the share of distinct word n-grams among all; 1 if there are none."""
    grams = [gram for text in texts for gram in _grams(text.split(), size)]
    return len(set(grams)) / len(grams) if grams else 1.0


def entropy(texts: Sequence[str]) -> float:
    """Return the entropy of the words, in nats."""
    counts = Counter(word for text in texts for word in text.split())
    total = sum(counts.values())
    return -sum(count / total * math.log(count / total) for count in counts.values()) if total else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; 0 for no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def _letters(text: str) -> str:
    return "".join(character for character in one_line(text).casefold() if character.isalnum())


def gold_chrf(answers: Sequence[Answer], gold: Sequence[Pair]) -> float:
    """Return the chrF of the answers to the gold questions; there must be an answer to each of them."""
    text_by_question = {answer.question: answer.text for answer in answers}
    return corpus_chrf([text_by_question[pair.question] for pair in gold], [pair.answer for pair in gold])


def corpus_chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return the chrF over all answers; 0 if there is nothing to compare."""
    import sacrebleu

    return float(sacrebleu.corpus_chrf(list(answers), [list(references)]).score) if answers else 0.0


def sentence_chrf(answer: str, reference: str) -> float:
    """Return the chrF of one answer."""
    import sacrebleu

    return float(sacrebleu.sentence_chrf(answer, [reference]).score)
