"""The worker as it runs, asked and heard through Kafka by a client in C, so that the client costs little."""

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

from benchmarks.workload import NEW_TOKENS, Asked
from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import QUESTION_TOPIC, ROLLOUT_TOPIC, TOPIC_BY_NAME
from kogpt2_chat.domain.chat.wire import v1_text
from kogpt2_chat.domain.rollout.states import RolloutState
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import CHECKOUT, Settings
from kogpt2_chat.stack.program import exact_environment
from kogpt2_chat.stack.stack import down, up

START_S: Final = 120.0


@contextmanager
def broker(settings: Settings, progress: Callable[[str], None]) -> Iterator[None]:
    """Kafka alone, in a home of the benchmark's own."""
    down(settings, wipe=True, progress=lambda _: None)
    try:
        up(settings, only=["kafka"], progress=progress, on_ready=lambda: _prepare(settings))
        yield
    finally:
        down(settings, wipe=True, progress=lambda _: None)


def roll_out(settings: Settings, version: int, epoch: int) -> None:
    """Tell every worker which version to serve, without a registry."""
    now = datetime.now(UTC).isoformat()
    states = [RolloutState(bot=bot, epoch=epoch, champion=version, at=now, by="bench") for bot in BOT_IDS]
    bootstrap.topics(settings).send(
        Outgoing(topic=ROLLOUT_TOPIC, key=state.bot.encode(), value=state.to_json().encode()) for state in states
    )


def _prepare(settings: Settings) -> None:
    bootstrap.topics(settings).ensure()
    roll_out(settings, version=1, epoch=1)


def worker_environment(settings: Settings, slot: int, home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Of a measured worker. Nothing of the caller's settings: they may name brokers where real players wait."""
    own = {"KOGPT2_HOME": str(home), "KOGPT2_SERVING__SLOT": str(slot), "KOGPT2_MODEL__MAX_NEW_TOKENS": str(NEW_TOKENS)}
    return {**exact_environment(settings), **own, **more}


class Worker:
    """`python -m serving`, or another module with the same settings, on versions that need no registry.

    Args:
        settings: of the broker's stack.
        versions: the folders of each bot's versions 1, 2 and so on.
        slot: the worker's number.
        module: what to run.
        environment: more settings.
    """

    def __init__(
        self,
        settings: Settings,
        versions: Mapping[str, Sequence[Path]],
        *,
        slot: int = 1,
        module: str = "serving",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        home = settings.home / f"slot-{slot}"
        shutil.rmtree(home, ignore_errors=True)
        for bot, folders in versions.items():
            for number, folder in enumerate(folders, start=1):
                target = home / "models" / f"worker-{slot}" / bot / str(number)
                shutil.copytree(folder, target, copy_function=os.link)
        self._page = f"http://{settings.stack.host}:{settings.ports.at(settings.ports.worker_metrics) + slot - 1}"
        self._log = (settings.home / f"worker-{slot}.log").open("ab")
        self.process = psutil.Popen(
            [sys.executable, "-m", module],
            cwd=CHECKOUT,
            stdout=self._log,
            stderr=self._log,
            env=worker_environment(settings, slot, home, environment or {}),
        )
        try:
            self._wait_ready()
        except BaseException:  # nobody else knows of it yet
            self.stop()
            raise

    def health(self) -> dict[str, Any]:
        """What the worker says of itself; not ready while it says nothing."""
        try:
            return dict(requests.get(f"{self._page}/health", timeout=5).json())
        except requests.RequestException:
            return {"ready": False, "slots": []}

    def cpu_s(self) -> float:
        """Processor time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> dict[str, float]:
        """RSS, and what no other process shares (USS)."""
        full = self.process.memory_full_info()
        return {"rss_mb": round(full.rss / 2**20, 1), "uss_mb": round(full.uss / 2**20, 1)}

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            self.process.kill()
        self._log.close()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            health = self.health()
            if health["ready"] and all(slot["state"] == "ready" for slot in health["slots"]):
                return
            time.sleep(0.2)
        raise RuntimeError(f"the worker is not ready after {START_S:.0f} s: see {self._log.name}")


class KafkaClient:
    """Asks on ``bot_question`` and hears the committed answers of all bots.

    Args:
        settings: of the broker's stack.
        partitions: how many of the topic's partitions get questions; 0: all, by key.
    """

    def __init__(self, settings: Settings, partitions: int = 0) -> None:
        self._partitions, self._sent = partitions, 0
        shared = {"bootstrap.servers": settings.kafka_bootstrap}
        self._producer = Producer({**shared, "linger.ms": 0, "acks": 1})
        self._consumer = Consumer({
            **shared, "group.id": f"bench-{time.time_ns()}", "isolation.level": "read_committed",
            "enable.auto.commit": False, "fetch.wait.max.ms": 500, "fetch.min.bytes": 1,
        })  # fmt: skip
        places = [TopicPartition(bot, number) for bot in BOT_IDS for number in range(TOPIC_BY_NAME[bot].partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=10)[1]
        self._consumer.assign(places)
        self._consumer.consume(1, timeout=0.5)

    def ask(self, asked: Asked) -> None:
        """Send a question."""
        value = v1_text(question_id=asked.id, bot=asked.bot, sender=asked.id, text=asked.text)
        where = {"partition": self._sent % self._partitions} if self._partitions else {}
        self._sent += 1
        self._producer.produce(QUESTION_TOPIC, value.encode(), key=asked.id.encode(), **where)
        self._producer.poll(0)

    def answered(self, wait_s: float) -> list[str]:
        """Ids of answers that are visible now."""
        found: list[str] = []
        message: Any = self._consumer.poll(wait_s)
        while message is not None:
            if message.error():
                raise KafkaException(message.error())
            found.append(message.key().decode())
            message = self._consumer.poll(0)
        return found

    def flush(self) -> None:
        """Wait until everything asked so far stands in Kafka."""
        self._producer.flush(30)

    def close(self) -> None:
        """Give back both connections."""
        self.flush()
        del self._producer  # its threads end with it, or they would call for the broker when that has gone
        self._consumer.close()
