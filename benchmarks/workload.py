"""What is asked, and when: the same questions and arrivals for every subject."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Protocol

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.evaluation.answers import percentile

PROMPT_TOKENS: Final = 12
NEW_TOKENS: Final = 24
_SYLLABLES: Final = 8
"""With the mark of a word's beginning and three control tokens: twelve."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question."""

    id: str
    bot: str
    text: str


@dataclass(slots=True)
class Outcome:
    """What one run came to.

    Attributes:
        latencies_s: of each answer, from asking to having it.
        seconds: from the first question to the last answer.
        cpu_s: processor time of the subject.
        rss_mb: of the subject at its end.
    """

    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0
    rss_mb: float = 0.0

    @property
    def answers_per_s(self) -> float:
        """Throughput."""
        return len(self.latencies_s) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """Nearest-rank percentile of the latency."""
        return 1000 * percentile(self.latencies_s, share)


class Subject(Protocol):
    """Something that answers."""

    def ask(self, asked: Asked) -> None:
        """Take a question."""
        ...

    def answered(self, wait_s: float) -> list[str]:
        """Ids answered by now; may wait as long as ``wait_s`` for one."""
        ...


def questions(bots: Sequence[str], seed: int) -> Iterator[Asked]:
    """Endless questions of twelve prompt tokens, to the bots in turn."""
    draw = random.Random(seed)  # noqa: S311 - questions, not secrets
    number = 0
    while True:
        text = "".join(chr(draw.randrange(0xAC00, 0xD7A4)) for _ in range(_SYLLABLES))
        yield Asked(f"{seed}-{number}", bots[number % len(bots)], text)
        number += 1


def closed_loop(subject: Subject, source: Iterator[Asked], in_flight: int, answers: int) -> Outcome:
    """Keep so many questions in flight: each answer is followed by the next question."""
    outcome = Outcome()
    asked_at: dict[str, float] = {}
    began = time.perf_counter()
    for _ in range(in_flight):
        _ask(subject, next(source), asked_at)
    while asked_at:
        for id_ in subject.answered(0.05):
            outcome.latencies_s.append(time.perf_counter() - asked_at.pop(id_))
            if len(outcome.latencies_s) + len(asked_at) < answers:
                _ask(subject, next(source), asked_at)
    outcome.seconds = time.perf_counter() - began
    return outcome


def poisson(subject: Subject, source: Iterator[Asked], per_s: float, answers: int, seed: int) -> Outcome:
    """Questions at random times, whether or not earlier ones are answered."""
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    outcome = Outcome()
    asked_at: dict[str, float] = {}
    began = due = time.perf_counter()
    left = answers
    while left or asked_at:
        while left and due <= time.perf_counter():
            question = next(source)
            subject.ask(question)
            asked_at[question.id] = due  # waiting to be asked counts as well
            due += draw.expovariate(per_s)
            left -= 1
        wait_s = max(0.0, min(0.05, due - time.perf_counter())) if left else 0.05
        for id_ in subject.answered(wait_s):
            outcome.latencies_s.append(time.perf_counter() - asked_at.pop(id_))
    outcome.seconds = time.perf_counter() - began
    return outcome


def warm_up(subject: Subject) -> None:
    """A broker that has just started takes twice the processor time, for its just-in-time compiler."""
    closed_loop(subject, questions(BOT_IDS, seed=7), 32, 1200)


def middle(outcomes: Sequence[Outcome], figure: Callable[[Outcome], float]) -> float:
    """Median of a figure over repetitions."""
    return median(figure(outcome) for outcome in outcomes)


def _ask(subject: Subject, question: Asked, asked_at: dict[str, float]) -> None:
    asked_at[question.id] = time.perf_counter()
    subject.ask(question)
