"""Measure the latency of single answers on the serving engine, as players experience it on an idle worker."""

import time
from collections.abc import Sequence
from typing import Final

from kogpt2_chat.domain.gate.latency import Latency
from kogpt2_chat.evaluation.answers import generate_answers, percentile
from kogpt2_chat.evaluation.trial import Trial
from kogpt2_chat.inference.engine import Engine
from kogpt2_chat.inference.loading import ServedBot, make_engine

_QUESTIONS: Final = 12


def measure(trial: Trial) -> Latency:
    """Ask the candidate some questions, one at a time, and then the baseline unless it is a base."""
    trial.progress("timing single answers on the serving engine")
    questions, engine = trial.questions[:_QUESTIONS], make_engine(trial.settings)
    ours = latencies_ms(engine, trial.candidate.served, questions)
    served = trial.baseline.served
    return Latency(
        p50_ms=percentile(ours, 0.5),
        p95_ms=percentile(ours, 0.95),
        baseline_p95_ms=percentile(latencies_ms(engine, served, questions), 0.95) if served else None,
    )


def latencies_ms(engine: Engine, bot: ServedBot, questions: Sequence[str]) -> list[float]:
    """Return the latency of each question in ms, asked one at a time.

    The first question is also asked once without timing it, because a worker probes a version before it activates it.

    Args:
        engine: with no requests in flight.
        bot: the version, loaded for this engine.
        questions: the questions to ask.

    Returns:
        One latency for each question.
    """
    generate_answers(engine, bot, questions[:1])
    times = []
    for question in questions:
        started = time.perf_counter()
        generate_answers(engine, bot, [question])
        times.append((time.perf_counter() - started) * 1000)
    return times
