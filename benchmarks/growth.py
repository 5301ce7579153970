"""Check whether time and memory grow with backlog, partitions and workers (with a tiny model), and with swaps."""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.swapping_worker import FOLDER
from benchmarks.through_kafka import BenchWorker, KafkaClient, roll_out
from benchmarks.workload import BenchQuestion, poisson, questions, warm_up
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.tiny_gpt2 import tiny_version

BACKLOGS: Final = (1_000, 10_000, 100_000)
PARTITIONS: Final = (1, 3, 12)
WORKERS: Final = (1, 2, 3)
QUESTIONS: Final = 5_000
FIRST_EPOCH: Final = 9
VERSIONS: Final = 3


def tiny_versions(folder: Path, count: int) -> dict[str, list[Path]]:
    """Write versions with tiny networks, so that the measurement shows the costs of everything except the model."""
    shutil.rmtree(folder, ignore_errors=True)
    return {
        bot: [tiny_version(folder / bot / str(number), bot=bot, seed=number) for number in range(1, count + 1)]
        for bot in BOT_IDS
    }


def growth(settings: Settings, largest: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure throughput and memory as backlog, partitions and workers grow.

    Args:
        settings: of a running broker.
        largest: largest backlog.
        say: called with lines of progress.

    Returns:
        One row per measurement.
    """
    versions = tiny_versions(settings.home / "tiny", 1)
    rows = [_backlog(settings, versions, "backlog", count, 12, 1, say) for count in BACKLOGS if count <= largest]
    rows += [_backlog(settings, versions, "partitions", QUESTIONS, parts, 1, say) for parts in PARTITIONS]
    rows += [_backlog(settings, versions, "workers", QUESTIONS, 12, workers, say) for workers in WORKERS]
    return rows


def _backlog(
    settings: Settings, versions: dict[str, list[Path]], what: str, count: int, partitions: int, workers: int,
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    source = questions(BOT_IDS, seed=count + partitions * 10 + workers)
    running: list[BenchWorker] = []
    with ExitStack() as cleaning:
        # Start all workers before the first question: otherwise the first one would answer while the others start,
        # and these answers would not be counted.
        for ordinal in range(1, workers + 1):
            running.append(BenchWorker(settings, versions, ordinal=ordinal))
            cleaning.callback(running[-1].stop)
        client = KafkaClient(settings, partitions)
        cleaning.callback(client.close)
        seconds, memory = drain(client, islice(source, count), count, lambda: _rss_mb(running))
    row = {
        "what": what, "questions": count, "partitions": partitions, "workers": workers,
        "answers_per_s": count / seconds, "rss_mb_after_a_tenth": memory[0], "rss_mb_at_the_end": memory[-1],
    }  # fmt: skip
    say(f"{what}: {count} questions, {partitions} partitions, {workers} workers: {row['answers_per_s']:.0f} answers/s, "
        f"RSS {memory[0]:.0f} -> {memory[-1]:.0f} MB")  # fmt: skip
    return row


def drain(
    client: KafkaClient, backlog: Iterable[BenchQuestion], count: int, rss_mb: Callable[[], float]
) -> tuple[float, list[float]]:
    """Send questions as fast as possible, and wait until each of them is answered once.

    Args:
        client: sends the questions; the workers must be ready.
        backlog: the questions.
        count: number of questions.
        rss_mb: returns the current memory of the workers.

    Returns:
        Seconds from the first question to the last answer; memory after a tenth of the answers and at the end.

    Raises:
        RuntimeError: a question is answered twice.
    """
    started, seen = time.perf_counter(), set[str]()
    memory: list[float] = []
    for number, question in enumerate(backlog):
        client.ask(question)
        if number % 10_000 == 0:
            client.flush()
    client.flush()
    while len(seen) < count:
        found = client.answered(1.0)
        duplicates = len(found) - len(set(found) - seen)
        seen.update(found)
        if duplicates:
            raise RuntimeError(f"{duplicates} questions were answered twice")
        if not memory and len(seen) > count // 10:
            memory.append(rss_mb())
    return time.perf_counter() - started, [*memory, rss_mb()]


def swaps(
    settings: Settings, versions: dict[str, list[Path]], per_s: float, count: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure a Poisson stream without swaps, then with swaps, then the memory after many consecutive swaps.

    Args:
        settings: of a running broker.
        versions: three versions of each bot.
        per_s: questions per second.
        count: number of consecutive swaps at the end.
        say: called with lines of progress.

    Returns:
        The numbers of answers and swaps, p99 before and during the swaps, and memory before and after.
    """
    source_of_versions = settings.home / "registry"
    shutil.rmtree(source_of_versions, ignore_errors=True)
    for bot, folders in versions.items():
        for number, folder in enumerate(folders, start=1):
            shutil.copytree(folder, source_of_versions / bot / str(number), copy_function=os.link)
    source = questions(BOT_IDS, seed=99)
    epoch = FIRST_EPOCH
    with ExitStack() as cleaning:
        worker = BenchWorker(
            settings, versions, module="benchmarks.swapping_worker", environment={FOLDER: str(source_of_versions)}
        )
        cleaning.callback(worker.stop)
        client = KafkaClient(settings)
        cleaning.callback(client.close)
        warm_up(client)
        before = poisson(client, source, per_s, int(per_s * 20), seed=1)
        swapping = _Swapping(client, settings, epoch)
        during = poisson(swapping, source, per_s, int(per_s * 30), seed=2)
        epoch = swapping.epoch
        _wait_for(worker, epoch)
        memory = [_rss_mb([worker])]  # includes the previous versions, which stay loaded after each swap
        for _ in range(count):
            epoch += 1
            roll_out(settings, version=_version(epoch), epoch=epoch)
            _wait_for(worker, epoch)
        time.sleep(1)
        memory.append(_rss_mb([worker]))
    facts = {
        "per_s": per_s, "answers": len(before.latencies_s) + len(during.latencies_s),
        "swaps_under_load": swapping.swaps,
        "p99_ms_before": before.percentile_ms(0.99), "p99_ms_during": during.percentile_ms(0.99),
        "swaps_in_a_row": count, "rss_mb_after_the_first_swaps": memory[0], "rss_mb_after_all_swaps": memory[1],
    }  # fmt: skip
    say(f"swaps: {facts}")
    return facts


def _version(epoch: int) -> int:
    """Return one of three versions in turn, so that the next one is never among the two in memory."""
    return 1 + epoch % VERSIONS


class _Swapping:
    """A client that rolls out another version every ten seconds."""

    def __init__(self, client: KafkaClient, settings: Settings, epoch: int) -> None:
        self._client, self._settings, self.epoch, self.swaps = client, settings, epoch, 0
        self._last = time.monotonic()

    def ask(self, question: BenchQuestion) -> None:
        if time.monotonic() - self._last > 10:
            self.epoch += 1
            self.swaps += 1
            roll_out(self._settings, version=_version(self.epoch), epoch=self.epoch)
            self._last = time.monotonic()
        self._client.ask(question)

    def answered(self, wait_s: float) -> list[str]:
        return self._client.answered(wait_s)


def _wait_for(worker: BenchWorker, epoch: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        health = worker.health()
        if all(found >= epoch for found in health["epoch"].values()) and all(
            slot["state"] == "ready" for slot in health["slots"]
        ):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the worker does not serve rollout epoch {epoch} after a minute")


def _rss_mb(workers: list[BenchWorker]) -> float:
    return sum(worker.memory_mb()["rss_mb"] for worker in workers)
