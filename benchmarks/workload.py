"""The workload: the same questions and arrival times for every subject."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.evaluation.answers import percentile

PROMPT_TOKENS: Final = 12
NEW_TOKENS: Final = 24
_SYLLABLES: Final = 8
"""With the token for the beginning of a word and three control tokens: twelve prompt tokens."""


@dataclass(frozen=True, slots=True)
class BenchQuestion:
    """One question."""

    id: str
    bot: str
    text: str


@dataclass(slots=True)
class RunResult:
    """The results of one run.

    Attributes:
        latencies_s: of each answer, from sending the question to receiving the answer.
        seconds: from the first question to the last answer.
        cpu_s: CPU time of the subject.
    """

    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def answers_per_s(self) -> float:
        """Answers per second."""
        return len(self.latencies_s) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """Return the nearest-rank percentile of the latency."""
        return 1000 * percentile(self.latencies_s, share)


class SystemUnderTest(Protocol):
    """A system under test, which answers questions."""

    def ask(self, question: BenchQuestion) -> None:
        """Add a question."""
        ...

    def answered(self, wait_s: float) -> list[str]:
        """Return the ids answered since the last call; may wait up to ``wait_s`` for the first."""
        ...


def questions(bots: Sequence[str], seed: int) -> Iterator[BenchQuestion]:
    """Yield endless questions of twelve prompt tokens, to each bot in turn."""
    draw = random.Random(seed)  # noqa: S311 - questions, not secrets
    number = 0
    while True:
        text = "".join(chr(draw.randrange(0xAC00, 0xD7A4)) for _ in range(_SYLLABLES))
        yield BenchQuestion(f"{seed}-{number}", bots[number % len(bots)], text)
        number += 1


def closed_loop(subject: SystemUnderTest, source: Iterator[BenchQuestion], in_flight: int, answers: int) -> RunResult:
    """Keep ``in_flight`` questions in flight: after each answer, ask the next question."""
    outcome = RunResult()
    asked_at: dict[str, float] = {}
    started = time.perf_counter()
    for _ in range(in_flight):
        _ask(subject, next(source), asked_at)
    while asked_at:
        for id_ in subject.answered(0.05):
            outcome.latencies_s.append(time.perf_counter() - asked_at.pop(id_))
            if len(outcome.latencies_s) + len(asked_at) < answers:
                _ask(subject, next(source), asked_at)
    outcome.seconds = time.perf_counter() - started
    return outcome


def poisson(
    subject: SystemUnderTest, source: Iterator[BenchQuestion], per_s: float, answers: int, seed: int
) -> RunResult:
    """Ask questions at random times, without waiting for earlier answers."""
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    outcome = RunResult()
    asked_at: dict[str, float] = {}
    started = due = time.perf_counter()
    left = answers
    while left or asked_at:
        while left and due <= time.perf_counter():
            question = next(source)
            subject.ask(question)
            asked_at[question.id] = due  # the latency includes a delay in sending the question
            due += draw.expovariate(per_s)
            left -= 1
        wait_s = max(0.0, min(0.05, due - time.perf_counter())) if left else 0.05
        for id_ in subject.answered(wait_s):
            outcome.latencies_s.append(time.perf_counter() - asked_at.pop(id_))
    outcome.seconds = time.perf_counter() - started
    return outcome


def warm_up(subject: SystemUnderTest) -> None:
    """Run some load first: a new broker needs twice the CPU time until its just-in-time compiler has finished."""
    closed_loop(subject, questions(BOT_IDS, seed=7), 32, 1200)


def _ask(subject: SystemUnderTest, question: BenchQuestion, asked_at: dict[str, float]) -> None:
    asked_at[question.id] = time.perf_counter()
    subject.ask(question)
