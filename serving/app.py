"""Assemble one worker from its parts. Each part receives what it needs and does not import the others' libraries."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import structlog

from kogpt2_chat import bootstrap
from kogpt2_chat.artifact.forms import FormChoice
from kogpt2_chat.errors import Fenced, Unavailable
from kogpt2_chat.health_server import HealthServer
from kogpt2_chat.inference.engine import BotModel, Engine
from kogpt2_chat.machine.cores import affinity_cores, library_threads
from kogpt2_chat.ports import Registry, Topics, TransactionalConsumer
from kogpt2_chat.settings import Settings
from kogpt2_chat.world_keys import signing_keys
from serving.crashes import CrashLog
from serving.health import HealthReport
from serving.loop import Loop
from serving.metrics import Metrics
from serving.rollout_follower import RolloutFollower
from serving.slot import Slots
from serving.stopping import Stop
from serving.version_cache import VersionCache
from serving.watchdog import Failpoint, Watchdog
from serving.worker import Worker

FINISH_S: Final = 4.0
"""After SIGTERM: how long questions in flight may take before they are dropped."""

_log = structlog.get_logger("serving")


class LoadVersion(Protocol):
    """Loads a version's folder for the serving engine."""

    def __call__(
        self, folder: Path, settings: Settings, *, on_choice: Callable[[FormChoice], None] = lambda _: None
    ) -> BotModel:
        """Return the loaded version."""
        ...


def _load(folder: Path, settings: Settings, *, on_choice: Callable[[FormChoice], None] = lambda _: None) -> BotModel:
    from kogpt2_chat.inference.loading import load_for_players

    return load_for_players(folder, settings, on_choice=on_choice)


def _make_engine(settings: Settings) -> Engine:
    from kogpt2_chat.inference.loading import make_engine

    return make_engine(settings)


@dataclass(frozen=True, kw_only=True)
class WorkerParts:
    """The replaceable parts of a worker. Benchmarks and tests pass their own.

    Attributes:
        consumer: opens the transactional consumer; called with the settings, the ordinal, and the function to which the
            consumer passes the name of each step.
        topics: opens a Kafka connection for the rollout follower.
        registry: opens the model registry.
        load: loads a version's folder.
        make_engine: returns a new engine.
    """

    consumer: Callable[[Settings, int, Callable[[str], None]], TransactionalConsumer] = bootstrap.transactional_consumer
    topics: Callable[[Settings], Topics] = bootstrap.topics
    registry: Callable[[Settings], Registry] = bootstrap.registry
    load: LoadVersion = _load
    make_engine: Callable[[Settings], Engine] = _make_engine


