"""One worker on an in-memory broker, whose loop a test runs step by step."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import Turn
from kogpt2_chat.settings import Settings
from kogpt2_chat.testing.engine import ScriptedEngine, ScriptedModel
from kogpt2_chat.testing.executor import InlineExecutor
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics, InMemoryTransactionalConsumer, put_question
from serving.crashes import CrashLog
from serving.in_flight import InFlightTracker
from serving.loop import Loop
from serving.metrics import Metrics
from serving.slot import LoadedVersion, Slots
from serving.worker import Worker


def died_during(path: Path, work: str, times: int = 1) -> CrashLog:
    """Return the crash log of a worker whose predecessors died during this work."""
    for _ in range(times):
        CrashLog(path).begin([work])
    return CrashLog(path)


class WorkerHarness:
    """One worker with all its parts, on doubles.

    Attributes:
        now: the wall clock, which :meth:`tick` advances by 5 ms.
        seconds: how far the monotonic clock is ahead of the wall clock.
        steps: the steps that the worker has reported.
    """

    def __init__(
        self,
        folder: Path,
        *,
        models: bool = True,
        steps: int = 1,
        answers=None,
        uncertainty=None,
        fail_publishes: int = 0,
        **sections,
    ) -> None:
        self.broker = Broker()
        InMemoryTopics(self.broker).ensure()
        self.slots = Slots()
        self.engine = ScriptedEngine(steps=steps)
        self.metrics = Metrics(slots=self.slots.reports)
        self.settings = Settings(home=folder, **sections)
        self.crash_path = folder / "crashes.json"
        self.now = datetime(2026, 11, 24, 3, tzinfo=UTC)
        self.seconds = 0.0
        self.steps: list[str] = []
        self.consumer = InMemoryTransactionalConsumer(self.broker, fail_publishes)
        self.worker = Worker(
            engine=self.engine,
            slots=self.slots,
            crashes=CrashLog(self.crash_path),
            metrics=self.metrics,
            settings=self.settings,
            name="worker-1",
            clock=self.tick,
            monotonic=lambda: self.seconds + self.now.timestamp(),
            on_step=self.steps.append,
        )
        self.loop = Loop(
            consumer=self.consumer,
            worker=self.worker,
            metrics=self.metrics,
            stop=threading.Event(),
            publisher=InlineExecutor(),
            max_in_flight=self.settings.serving.max_in_flight,
        )
        if models:
            for bot in BOT_IDS:
                model = ScriptedModel(answers=answers or {"안녕?": "안녕하세요!"}, uncertainty=uncertainty)
                self.slots.activate(bot, LoadedVersion(version=3, model=model), rollout_epoch=2)

    def tick(self) -> datetime:
        self.now += timedelta(milliseconds=5)
        return self.now

    def ask(self, *values: str | bytes, partition: int = 0) -> None:
        for value in values:
            put_question(self.broker, value.encode() if isinstance(value, str) else value, partition)

    def drain(self, turns: int = 20) -> None:
        for _ in range(turns):
            self.loop.run_once()

    def swap(self, version: int, answer: str, rollout_epoch: int, bot: str = "ChatbotA") -> None:
        """Let another version, which answers every question with this text, answer from the next question on."""
        model = ScriptedModel(str(version), lambda _: answer)
        self.slots.activate(bot, LoadedVersion(version=version, model=model), rollout_epoch)

    def restart(self, model: ScriptedModel) -> None:
        """Continue as a new process, which has only the broker and the crash file."""
        self.slots, self.engine = Slots(), ScriptedEngine()
        self.consumer = InMemoryTransactionalConsumer(self.broker)
        self.worker = replace(
            self.worker,
            slots=self.slots,
            engine=self.engine,
            crashes=CrashLog(self.crash_path),
            tracker=InFlightTracker(),
        )
        self.loop = replace(self.loop, consumer=self.consumer, worker=self.worker)
        for bot in BOT_IDS:
            self.slots.activate(bot, LoadedVersion(version=9, model=model), rollout_epoch=3)

    def texts(self, bot: str = "ChatbotA") -> list[str]:
        return [record.value.decode() for record in self.broker.all(bot)]

    def turns(self) -> list[Turn]:
        return [Turn.from_json(record.value) for record in self.broker.all(TURN_TOPIC)]

    def dead(self) -> list[tuple[str, str]]:
        return [(record.headers["reason"], record.headers["turn_id"]) for record in self.broker.all(DEAD_LETTER_TOPIC)]
