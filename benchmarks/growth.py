"""Does anything grow with the load or with history? Backlogs, partitions and workers, on a model that costs little."""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.swapping_worker import FOLDER
from benchmarks.through_kafka import KafkaClient, Worker, roll_out
from benchmarks.workload import Asked, poisson, questions, warm_up
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
    """Versions of two small layers: what remains is the cost of everything but the model."""
    shutil.rmtree(folder, ignore_errors=True)
    return {
        bot: [tiny_version(folder / bot / str(number), bot=bot, seed=number) for number in range(1, count + 1)]
        for bot in BOT_IDS
    }


def growth(settings: Settings, largest: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Throughput and memory as backlog, partitions and workers grow.

    Args:
        settings: of a running broker.
        largest: biggest backlog.
        say: progress.

    Returns:
        One row a measurement.
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
    running: list[Worker] = []
    with ExitStack() as cleaning:
        # All of them before the first question: one that is ready would answer, uncounted, while the others start.
        for slot in range(1, workers + 1):
            running.append(Worker(settings, versions, slot=slot))
            cleaning.callback(running[-1].stop)
        client = KafkaClient(settings, partitions)
        cleaning.callback(client.close)
        seconds, memory = drained(client, islice(source, count), count, lambda: _rss_mb(running))
    row = {
        "what": what, "questions": count, "partitions": partitions, "workers": workers,
        "answers_per_s": count / seconds, "rss_mb_after_a_tenth": memory[0], "rss_mb_at_the_end": memory[-1],
    }  # fmt: skip
    say(f"{what}: {count} questions, {partitions} partitions, {workers} workers: {row['answers_per_s']:.0f} answers/s, "
        f"RSS {memory[0]:.0f} -> {memory[-1]:.0f} MB")  # fmt: skip
    return row


def drained(
    client: KafkaClient, asked: Iterable[Asked], count: int, rss_mb: Callable[[], float]
) -> tuple[float, list[float]]:
    """Ask everything as fast as it can be sent, and wait until all of it is answered, each once.

    Args:
        client: whom to ask through; the workers are ready.
        asked: the questions.
        count: how many they are.
        rss_mb: memory of the workers now.

    Returns:
        Seconds from the first question to the last answer; memory after a tenth and at the end.
    """
    began, seen = time.perf_counter(), set[str]()
    memory: list[float] = []
    for number, question in enumerate(asked):
        client.ask(question)
        if number % 10_000 == 0:
            client.flush()
    client.flush()
    while len(seen) < count:
        found = client.answered(1.0)
        doubled = len(found) - len(set(found) - seen)
        seen.update(found)
        if doubled:
            raise RuntimeError(f"{doubled} answers came twice")
        if not memory and len(seen) > count // 10:
            memory.append(rss_mb())
    return time.perf_counter() - began, [*memory, rss_mb()]


def swaps(
    settings: Settings, versions: dict[str, list[Path]], per_s: float, count: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Questions at a steady rate, without and then with models being swapped under them; then many swaps in a row.

    Args:
        settings: of a running broker.
        versions: three versions of each bot.
        per_s: questions a second.
        count: swaps one after another at the end.
        say: progress.

    Returns:
        p99 before and during, questions lost, memory before and after.
    """
    source_of_versions = settings.home / "registry"
    shutil.rmtree(source_of_versions, ignore_errors=True)
    for bot, folders in versions.items():
        for number, folder in enumerate(folders, start=1):
            shutil.copytree(folder, source_of_versions / bot / str(number), copy_function=os.link)
    source = questions(BOT_IDS, seed=99)
    epoch = FIRST_EPOCH
    with ExitStack() as cleaning:
        worker = Worker(
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
        memory = [_rss_mb([worker])]  # as after each of the following swaps, with the previous versions kept warm
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
    """One of three in turn: the next one is never among the two that are in memory."""
    return 1 + epoch % VERSIONS


class _Swapping:
    """A client that rolls another version out every ten seconds."""

    def __init__(self, client: KafkaClient, settings: Settings, epoch: int) -> None:
        self._client, self._settings, self.epoch, self.swaps = client, settings, epoch, 0
        self._last = time.monotonic()

    def ask(self, asked: Asked) -> None:
        if time.monotonic() - self._last > 10:
            self.epoch += 1
            self.swaps += 1
            roll_out(self._settings, version=_version(self.epoch), epoch=self.epoch)
            self._last = time.monotonic()
        self._client.ask(asked)

    def answered(self, wait_s: float) -> list[str]:
        return self._client.answered(wait_s)


def _wait_for(worker: Worker, epoch: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        health = worker.health()
        if all(found >= epoch for found in health["epoch"].values()) and all(
            slot["state"] == "ready" for slot in health["slots"]
        ):
            return
        time.sleep(0.1)
    raise RuntimeError(f"epoch {epoch} was not taken up within a minute")


def _rss_mb(workers: list[Worker]) -> float:
    return sum(worker.memory_mb()["rss_mb"] for worker in workers)
