"""`python -m serving`: one worker, until SIGTERM.

Joins the parts; each of them is told what it needs and knows none of the others' libraries.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import disable_created_metrics

from kogpt2_chat import bootstrap
from kogpt2_chat.artifact.forms import Choice
from kogpt2_chat.errors import Fenced, InvalidInput, KogptChatError, Unavailable
from kogpt2_chat.inference.engine import BotModel, Engine
from kogpt2_chat.log import configure_logging
from kogpt2_chat.machine.cores import affinity_cores, library_threads
from kogpt2_chat.ports import TransactionalConsumer
from kogpt2_chat.settings import Settings, load_settings
from serving.crashes import CrashLog
from serving.health import HealthReport, HealthServer
from serving.lease import lease_ordinal
from serving.loop import Loop
from serving.metrics import Metrics
from serving.rollout_follower import RolloutFollower
from serving.slot import Slots
from serving.stopping import STOPPED, Stop, end_at_once
from serving.version_cache import VersionCache
from serving.watchdog import Failpoint, Watchdog
from serving.worker import Worker

SETTINGS_WRONG: Final = 2
SLOT_LOST: Final = 3
"""Exit code that a supervisor must not answer with a restart: the two processes would oust each other in turn."""
FINISH_S: Final = 4.0
"""After SIGTERM: how long questions in hand may still take before they are dropped."""

_log = structlog.get_logger("serving")


def main() -> int:
    """Answer questions until told to stop.

    Returns:
        The exit code: 0 stopped on request, 1 failed (also: the slot is taken on this machine), 2 unusable settings,
        3 another machine's process has taken this slot.
    """
    end_at_once()
    configure_logging("json")
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the process's own start says it for all counters
    try:
        settings = load_settings()
    except KogptChatError as error:
        _log.error("settings_wrong", error=str(error))
        return SETTINGS_WRONG
    if settings.serving.nice:
        os.nice(settings.serving.nice)
    stop = Stop()
    try:
        lease = lease_ordinal(settings.home, settings.serving.slot)
        structlog.contextvars.bind_contextvars(worker=f"worker-{lease.slot}")
        _serve(settings, lease.slot, stop)
    except Fenced as error:
        _log.critical("slot_lost", error=str(error), todo="give every worker a number of its own")
        return SLOT_LOST
    except InvalidInput as error:  # found before anything is joined; a restart would find the same
        _log.error("settings_wrong", error=str(error))
        return SETTINGS_WRONG
    except (KogptChatError, OSError) as error:
        if stop.event.is_set():  # whatever fails then: it was asked to end, and it ends
            _log.warning("stopped_unclean", error=f"{type(error).__name__}: {error}")
            return STOPPED
        _log.error("worker_failed", error=f"{type(error).__name__}: {error}")
        return 1
    return STOPPED


def _serve(settings: Settings, slot: int, stop: Stop) -> None:
    name = f"worker-{slot}"
    watchdog = Watchdog(settings.serving.watchdog_s, lambda silent_s: _log.critical("stalled", silent_s=silent_s))
    failpoint = Failpoint()

    def on_step(step: str) -> None:
        watchdog.beat()
        failpoint.reach(step)

    slots = Slots()
    crashes = CrashLog(settings.home / "run" / f"{name}.crashes.json", lambda trouble: slots.note("crashes", trouble))
    metrics = Metrics(slots=slots.reports, suspects=lambda: crashes.suspects)
    engine, load, make_engine = _model_parts(settings)
    worker = Worker(
        engine=engine, slots=slots, crashes=crashes, metrics=metrics, settings=settings, name=name, on_step=on_step
    )
    control = _control(settings, name, slots, metrics, load, make_engine)
    # Until here nothing is held, and a signal may simply end the process.
    stop.listen()
    consumer = _open_consumer(settings, slot, on_step, stop)
    loop = Loop(
        consumer=consumer,
        worker=worker,
        metrics=metrics,
        stop=stop.event,
        publisher=ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher"),
        max_in_flight=settings.serving.max_in_flight,
        models_loaded=control.settled,
        on_step=on_step,
    )

    health = _health(settings, slot, loop, slots, metrics, watchdog)
    health.start()
    control.start()
    watchdog.start()
    _log.info("worker_started", port=health.port, kafka=settings.kafka_bootstrap)
    is_mine = True
    try:
        loop.run(FINISH_S)
    except Fenced:
        is_mine = False
        raise
    finally:
        _shut_down(consumer, control, health, sign_off=is_mine)
        _log.info("worker_stopped", **metrics.tally())


def _control(
    settings: Settings,
    name: str,
    slots: Slots,
    metrics: Metrics,
    load: Callable[[Path], BotModel],
    make_engine: Callable[[], Engine],
) -> RolloutFollower:
    """What brings versions about that a rollout asks for."""
    shelf = VersionCache(
        folder=settings.home / "models" / name,
        registry=cache(lambda: bootstrap.registry(settings)),
        load=load,
        make_engine=make_engine,
    )
    shelf.sweep()
    threads = library_threads(settings.serving.threads)
    return RolloutFollower(
        topics=bootstrap.topics(settings),
        slots=slots,
        shelf=shelf,
        worker=name,
        every_s=settings.serving.swap_poll_s,
        on_swap=metrics.swapped,
        # Else the first load does not begin all the threads that OpenVINO may ever begin in this process.
        patient=threads in {0, 1} or threads >= affinity_cores(),
    )


def _health(
    settings: Settings, slot: int, loop: Loop, slots: Slots, metrics: Metrics, watchdog: Watchdog
) -> HealthServer:
    """The page that says how the worker is."""

    def look() -> HealthReport:
        turning = loop.has_polled.is_set() and watchdog.silent_s < settings.serving.watchdog_s / 2
        return HealthReport(
            ready=turning and not loop.stop.is_set(),
            worker=f"worker-{slot}",
            tally=metrics.tally(),
            slots=slots.reports(),
            epoch=slots.rollout_epochs(),
            silent_s=watchdog.silent_s,
        )

    port = settings.ports.at(settings.ports.worker_metrics + slot - 1)
    return HealthServer(settings.stack.host, port, look, metrics.page)


def _shut_down(
    consumer: TransactionalConsumer, control: RolloutFollower, health: HealthServer, *, sign_off: bool
) -> None:
    """In this order, each step within its own bound.

    1. Polling has stopped, and what was in hand is published or dropped, when this is called.
    2. The consumer leaves, so that the partitions can go to others.
    3. The control thread signs off, so that no rollout waits for this worker.
    4. The health page goes last: until then it said that the worker was stopping.
    """
    consumer.close()
    control.stop(sign_off=sign_off)
    health.close()


def _open_consumer(settings: Settings, slot: int, on_step: Callable[[str], None], stop: Stop) -> TransactionalConsumer:
    """Kafka may be starting too: wait for it, until told to stop."""
    from kogpt2_chat.adapters.kafka.transactional_consumer import KafkaTransactionalConsumer

    while True:
        on_step("connecting")
        try:
            return KafkaTransactionalConsumer(settings, slot, on_step=on_step)
        except Unavailable as error:
            _log.warning("kafka_unavailable", error=str(error))
            if stop.event.wait(1.0):
                raise


def _model_parts(settings: Settings) -> tuple[Engine, Callable[[Path], BotModel], Callable[[], Engine]]:
    """The engine that answers, how a version is loaded, and fresh engines for probes."""
    from kogpt2_chat.inference.loading import load_for_players, make_engine

    def load(folder: Path) -> BotModel:
        def say(choice: Choice) -> None:
            _log.info("engine_form_chosen", bot=folder.parent.name, version=folder.name, **choice.as_fields())

        return load_for_players(folder, settings, on_choice=say)

    return make_engine(settings), load, lambda: make_engine(settings)


if __name__ == "__main__":
    ended_with = main()
    with suppress(OSError, ValueError):  # nobody may be there to read it
        sys.stdout.flush()
        sys.stderr.flush()
    # All that matters is closed. The interpreter's own end would wait for a transaction that a lost broker holds.
    os._exit(ended_with)
