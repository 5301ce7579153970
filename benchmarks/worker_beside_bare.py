"""The worker and the bare loop of its engine in turn, close together: ``python -m benchmarks.worker_beside_bare``.

`python -m benchmarks` measures them minutes apart, in which the speed of a machine changes by more than they differ. It
prints both, their differences, and which share of the time the worker decodes.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.__main__ import HOME, bare, running_worker, say, settings_of
from benchmarks.models import full_size_versions
from benchmarks.workload import SystemUnderTest, closed_loop, poisson, questions
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.settings import CHECKOUT

_DECODED: Final = "kogpt2_decode_step_seconds_sum"
_WAITING: Final = 32
Figures = dict[str, float]


def measure(
    subject: SystemUnderTest, per_s: float, answers: int, seed: int, decoded_s: Callable[[], float] | None = None
) -> Figures:
    """Measure a closed loop and a Poisson stream of questions for one bot."""
    before, started = decoded_s() if decoded_s else 0.0, time.perf_counter()
    closed = closed_loop(subject, questions(BOT_IDS[:1], seed=seed), _WAITING, answers)
    share = {"decoding, share": (decoded_s() - before) / (time.perf_counter() - started)} if decoded_s else {}
    stream = poisson(subject, questions(BOT_IDS[:1], seed=1000 + seed), per_s, answers, seed)
    return {
        "answers/s": closed.answers_per_s, "p50 ms": stream.percentile_ms(0.5), "p99 ms": stream.percentile_ms(0.99),
        **share,
    }  # fmt: skip


def _decoded_s(page: str) -> float:
    """Return how long a worker has decoded since its start."""
    families = text_string_to_metric_families(requests.get(f"{page}/metrics", timeout=5).text)
    return sum(one.value for family in families for one in family.samples if one.name == _DECODED)


def main() -> None:
    """Measure in rounds, and print each and the medians of the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each: bare loop, worker")
    parser.add_argument("--per-s", type=float, default=21.0, help="rate of the stream: 70 %% of the closed loop's")
    parser.add_argument("--answers", type=int, default=336, help="of each measurement")
    parser.add_argument("--offset", type=int, default=23_000, help="offset of the broker's ports")
    parser.add_argument("--threads", type=int, default=1, help="cores of the engine; 0: all")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the broker and the workers end too
    settings = settings_of(arguments.offset, arguments.threads)
    HOME.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[Figures, Figures]] = []
    with hold_lock(HOME.with_suffix(".lock"), say):
        versions = full_size_versions(CHECKOUT / "var" / "bench-models", say)
        for number in range(arguments.rounds):
            with bare(settings, versions) as loop:
                alone = measure(loop, arguments.per_s, arguments.answers, number)
            with running_worker(settings, versions, "serving") as (worker, client):
                served = measure(
                    client, arguments.per_s, arguments.answers, number, lambda page=worker.page: _decoded_s(page)
                )  # fmt: skip
            rows.append((alone, served))
            for name, found in (("bare loop", alone), ("worker", served)):
                say(f"round {number + 1}, {name}: " + ", ".join(f"{key} {value:.2f}" for key, value in found.items()))
    ratio = median(served["answers/s"] / alone["answers/s"] for alone, served in rows)
    print(f"worker / bare loop, answers/s: {ratio:.3f}")
    for key in ("p50 ms", "p99 ms"):
        print(f"added {key}: {median(served[key] - alone[key] for alone, served in rows):.0f}")


if __name__ == "__main__":
    main()
