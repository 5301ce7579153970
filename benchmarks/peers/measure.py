"""The process of one subject: it puts the load on its engine and prints a JSON line per measurement.

It runs in the subject's own environment, so it uses only the standard library.
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice

from benchmarks.peers.loads import (
    Engine,
    Outcome,
    arrivals,
    closed_loop,
    equal_lengths,
    mixed_lengths,
    requests,
    stream,
)

_CHECKED = 8
_MOST = 100_000
_MIXED = {1: 48, 8: 96, 32: 224}
"""Requests of mixed length, by the number waiting: the same work for every engine that is fast enough."""


def arguments(*more: str, flags: tuple[str, ...] = ()) -> argparse.Namespace:
    """Return the command line of a subject's process; ``more`` and ``flags`` are its own options and switches."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="folder with the weights in the subject's format")
    parser.add_argument("--part", choices=["equal", "mixed", "stream", "check"], action="append", required=True)
    parser.add_argument("--waiting", type=lambda text: [int(number) for number in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    parser.add_argument("--round", type=int, default=0, help="number of the round, the seed of its requests")
    parser.add_argument("--rate", type=float, default=1.0, help="arrivals per second of the stream")
    for name in more:
        parser.add_argument(f"--{name}")
    for name in flags:
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args()


def measure(options: argparse.Namespace, engine: Engine) -> None:
    """Measure every part that the command line names, one after another."""
    for part in options.part:
        if part == "check":
            _check(engine)
        elif part == "stream":
            _stream(options, engine)
        else:
            for waiting in options.waiting:
                if part == "equal" or waiting > 1 or options.waiting == [1]:
                    _closed(options, engine, part, waiting)


def _closed(options: argparse.Namespace, engine: Engine, part: str, waiting: int) -> None:
    """Measure a closed loop. The wave before it warms the engine up; if it is slow, it is the measurement itself."""
    warm = closed_loop(engine, requests(9, equal_lengths()), waiting, waiting, 0, time.perf_counter)
    seed = 1000 * options.round + waiting
    if part == "equal":
        slow = warm.seconds > 2 * options.seconds
        waves = max(1, round(options.seconds / warm.seconds))
        load = partial(closed_loop, engine, requests(seed, equal_lengths()), waiting, waiting * waves)
        outcome = warm if slow else load(_MOST, time.perf_counter)
    else:
        source = requests(seed, mixed_lengths(seed))
        outcome = closed_loop(
            engine, source, waiting, _MIXED.get(waiting, 8 * waiting), 3 * options.seconds, time.perf_counter
        )
    _emit(options, outcome, part=part, waiting=waiting)


def _stream(options: argparse.Namespace, engine: Engine) -> None:
    seconds = 3 * options.seconds
    times = arrivals(options.round, options.rate, seconds)
    closed_loop(engine, requests(9, equal_lengths()), 8, 8, 0, time.perf_counter)
    source = requests(options.round, mixed_lengths(options.round))
    outcome = stream(engine, source, times, 2 * seconds, time.perf_counter)
    _emit(options, outcome, part="stream", rate=options.rate, asked=len(times),
          unanswered=len(times) - len(outcome.answers))  # fmt: skip


def _check(engine: Engine) -> None:
    """Print the tokens of some answers, to compare the subjects with each other."""
    source = islice(requests(77, equal_lengths()), _CHECKED)
    outcome = closed_loop(engine, source, _CHECKED, _CHECKED, _MOST, time.perf_counter)
    emit(part="check", tokens=[list(map(int, outcome.answers[number])) for number in sorted(outcome.answers)])


def _emit(options: argparse.Namespace, outcome: Outcome, **more: object) -> None:
    latencies = sorted(outcome.latencies_s)
    emit(
        round=options.round, answers=len(latencies), seconds=outcome.seconds,
        answers_per_s=len(latencies) / outcome.seconds, tokens_per_s=outcome.tokens / outcome.seconds,
        p50_ms=_nearest_rank_ms(latencies, 0.5), p95_ms=_nearest_rank_ms(latencies, 0.95),
        load=os.getloadavg()[0], **more,
    )  # fmt: skip


def _nearest_rank_ms(ordered: list[float], share: float) -> float | None:
    """Return a percentile, or None if nothing was answered."""
    return 1000 * ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


def emit(**line: object) -> None:
    """Print one line of results."""
    print(json.dumps(line), flush=True)


def run(options: argparse.Namespace, make: Callable[[], Engine]) -> None:
    """Load the engine, measure it, and end the process: threads of a library may compute on or never end."""
    began = time.perf_counter()
    engine = make()
    print(f"loaded in {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    measure(options, engine)
    os._exit(0)
