"""The rollout thread of a worker: follow rollouts, load versions in the background and report the slots' state.

It reads ``rollout_state`` without a consumer group, because every worker must read all of it. A failure here never
affects the answering thread: it is reported in ``worker_state``, and the step is tried again.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.next_step import next_step
from kogpt2_chat.domain.rollout.states import HEARTBEAT_S, RolloutState, VersionKey, WorkerState, is_newer
from kogpt2_chat.errors import InvalidMessage, KogptChatError
from kogpt2_chat.ports import Outgoing, Record, Topics
from serving.loads import LoadOutcome, Loads, NoLongerWantedError
from serving.slot import LoadedVersion, Slots
from serving.version_cache import VersionCache

POLL_S: Final = 0.5

_log = structlog.get_logger("serving.rollout")


class RolloutFollower:
    """Makes one worker serve the versions that are rolled out.

    Args:
        topics: a Kafka connection that no other thread uses.
        slots: shared with the answering thread.
        versions: loads versions.
        worker: ``worker-N``.
        every_s: how often rollouts are polled.
        low_priority_loads: whether to load at low priority once a model serves. Must be off if OpenVINO may still
            create shared threads, which would inherit the priority.
        on_swap: called with the bot's id when another version begins to answer.
        monotonic: seconds, for heartbeats and retries.

    Attributes:
        models_loaded: set once the rollouts have been read and no empty slot waits for a running load.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        slots: Slots,
        versions: VersionCache,
        worker: str,
        every_s: float = POLL_S,
        low_priority_loads: bool = True,
        on_swap: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._slots = slots
        self._versions = versions
        self._worker = worker
        self._every_s = every_s
        self._on_swap = on_swap
        self._monotonic = monotonic
        self._known: dict[str, RolloutState] = {}
        self._positions: dict[int, int] = {}
        self._read_whole_at = float("-inf")
        self._unreadable: set[bytes] = set()
        self._loads = Loads(self._load, low_priority=low_priority_loads)
        self._evicted: dict[str, tuple[int, set[int]]] = {}
        self._reported: tuple[object, ...] = ()
        self._reported_at = float("-inf")
        self._report_lock = threading.Lock()
        self.models_loaded = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollout", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, sign_off: bool = True) -> None:
        """Stop the thread.

        Args:
            sign_off: whether to send a tombstone, so that no rollout waits for this worker. Must be off if another
                process has its name now.
        """
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        if not sign_off:
            return
        # In a thread, because sending without a broker takes longer than a supervisor waits.
        tombstone = threading.Thread(target=self._sign_off, name="sign-off", daemon=True)
        tombstone.start()
        tombstone.join(timeout=2.0)

    def run_once(self) -> None:
        """Run one round: read rollouts, start and collect loads, report. A failure of one bot affects no other bot."""
        self._poll_states()
        self._slots.release_previous()
        known = dict(self._known)
        for bot, state in known.items():
            self._slots.mute(bot, muted=state.muted)
        for bot, state in known.items():
            for step in (self._apply, self._evict):
                try:
                    step(bot, state)
                except Exception:  # noqa: BLE001 - other bots and the heartbeat continue
                    _log.exception("rollout_follower_failed", bot=bot, step=step.__name__)
        if all(self._has_version(bot) for bot in self._loads.bots()):
            self.models_loaded.set()
        self._report()

    def _sign_off(self) -> None:
        try:
            with self._report_lock:  # no report may follow the tombstone
                self._topics.send([Outgoing(topic=WORKER_TOPIC, key=self._worker.encode(), value=None)])
        except KogptChatError as error:
            _log.warning("sign_off_failed", error=str(error))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.run_once()
            except KogptChatError as error:  # Kafka is not available; the answering thread logs this too
                _log.warning("rollout_follower_failed", error=str(error))
            except Exception:  # noqa: BLE001 - a bug must not stop the heartbeat
                _log.exception("rollout_follower_failed")
            self._stopped.wait(self._every_s)

    def _poll_states(self) -> None:
        """Read new records. Read all records again once per heartbeat interval, and if the topic has become shorter.

        A recreated topic may already be as long as the old one, so positions alone do not show that it is new. The
        topic has few records, and records that are already known change nothing.
        """
        ends, now = self._topics.end_positions(ROLLOUT_TOPIC), self._monotonic()
        is_shorter = any(self._positions.get(number, 0) > end for number, end in ends.items())
        if is_shorter or self._positions.keys() != ends.keys() or now - self._read_whole_at >= HEARTBEAT_S:
            self._positions, self._read_whole_at = self._topics.start_positions(ROLLOUT_TOPIC), now
        for partition, end in ends.items():
            for record in self._topics.read(ROLLOUT_TOPIC, partition, self._positions[partition], end):
                self._read(record)
            self._positions[partition] = end

    def _read(self, record: Record) -> None:
        if record.value is None or record.value in self._unreadable:
            return
        try:
            state = RolloutState.from_json(record.value)
        except InvalidMessage as error:
            self._unreadable.add(record.value)
            _log.warning("rollout_state_unreadable", offset=record.offset, error=str(error))
            return
        if state.bot in self._slots.rollout_epochs() and is_newer(state, self._known.get(state.bot)):
            self._known[state.bot] = state
            _log.info(
                "rollout_state_received", bot=state.bot, version=state.champion, epoch=state.epoch, muted=state.muted
            )

    def _apply(self, bot: str, state: RolloutState) -> None:
        """Take the next step towards the version that is rolled out for a bot, without blocking."""
        target, now_s = state.key, self._monotonic()
        self._loads.set_target(bot, target)
        loaded = self._in_memory(bot, target, self._loads.collect(bot, now_s))
        progress = self._loads.progress(bot)
        step = next_step(target, is_in_memory=loaded is not None, progress=progress, now_s=now_s)
        if step.action == "withdraw":  # nothing to load, but the rollout waits for the acknowledgement of its epoch
            self._slots.withdraw(bot, state.epoch)
        elif step.action == "activate" and loaded is not None:
            self._loads.clear_failure(bot)
            if self._slots.activate(bot, loaded, state.epoch):
                self._note_swap(bot, loaded)
        else:
            self._slots.wait_for_load(bot, state.epoch, step.state, step.detail)
            if step.action == "load":
                self._loads.begin_load(bot, is_serving=self._is_serving())

    def _in_memory(self, bot: str, target: VersionKey | None, outcome: LoadOutcome | None) -> LoadedVersion | None:
        """Return the target if it is in memory: just loaded, active or warm."""
        if target is None:
            return None
        if outcome is not None and outcome.loaded is not None:
            _log.info("version_loaded", bot=bot, version=target.number)
            return outcome.loaded
        if outcome is not None:
            _log.warning("version_degraded", bot=bot, version=target.number, error=outcome.trouble)
        return self._slots.loaded_version(bot, target.number, target.digest)

    def _load(self, bot: str, target: VersionKey, is_target: Callable[[], bool]) -> LoadedVersion:
        """Load a version, in its load's thread.

        If the slot is empty, and the version is not cached or does not load, also load the version that the slot served
        last, so that the bot can answer in the meantime.
        """
        if not self._versions.has(bot, target.number):
            self._load_last_good(bot, is_target)
        try:
            return self._versions.load(bot, target.number, target.digest, is_target)
        except NoLongerWantedError:
            raise
        except Exception:
            self._load_last_good(bot, is_target)
            raise

    def _load_last_good(self, bot: str, is_target: Callable[[], bool]) -> None:
        last_good = self._versions.last_good(bot)
        if self._has_version(bot) or last_good is None:
            return
        try:
            loaded = self._versions.load(bot, last_good, is_target=is_target)
        except Exception as error:  # noqa: BLE001 - the slot stays empty
            _log.warning("last_good_failed", bot=bot, version=last_good, error=str(error))
            return
        if is_target() and self._slots.fill_empty(bot, loaded):
            self._note_swap(bot, loaded)

    def _note_swap(self, bot: str, loaded: LoadedVersion) -> None:
        self._on_swap(bot)
        _log.info("swapped", bot=bot, version=loaded.version)

    def _has_version(self, bot: str) -> bool:
        return self._slots.route(bot).loaded is not None

    def _is_serving(self) -> bool:
        """Whether players may be waiting for answers from this process."""
        return any(self._has_version(bot) for bot in self._slots.rollout_epochs())

    def _evict(self, bot: str, state: RolloutState) -> None:
        """After a swap: record the active version and remove versions from disk that are not needed any more.

        The previous version stays on disk as long as the state names it, so that a rollback does not need the registry.
        """
        needed = self._slots.versions_in_use(bot) | self._loads.under_way(bot) | {state.previous or 0}
        active = self._slots.route(bot).loaded
        if active is None or self._evicted.get(bot) == (active.version, needed):
            return
        source = f"versions of {bot}"
        try:
            self._versions.evict_except(bot, active.version, needed)
        except OSError as error:
            self._slots.note(
                source, f"the active version of {bot} is not remembered, because its file cannot be written: {error}"
            )
            return
        self._slots.note(source, "")
        self._evicted[bot] = (active.version, needed)

    def _report(self) -> None:
        reports, epochs = self._slots.reports(), self._slots.rollout_epochs()
        report = (reports, tuple(sorted(epochs.items())))
        if report == self._reported and self._monotonic() - self._reported_at < HEARTBEAT_S:
            return
        state = WorkerState(worker=self._worker, epoch_by_bot=epochs, slots=reports, at=datetime.now(UTC).isoformat())
        with self._report_lock:
            if self._stopped.is_set():  # this round hung until after the tombstone
                return
            self._topics.send([Outgoing(topic=WORKER_TOPIC, key=self._worker.encode(), value=state.to_json().encode())])
        self._reported, self._reported_at = report, self._monotonic()
