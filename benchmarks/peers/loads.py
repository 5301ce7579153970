"""Load for one engine: the same prompts, answer lengths and arrival times for every subject. Only the standard library.

The subjects run in environments of their own, which have nothing of this project but this package.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

PROMPT_TOKENS: Final = 12
NEW_TOKENS: Final = 24
END_ID: Final = 1
"""The token that ends an answer. Every engine is told not to say it, so that all answers have their full length."""
MAX_BATCH: Final = 32
SHORTEST, LONGEST = 4, 48
_BLOCK: Final = 16
_ORDINARY: Final = range(200, 51_000)
"""Ids that are neither control tokens nor at the end of the vocabulary."""


class WrongLength(Exception):
    """An engine gave an answer of another length than was asked for, so its rate means nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question: its prompt's ids, and how many tokens its answer has."""

    number: int
    prompt: tuple[int, ...]
    new_tokens: int


class Engine(Protocol):
    """An engine under test. One thread uses it."""

    def add(self, request: Request) -> None:
        """Queue a request."""
        ...

    def step(self) -> list[tuple[int, list[int]]]:
        """Compute for a moment, and return the number and the tokens of each request that finished."""
        ...


@dataclass(slots=True)
class Outcome:
    """What one load measured.

    Attributes:
        seconds: from the first question to the last answer.
        tokens: of all answers.
        latencies_s: of each answer, from the moment its question was due.
        answers: the tokens of each answer, by the number of its request.
    """

    seconds: float = 0.0
    tokens: int = 0
    latencies_s: list[float] = field(default_factory=list)
    answers: dict[int, list[int]] = field(default_factory=dict)


def requests(seed: int, lengths: Iterator[int]) -> Iterator[Request]:
    """Yield requests with prompts of ordinary tokens.

    A network with random weights repeats what it has read. Ours never says control tokens, so prompts have none:
    otherwise its answers could not be compared with the peers' answers.
    """
    draw = random.Random(seed)  # noqa: S311 - questions, not secrets
    for number, new_tokens in enumerate(lengths):
        yield Request(number, tuple(draw.choices(_ORDINARY, k=PROMPT_TOKENS)), new_tokens)


def equal_lengths() -> Iterator[int]:
    """Yield the same length for every answer."""
    while True:
        yield NEW_TOKENS


def mixed_lengths(seed: int) -> Iterator[int]:
    """Yield lengths from 4 to 48: each 16 answers have the same 16 lengths, in an order of their own.

    So every subject generates as many tokens for as many answers, wherever it stops.
    """
    draw = random.Random(seed)  # noqa: S311 - lengths, not secrets
    spread = [SHORTEST + round((LONGEST - SHORTEST) * place / (_BLOCK - 1)) for place in range(_BLOCK)]
    while True:
        yield from draw.sample(spread, _BLOCK)


def arrivals(seed: int, per_s: float, seconds: float) -> list[float]:
    """Return the arrival times of a Poisson stream, in seconds from its beginning."""
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    times: list[float] = []
    due = draw.expovariate(per_s)
    while due < seconds:
        times.append(due)
        due += draw.expovariate(per_s)
    return times


def closed_loop(
    engine: Engine, source: Iterator[Request], waiting: int, most: int, most_s: float, clock: Callable[[], float]
) -> Outcome:
    """Keep so many requests waiting: each answer is followed by the next request.

    Args:
        engine: that answers.
        source: of the requests, endless.
        waiting: requests in flight.
        most: requests to ask in all; at least ``waiting``.
        most_s: after which no further request is asked.
        clock: returns seconds.
    """
    outcome, asked, asked_at = Outcome(), {}, {}
    began = clock()

    def ask() -> None:
        request = next(source)
        asked[request.number], asked_at[request.number] = request, clock()
        engine.add(request)

    for _ in range(waiting):
        ask()
    while len(outcome.answers) < len(asked):
        for number, tokens in engine.step():
            _count(outcome, asked[number], tokens, clock() - asked_at[number])
            if len(asked) < most and clock() - began < most_s:
                ask()
    outcome.seconds = clock() - began
    return outcome


def stream(
    engine: Engine,
    source: Iterator[Request],
    times: Sequence[float],
    most_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Ask at these times, however many requests wait; latencies count from the times, not from the asking.

    Args:
        engine: that answers.
        source: of the requests, endless.
        times: when each request is due, in seconds from the beginning.
        most_s: after which the measurement ends, answered or not: the engine did not keep up.
        clock: returns seconds.
        sleep: waits for a number of seconds.
    """
    outcome, asked = Outcome(), {}
    due_by_number: dict[int, float] = {}
    left = list(reversed(times))
    began = clock()
    while (left or len(outcome.answers) < len(asked)) and clock() - began < most_s:
        while left and left[-1] <= clock() - began:
            request = next(source)
            asked[request.number], due_by_number[request.number] = request, left.pop()
            engine.add(request)
        if len(outcome.answers) == len(asked):
            sleep(max(0.0, left[-1] - (clock() - began)))
            continue
        for number, tokens in engine.step():
            _count(outcome, asked[number], tokens, clock() - began - due_by_number[number])
    outcome.seconds = clock() - began
    return outcome


def _count(outcome: Outcome, request: Request, tokens: list[int], latency_s: float) -> None:
    if len(tokens) != request.new_tokens:
        raise WrongLength(f"request {request.number}: {len(tokens)} tokens, asked for {request.new_tokens}")
    outcome.answers[request.number] = tokens
    outcome.tokens += len(tokens)
    outcome.latencies_s.append(latency_s)
