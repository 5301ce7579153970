"""`python -m benchmarks`: all benchmarks in one run, interleaved, so that a slow period affects all subjects."""

import argparse
import json
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks import report
from benchmarks.engines import BareLoop, generate, original, reference_network
from benchmarks.growth import growth, swaps
from benchmarks.limits import fastest_dtype, limits
from benchmarks.models import full_size_versions
from benchmarks.through_kafka import BenchWorker, KafkaClient, broker
from benchmarks.workload import NEW_TOKENS, RunResult, SystemUnderTest, closed_loop, poisson, questions, warm_up
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.inference.loading import load_served, make_engine
from kogpt2_chat.machine.cores import usable_cores
from kogpt2_chat.machine.locks import hold_lock
from kogpt2_chat.settings import CHECKOUT, Settings

HOME: Final = CHECKOUT / "var" / "bench"
LOADS: Final = {1: 30, 8: 160, 32: 480}
"""Number of answers to measure, by questions in flight."""
POISSON_SHARE: Final = 0.7
PARTS: Final = ("swaps", "growth")
"""Besides the worker and what it is compared with, which are always measured."""
STARTED: Final = time.monotonic()
Rows = list[dict[str, Any]]


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.monotonic() - STARTED:6.1f}s] {text}", flush=True)


def settings_of(offset: int, threads: int = 0) -> Settings:
    """Return the settings of the benchmark's own stack; 0 threads: the engine decodes on all cores."""
    return Settings(
        home=HOME,
        ports={"offset": offset},
        model={"max_new_tokens": NEW_TOKENS},
        serving={"threads": threads},
        stack={"min_memory_mb": 2000},
    )


@contextmanager
def bare(settings: Settings, versions: dict[str, Path]) -> Iterator[BareLoop]:
    """Yield the engine loop with the models of all bots."""
    yield BareLoop(
        make_engine(settings), {bot: load_served(path, settings, side_by_side=True) for bot, path in versions.items()}
    )


def row(subject: str, bots: int, load: str, outcome: RunResult, **more: object) -> dict[str, Any]:
    """Return one measurement as a row of the report."""
    return {
        "subject": subject, "bots": bots, "load": load, "answers": len(outcome.latencies_s),
        "answers_per_s": outcome.answers_per_s, "tokens_per_s": outcome.answers_per_s * NEW_TOKENS,
        "p50_ms": outcome.percentile_ms(0.5), "p95_ms": outcome.percentile_ms(0.95),
        "p99_ms": outcome.percentile_ms(0.99), "cpu_cores": outcome.cpu_s / outcome.seconds if outcome.seconds else 0,
        **more,
    }  # fmt: skip


def closed_loops(name: str, subject: SystemUnderTest, cpu_s: Callable[[], float], scale: float, round_: int) -> Rows:
    """Measure a subject with a constant number of questions in flight, for one bot and for three."""
    rows = []
    for bots in (1, 3):
        source = questions(BOT_IDS[:bots], seed=round_ * 10 + bots)
        for in_flight, answers in LOADS.items():
            run = partial(closed_loop, subject, source, in_flight, max(in_flight * 2, int(answers * scale)))
            rows.append(_timed(name, bots, str(in_flight), cpu_s, run))
    return rows


def stream(
    name: str, subject: SystemUnderTest, cpu_s: Callable[[], float], rates: dict[int, float], scale: float, round_: int
) -> Rows:
    """Measure a subject with a Poisson stream, for one bot and for three; all subjects get the same arrivals."""
    rows = []
    for bots, per_s in rates.items():
        source = questions(BOT_IDS[:bots], seed=1000 + round_ * 10 + bots)
        run = partial(poisson, subject, source, per_s, max(60, int(360 * scale)), round_)
        rows.append(_timed(name, bots, "poisson", cpu_s, run))
    return rows


def _timed(name: str, bots: int, load: str, cpu_s: Callable[[], float], run: Callable[[], RunResult]) -> dict[str, Any]:
    before = cpu_s()
    outcome = run()
    outcome.cpu_s = cpu_s() - before
    measured = row(name, bots, load, outcome)
    say(f"{name}, {bots} bot{'s'[: bots > 1]}, {load:>7}: {measured['answers_per_s']:6.2f} answers/s, "
        f"p50 {measured['p50_ms']:.0f} ms, p99 {measured['p99_ms']:.0f} ms")  # fmt: skip
    return measured


def baselines(settings: Settings, version: Path, prompts: list[list[int]], rounds: int) -> Rows:
    """Measure (a), the original loop, and (b), transformers' generate."""
    network = reference_network(version, settings)
    run = partial(original, network, prompts[:3])
    rows = [_timed("a original", 1, "1", _own_cpu_s, run) for _ in range(rounds)]
    dtype = fastest_dtype()
    say(f"b runs in {dtype}")
    network = network.to(dtype)
    for _ in range(rounds):
        for batch in LOADS:
            run = partial(generate, network, prompts[: max(4, batch)], batch)
            rows.append(_timed("b generate", 1, str(batch), _own_cpu_s, run))
    return rows


