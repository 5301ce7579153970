"""The worker's other thread: hears what is rolled out, loads it aside, and says how each slot is doing.

``rollout_state`` is read by position, not in a group: every worker has to hear everything. Nothing that goes
wrong here may disturb the answering thread; it is told in ``worker_state`` and tried again.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from kogpt2_chat.domain.rollout import HEARTBEAT_S, RolloutState, WorkerState, is_news, wanted_version
from kogpt2_chat.domain.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.errors import InvalidMessage, KogptChatError
from kogpt2_chat.ports import Outgoing, Record, Topics
from serving.shelf import Shelf
from serving.slot import Loaded, Slots

RETRY_S: Final = (2.0, 5.0, 15.0, 60.0)
"""Waits before a version that would not load is tried again."""
_BEHIND: Final = 5
"""Steps of niceness: enough to let decoding go first, and a quarter of a core is left on a machine that has none."""
_LAST: Final = 19

_log = structlog.get_logger("serving.control")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of one load."""

    version: int
    epoch: int
    loaded: Loaded | None
    trouble: str = ""


def _stand_back() -> None:
    """The calling thread gets what decoding leaves of the processor: a rollout may take longer, answers may not.

    There is no way back without privileges, and threads that it begins inherit it. So the first load, which begins the
    threads that decoding shares, is not done by such a thread.
    """
    if sys.platform != "linux":  # only there a thread has a niceness of its own
        return
    thread = threading.get_native_id()
    with suppress(OSError):  # then it competes, as every thread does
        os.setpriority(os.PRIO_PROCESS, thread, min(_LAST, os.getpriority(os.PRIO_PROCESS, thread) + _BEHIND))