@dataclass(kw_only=True)
class WorkerApp:
    """All parts of one worker.

    Attributes:
        ordinal: the worker's number.
        stop: set when the worker must stop.
        parts: its replaceable parts.
    """

    settings: Settings
    ordinal: int
    stop: Stop
    parts: WorkerParts = field(default_factory=WorkerParts)

    def __post_init__(self) -> None:
        settings, self.name = self.settings, f"worker-{self.ordinal}"
        self.watchdog = Watchdog(
            settings.serving.watchdog_s, lambda silent_s: _log.critical("stalled", silent_s=silent_s)
        )
        self._failpoint = Failpoint()
        self.slots = Slots()
        crash_file = settings.home / "run" / f"{self.name}.crashes.json"
        self.crashes = CrashLog(crash_file, lambda trouble: self.slots.note("crashes", trouble))
        self.metrics = Metrics(slots=self.slots.reports, suspects=lambda: self.crashes.suspects)
        self.worker = Worker(
            engine=self.parts.make_engine(settings),
            slots=self.slots,
            crashes=self.crashes,
            metrics=self.metrics,
            settings=settings,
            name=self.name,
            on_step=self._on_step,
            keys=signing_keys(settings),
        )
        self.follower = self._make_follower()

    def run(self) -> None:
        """Answer questions until ``stop`` is set.

        Raises:
            Fenced: another process has taken this worker's ordinal.
            InvalidInput: the consumer cannot be opened with these settings.
            Unavailable: ``stop`` was set before Kafka was available, or a transaction has not ended in time.
        """
        self.stop.listen()  # before this, a signal simply ends the process: nothing is open yet
        consumer = self._open_consumer()
        loop = Loop(
            consumer=consumer,
            worker=self.worker,
            metrics=self.metrics,
            stop=self.stop.event,
            publisher=ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher"),
            max_in_flight=self.settings.serving.max_in_flight,
            models_loaded=self.follower.models_loaded,
            on_step=self._on_step,
        )
        health = self._make_health(loop)
        health.start()
        self.follower.start()
        self.watchdog.start()
        _log.info("worker_started", port=health.port, kafka=self.settings.kafka_bootstrap)
        is_mine = True
        try:
            loop.run(FINISH_S)
        except Fenced:
            is_mine = False
            raise
        finally:
            self._shut_down(consumer, health, sign_off=is_mine)
            _log.info("worker_stopped", **self.metrics.tally())

    def _on_step(self, step: str) -> None:
        self.watchdog.beat()
        self._failpoint.reach(step)

    def _make_follower(self) -> RolloutFollower:
        """Return the follower that loads the versions that are rolled out."""
        settings, parts = self.settings, self.parts

        def load(folder: Path) -> BotModel:
            def log_choice(choice: FormChoice) -> None:
                _log.info("engine_form_chosen", bot=folder.parent.name, version=folder.name, **choice.as_fields())

            return parts.load(folder, settings, on_choice=log_choice)

        versions = VersionCache(
            folder=settings.home / "models" / self.name,
            registry=cache(lambda: parts.registry(settings)),
            load=load,
            make_engine=lambda: parts.make_engine(settings),
        )
        versions.sweep()
        threads = library_threads(settings.serving.threads)
        return RolloutFollower(
            topics=parts.topics(settings),
            slots=self.slots,
            versions=versions,
            worker=self.name,
            on_swap=self.metrics.swapped,
            # With other thread counts, OpenVINO creates some of its shared threads during a later load, and they would
            # inherit that load's low priority.
            low_priority_loads=threads in {0, 1} or threads >= affinity_cores(),
        )

    def _open_consumer(self) -> TransactionalConsumer:
        """Connect to Kafka, which may be starting too: retry until it is available or ``stop`` is set.

        Raises:
            Unavailable: ``stop`` was set before Kafka was available.
        """
        while True:
            self._on_step("connecting")
            try:
                return self.parts.consumer(self.settings, self.ordinal, self._on_step)
            except Unavailable as error:
                _log.warning("kafka_unavailable", error=str(error))
                if self.stop.event.wait(1.0):
                    raise

    def _make_health(self, loop: Loop) -> HealthServer:
        def snapshot() -> HealthReport:
            is_running = loop.has_polled.is_set() and self.watchdog.silent_s < self.settings.serving.watchdog_s / 2
            return HealthReport(
                ready=is_running and not loop.stop.is_set(),
                worker=self.name,
                tally=self.metrics.tally(),
                slots=self.slots.reports(),
                epoch=self.slots.rollout_epochs(),
                silent_s=self.watchdog.silent_s,
            )

        port = self.settings.ports.at(self.settings.ports.worker_metrics + self.ordinal - 1)
        return HealthServer(self.settings.stack.host, port, snapshot, self.metrics.page)

    def _shut_down(self, consumer: TransactionalConsumer, health: HealthServer, *, sign_off: bool) -> None:
        """Close the parts in this order, each within its own time limit.

        When this is called, polling has stopped, and every question in flight is published or dropped.

        1. The consumer leaves the group, so that other workers can take the partitions.
        2. The rollout follower signs off, so that no rollout waits for this worker.
        3. The health page closes last: until then it reports that the worker is not ready.
        """
        consumer.close()
        self.follower.stop(sign_off=sign_off)
        health.close()
