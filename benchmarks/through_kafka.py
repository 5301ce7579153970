"""A real worker process, and a Kafka client for it; the client uses librdkafka, so that it needs little CPU time."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
import requests
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from benchmarks.workload import NEW_TOKENS, BenchQuestion
from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, ROLLOUT_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.domain.chat.wire import v1_text
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.program import environment_with_settings
from kogpt2_chat.stack.stack import down, up

START_S: Final = 120.0


@contextmanager
def broker(settings: Settings, progress: Callable[[str], None]) -> Iterator[None]:
    """Run only Kafka, in the benchmark's own home."""
    down(settings, wipe=True, progress=lambda _: None)
    try:
        up(settings, only=["kafka"], progress=progress, on_ready=lambda: _prepare(settings))
        yield
    finally:
        down(settings, wipe=True, progress=lambda _: None)


def roll_out(settings: Settings, version: int, epoch: int) -> None:
    """Publish rollout states for all bots, without a registry."""
    now = datetime.now(UTC).isoformat()
    states = [RolloutState(bot=bot, epoch=epoch, champion=version, at=now, by="bench") for bot in BOT_IDS]
    bootstrap.topics(settings).send(
        Outgoing(topic=ROLLOUT_TOPIC, key=state.bot.encode(), value=state.to_json().encode()) for state in states
    )


def _prepare(settings: Settings) -> None:
    bootstrap.topics(settings).ensure()
    roll_out(settings, version=1, epoch=1)


def worker_environment(settings: Settings, ordinal: int, home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return a benchmark worker's environment, without the caller's settings, which may name a production broker."""
    own = {
        "KOGPT2_HOME": str(home),
        "KOGPT2_SERVING__ORDINAL": str(ordinal),
        "KOGPT2_MODEL__MAX_NEW_TOKENS": str(NEW_TOKENS),
    }
    return {**environment_with_settings(settings), **own, **more}


class BenchWorker:
    """A process of `python -m serving`, or of another module with the same settings, with local versions.

    Args:
        settings: of the broker's stack.
        versions: the folders of each bot's versions 1, 2 and so on.
        ordinal: the worker's ordinal.
        module: the module to run.
        environment: further environment variables.
        start_s: how long it may take to become ready.

    Attributes:
        process: the process.
        page: address of its health server.

    Raises:
        RuntimeError: the worker is not ready in time.
    """

    def __init__(
        self,
        settings: Settings,
        versions: Mapping[str, Sequence[Path]],
        *,
        ordinal: int = 1,
        module: str = "serving",
        environment: Mapping[str, str] | None = None,
        start_s: float = START_S,
    ) -> None:
        home = settings.home / f"worker-{ordinal}"
        shutil.rmtree(home, ignore_errors=True)
        for bot, folders in versions.items():
            for number, folder in enumerate(folders, start=1):
                target = home / "models" / f"worker-{ordinal}" / bot / str(number)
                shutil.copytree(folder, target, copy_function=os.link)
        self.page = f"http://{settings.stack.host}:{settings.ports.at(settings.ports.worker_metrics) + ordinal - 1}"
        self._log = (settings.home / f"worker-{ordinal}.log").open("ab")
        self.process = psutil.Popen(
            [sys.executable, "-m", module],
            cwd=CHECKOUT,
            stdout=self._log,
            stderr=self._log,
            env=worker_environment(settings, ordinal, home, environment or {}),
        )
        try:
            self._wait_ready(start_s)
        except BaseException:  # the caller has no reference to stop it
            self.stop()
            raise

    def health(self) -> dict[str, Any]:
        """Return the worker's health report; not ready if it does not answer."""
        try:
            return dict(requests.get(f"{self.page}/health", timeout=5).json())
        except requests.RequestException:
            return {"ready": False, "slots": []}

    def cpu_s(self) -> float:
        """Return the CPU time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> dict[str, float]:
        """Return the resident memory (RSS) and the part that is not shared with other processes (USS)."""
        full = self.process.memory_full_info()
        return {"rss_mb": round(full.rss / 2**20, 1), "uss_mb": round(full.uss / 2**20, 1)}

    def stop(self) -> None:
        """Send SIGTERM and wait; kill the worker after 20 s."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            self.process.kill()
        self._log.close()

    def _wait_ready(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and self.process.poll() is None:
            health = self.health()
            if health["ready"] and all(slot["state"] == "ready" for slot in health["slots"]):
                return
            time.sleep(0.2)
        raise RuntimeError(f"the worker is not ready after {within_s:g} s: see {self._log.name}")


class KafkaClient:
    """Sends questions to ``bot_question`` and reads the committed answers of all bots.

    Args:
        settings: of the broker's stack.
        partitions: how many of the topic's partitions get questions, in turn; 0: all, by key.
    """

    def __init__(self, settings: Settings, partitions: int = 0) -> None:
        self._partitions, self._sent = partitions, 0
        shared = {"bootstrap.servers": settings.kafka_bootstrap}
        self._producer = Producer({**shared, "linger.ms": 0, "acks": 1})
        self._consumer = Consumer({
            **shared, "group.id": f"bench-{time.time_ns()}", "isolation.level": "read_committed",
            "enable.auto.commit": False, "fetch.wait.max.ms": 500, "fetch.min.bytes": 1,
        })  # fmt: skip
        answer_partitions = [
            TopicPartition(bot, number) for bot in BOT_IDS for number in range(TOPIC_BY_NAME[bot].partitions)
        ]
        for partition in answer_partitions:
            partition.offset = self._consumer.get_watermark_offsets(partition, timeout=10)[1]
        self._consumer.assign(answer_partitions)
        self._consumer.consume(1, timeout=0.5)

    def ask(self, question: BenchQuestion) -> None:
        """Send a question."""
        value = v1_text(question_id=question.id, bot=question.bot, sender=question.id, text=question.text)
        where = {"partition": self._sent % self._partitions} if self._partitions else {}
        self._sent += 1
        self._producer.produce(QUESTION_TOPIC, value.encode(), key=question.id.encode(), **where)
        self._producer.poll(0)

    def answered(self, wait_s: float) -> list[str]:
        """Return the ids of the questions whose answers are visible now; wait up to ``wait_s`` for the first."""
        found: list[str] = []
        message: Any = self._consumer.poll(wait_s)
        while message is not None:
            if message.error():
                raise KafkaException(message.error())
            found.append(message.key().decode())
            message = self._consumer.poll(0)
        return found

    def flush(self) -> None:
        """Wait until Kafka has acknowledged all questions."""
        self._producer.flush(30)

    def close(self) -> None:
        """Close both connections."""
        self.flush()
        del self._producer  # ends its threads, which would otherwise keep trying to reach the stopped broker
        self._consumer.close()