def worker_rows(
    settings: Settings, versions: dict[str, Path], rounds: int, scale: float
) -> tuple[Rows, dict[str, Any]]:
    """Measure in each round: (d), the worker; (c), the bare loop with the same arrivals; (d) without exactly-once."""
    rows: Rows = []
    memory: dict[str, Any] = {}
    for number in range(rounds):
        # The worker comes first, because the rate of the Poisson stream is 70 % of its throughput.
        rates: dict[int, float] = {}
        with running_worker(settings, versions, "serving") as (worker, client):
            memory["three bots at rest"] = worker.memory_mb()
            found = closed_loops("d worker", client, worker.cpu_s, scale, number)
            rates = {bots: POISSON_SHARE * _best(found, bots) for bots in (1, 3)}
            rows += found + stream("d worker", client, worker.cpu_s, rates, scale, number)
            memory["three bots after load"] = worker.memory_mb()
        with bare(settings, versions) as loop:
            rows += closed_loops("c bare loop", loop, _own_cpu_s, scale, number)
            rows += stream("c bare loop", loop, _own_cpu_s, rates, scale, number)
        with running_worker(settings, versions, "benchmarks.plain_worker") as (worker, client):
            rows += closed_loops("d without exactly-once", client, worker.cpu_s, scale, number)
            rows += stream("d without exactly-once", client, worker.cpu_s, rates, scale, number)
    return rows, memory


@contextmanager
def running_worker(
    settings: Settings, versions: dict[str, Path], module: str
) -> Iterator[tuple[BenchWorker, KafkaClient]]:
    """Yield a worker on a new broker: the plain worker commits no offsets, so a later worker would answer again."""
    with broker(settings, say), ExitStack() as cleaning:
        worker = BenchWorker(settings, {bot: [path] for bot, path in versions.items()}, module=module)
        cleaning.callback(worker.stop)
        client = KafkaClient(settings)
        cleaning.callback(client.close)
        warm_up(client)
        yield worker, client


def _own_cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _best(rows: Rows, bots: int) -> float:
    return max(float(found["answers_per_s"]) for found in rows if found["bots"] == bots)


def machine() -> dict[str, Any]:
    """Return the facts about this machine."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True,
                            check=False).stdout.strip()  # fmt: skip
    return {
        "processor": model, "cores": usable_cores(), "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(), "commit": commit, "load_before": psutil.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    """Run all benchmarks and write ``var/bench/report.json``, ``report.md`` and ``report.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of repetitions; the report shows medians")
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the number of answers; below 1 is faster")
    parser.add_argument("--swaps", type=int, default=50, help="consecutive swaps that check whether memory is freed")
    parser.add_argument("--largest-backlog", type=int, default=100_000, help="questions in the largest backlog")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure besides the worker, by commas")
    parser.add_argument("--offset", type=int, default=23_000, help="offset of the broker's ports")
    parser.add_argument("--threads", type=int, default=0, help="cores of the engine, in worker and bare loop; 0: all")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the broker and the workers end too
    with hold_lock(HOME.with_suffix(".lock"), say):  # two runs would remove each other's broker
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Run all benchmarks one after another."""
    settings = settings_of(arguments.offset, arguments.threads)
    HOME.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"machine": machine()}
    versions = full_size_versions(CHECKOUT / "var" / "bench-models", say)
    served = load_served(versions[BOT_IDS[0]], settings)
    source = questions(BOT_IDS[:1], seed=1)
    prompts = [served.encode(question.text) for question in islice(source, 64)]
    facts["prompt_tokens"] = len(prompts[0])
    facts["form"] = served.choice.as_fields()
    say(f"form: {facts['form']}")
    facts["limits"] = limits(served.choice.form)
    say(f"limits: {facts['limits']}")
    parts = arguments.parts.split(",")
    rows = baselines(settings, versions[BOT_IDS[0]], prompts, arguments.rounds)
    more, facts["memory_mb"] = worker_rows(settings, versions, arguments.rounds, arguments.scale)
    facts["rows"] = rows + more
    _write(facts)
    if "swaps" in parts:
        _measure_swaps(settings, versions, more, facts, arguments.swaps)
    if "growth" in parts:
        with broker(settings, say):
            facts["growth"] = growth(settings, arguments.largest_backlog, say)
        _write(facts)


def _measure_swaps(
    settings: Settings, versions: dict[str, Path], more: Rows, facts: dict[str, Any], count: int
) -> None:
    rate = POISSON_SHARE * _best([found for found in more if found["subject"] == "d worker"], 3)
    # Three versions of each bot: its own weights, and the weights of the other two bots.
    own = list(versions.values())
    rotated = {bot: [*own[index:], *own[:index]] for index, bot in enumerate(versions)}
    with broker(settings, say):
        facts["swaps"] = swaps(settings, rotated, rate, count, say)
    _write(facts)


def _write(facts: dict[str, Any]) -> None:
    """Write the results so far, so that an interrupted run leaves them."""
    HOME.mkdir(parents=True, exist_ok=True)  # removed whenever a broker is stopped
    (HOME / "report.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
    report.write(facts, HOME)
    say(f"written: {HOME}/report.json, report.md, report.png")


if __name__ == "__main__":
    main()
