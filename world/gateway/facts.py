"""Reads the facts that the bots' stages are made of: workers' heartbeats from Kafka, aliases and runs from MLflow."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final

from kogpt2_chat import bootstrap
from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.topics import WORKER_TOPIC
from kogpt2_chat.domain.rollout.liveness import LivenessTracker
from kogpt2_chat.domain.rollout.states import WorkerState
from kogpt2_chat.errors import InvalidMessage, Unavailable
from kogpt2_chat.ports import Follower, Topics
from kogpt2_chat.settings import Settings
from world.gateway.stages import TRAINING_FOR_S, BotFacts, slot_facts

REGISTRY_EVERY_S: Final = 6.0
_POLL_S: Final = 0.5
_MOST_POLLS: Final = 20


class FactsReader:
    """Reads the facts; each call of :meth:`read` takes the news since the last one. Use it from one thread.

    Args:
        settings: the servers' addresses.
        topics: Kafka.
        monotonic: returns monotonic seconds.
    """

    def __init__(self, settings: Settings, topics: Topics, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._topics, self._monotonic = settings, topics, monotonic
        self._heartbeats: Follower | None = None
        self._state_by_worker: dict[str, WorkerState] = {}
        self._liveness = LivenessTracker()
        self._candidates: dict[str, int | None] = {}
        self._training: frozenset[str] = frozenset()
        self._registry_read_at_s = float("-inf")

    def read(self) -> Mapping[str, BotFacts]:
        """Return the facts by bot. If MLflow does not answer, its last facts stay.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._read_heartbeats()
        live = self._liveness.observe(self._state_by_worker.values(), self._monotonic()).live
        with suppress(Unavailable):
            self._read_registry()
        return {
            bot: replace(facts, candidate=self._candidates.get(bot), training=bot in self._training)
            for bot, facts in slot_facts({state.worker: state for state in live}).items()
        }

    def _read_heartbeats(self) -> None:
        if self._heartbeats is None:
            self._heartbeats = self._topics.follow([WORKER_TOPIC], from_end=False)
        try:
            self._take_heartbeats(self._heartbeats)
        except Unavailable:  # it keeps its positions
            raise
        except Exception:  # what the client library did not expect may come again with each poll
            self._heartbeats.close()
            self._heartbeats = None
            raise

    def _take_heartbeats(self, heartbeats: Follower) -> None:
        for _ in range(_MOST_POLLS):  # many workers write all the time, so there may always be one more record
            if not (records := heartbeats.poll(_POLL_S)):
                return
            for record in records:
                worker = (record.key or b"").decode("utf-8", "replace")
                if record.value is None:  # the worker has shut down
                    self._state_by_worker.pop(worker, None)
                    continue
                with suppress(InvalidMessage):
                    self._state_by_worker[worker] = WorkerState.from_json(record.value)

    def _read_registry(self) -> None:
        if self._monotonic() - self._registry_read_at_s < REGISTRY_EVERY_S:
            return
        self._registry_read_at_s = self._monotonic()
        self._candidates = bootstrap.aliases(self._settings, "candidate", BOT_IDS)
        since_ms = int((time.time() - TRAINING_FOR_S) * 1000)
        self._training = bootstrap.running_trainings(self._settings, since_ms)