class Control:
    """Rolls out in one worker.

    Args:
        topics: a connection of its own.
        slots: shared with the answering thread.
        shelf: where versions are taken from.
        worker: ``worker-N``.
        every_s: how often rollouts are looked for.
        patient: later loads stand back behind decoding. Not where decoding may still begin threads that it shares: they
            would inherit it from a load.
        monotonic: seconds, for heartbeats and retries.

    Attributes:
        settled: set once what is rolled out has been heard, and every slot has a model or was given up for now.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        slots: Slots,
        shelf: Shelf,
        worker: str,
        every_s: float,
        patient: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._slots = slots
        self._shelf = shelf
        self._worker = worker
        self._every_s = every_s
        self._monotonic = monotonic
        self._known: dict[str, RolloutState] = {}
        self._positions: dict[int, int] = {}
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader")
        self._patient_loader = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="patient-loader", initializer=_stand_back if patient else None
        )
        self._loads: dict[str, Future[_Outcome]] = {}
        self._failures: dict[str, tuple[int, int, float]] = {}
        self._kept: dict[str, set[int]] = {}
        self._said: tuple[object, ...] = ()
        self._said_at = float("-inf")
        self.settled = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self, *, sign_off: bool = True) -> None:
        """Stop listening.

        Args:
            sign_off: say that this worker is gone, so that nobody waits for it; not where another process goes on
                under its name.
        """
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        for loader in (self._loader, self._patient_loader):
            loader.shutdown(wait=False, cancel_futures=True)
        if not sign_off:
            return
        # With the broker away the farewell would take longer than a supervisor waits.
        farewell = threading.Thread(target=self._sign_off, name="sign-off", daemon=True)
        farewell.start()
        farewell.join(timeout=2.0)

    def tick(self) -> None:
        """One round: news, loads begun and ended, heartbeat."""
        self._hear()
        for bot, state in self._known.items():
            self._slots.mute(bot, muted=state.muted)
            self._finish_load(bot)
            self._begin_load(bot, state)
            self._tidy(bot)
        if all(self._slots.newest(bot) is not None for bot in self._loads):
            self.settled.set()
        self._say()

    def _sign_off(self) -> None:
        try:
            self._topics.send([Outgoing(topic=WORKER_TOPIC, key=self._worker.encode(), value=None)])
        except KogptChatError as error:
            _log.warning("sign_off_failed", error=str(error))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.tick()
            except KogptChatError as error:  # Kafka away: the answering thread says so too
                _log.warning("control_failed", error=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours must not end the heartbeat
                _log.exception("control_failed")
            self._stopped.wait(self._every_s)

    def _hear(self) -> None:
        """Read what is new since the last round; the first time, what the topic still holds."""
        if not self._positions:
            self._positions = self._topics.start_positions(ROLLOUT_TOPIC)
        for partition, end in self._topics.end_positions(ROLLOUT_TOPIC).items():
            for record in self._topics.read(ROLLOUT_TOPIC, partition, self._positions[partition], end):
                self._learn(record)
            self._positions[partition] = end

    def _learn(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            state = RolloutState.from_json(record.value)
        except InvalidMessage as error:
            _log.warning("rollout_state_unreadable", offset=record.offset, error=str(error))
            return
        if state.bot in self._slots.epochs() and is_news(state, self._known.get(state.bot)):
            self._known[state.bot] = state
            _log.info("rollout_heard", bot=state.bot, version=state.champion, epoch=state.epoch, muted=state.muted)

    def _begin_load(self, bot: str, state: RolloutState) -> None:
        wanted = wanted_version(state)
        if wanted is None:  # muted or not, there is nothing to load; whoever published it waits for the epoch
            if self._slots.epochs()[bot] < state.epoch:
                self._slots.degrade(bot, state.epoch, "no version has been rolled out yet")
            return
        if bot in self._loads:
            return
        newest = self._slots.newest(bot)
        if newest is not None and newest.version == wanted:
            if self._slots.epochs()[bot] < state.epoch or self._has_failed(bot):
                self._failures.pop(bot, None)
                self._slots.offer(bot, newest, state.epoch)
            return
        warm = self._slots.warm(bot, wanted)
        if warm is not None:
            self._slots.offer(bot, warm, state.epoch)
            return
        version, failures, retry_at = self._failures.get(bot, (wanted, 0, 0.0))
        if version == wanted and failures and self._monotonic() < retry_at:
            self._note_epoch(bot, state)
            return
        if not failures or version != wanted:
            self._slots.loading(bot, wanted)
        loader = self._patient_loader if self._has_a_model() else self._loader
        self._loads[bot] = loader.submit(self._load, bot, wanted, state.epoch)

    def _load(self, bot: str, version: int, epoch: int) -> _Outcome:
        """In the loader's thread. An empty slot gets what this machine served last before anything is fetched."""
        if not self._shelf.has(bot, version):
            self._fill_in(bot)
        try:
            return _Outcome(version=version, epoch=epoch, loaded=self._shelf.take(bot, version))
        except Exception as error:  # noqa: BLE001 - whatever a bad version does, the old one goes on serving
            self._fill_in(bot)
            trouble = f"version {version} did not load: {type(error).__name__}: {error}"
            return _Outcome(version=version, epoch=epoch, loaded=None, trouble=trouble)

    def _fill_in(self, bot: str) -> None:
        """Offered under no epoch, so that it answers players and never a rollout."""
        last_good = self._shelf.last_good(bot)
        if self._slots.newest(bot) is not None or last_good is None:
            return
        try:
            self._slots.offer(bot, self._shelf.take(bot, last_good), 0, f"version {last_good} was served last")
        except Exception as error:  # noqa: BLE001 - the slot stays empty
            _log.warning("last_good_failed", bot=bot, version=last_good, error=str(error))

    def _finish_load(self, bot: str) -> None:
        load = self._loads.get(bot)
        if load is None or not load.done():
            return
        del self._loads[bot]
        outcome = load.result()
        if outcome.trouble:
            _, failures, _ = self._failures.get(bot, (outcome.version, 0, 0.0))
            wait_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
            self._failures[bot] = (outcome.version, failures + 1, self._monotonic() + wait_s)
            _log.warning("version_degraded", bot=bot, version=outcome.version, error=outcome.trouble)
        else:
            self._failures.pop(bot, None)
            _log.info("version_loaded", bot=bot, version=outcome.version, epoch=outcome.epoch)
        if outcome.loaded is None:
            self._slots.degrade(bot, outcome.epoch, outcome.trouble)
        else:
            self._slots.offer(bot, outcome.loaded, outcome.epoch, outcome.trouble)

    def _has_a_model(self) -> bool:
        """Whether players may be waiting for answers of this process."""
        return any(self._slots.newest(bot) is not None for bot in self._slots.epochs())

    def _has_failed(self, bot: str) -> bool:
        return bot in self._failures

    def _note_epoch(self, bot: str, state: RolloutState) -> None:
        """A new epoch that still asks for the version that would not load is answered at once."""
        if self._slots.epochs()[bot] < state.epoch:
            self._slots.degrade(bot, state.epoch, f"version {state.champion} did not load; it is tried again")

    def _tidy(self, bot: str) -> None:
        """After a swap: remember what serves now, and clear the shelf of what nobody holds."""
        in_use = self._slots.versions_in_use(bot)
        serving, _, _ = self._slots.serving(bot)
        if serving is None or bot in self._loads or self._kept.get(bot) == in_use:
            return
        self._shelf.keep(bot, serving.version, in_use)
        self._kept[bot] = in_use

    def _say(self) -> None:
        reports, epochs = self._slots.reports(), self._slots.epochs()
        says = (reports, tuple(sorted(epochs.items())))
        if says == self._said and self._monotonic() - self._said_at < HEARTBEAT_S:
            return
        state = WorkerState(worker=self._worker, epoch_by_bot=epochs, slots=reports, at=datetime.now(UTC).isoformat())
        self._topics.send([Outgoing(topic=WORKER_TOPIC, key=self._worker.encode(), value=state.to_json().encode())])
        self._said, self._said_at = says, self._monotonic()
