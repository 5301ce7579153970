"""The worker's other thread: hears what is rolled out, loads it aside, and says how each slot is doing.

``rollout_state`` is read by position, not in a group: every worker has to hear everything. Nothing that goes
wrong here may disturb the answering thread; it is told in ``worker_state`` and tried again.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from kogpt2_chat.domain.chat.topics import ROLLOUT_TOPIC, WORKER_TOPIC
from kogpt2_chat.domain.rollout.states import HEARTBEAT_S, RolloutState, WorkerState, is_newer, target_version
from kogpt2_chat.errors import InvalidMessage, KogptChatError
from kogpt2_chat.ports import Outgoing, Record, Topics
from serving.loads import Loads, NoLongerWantedError, Outcome, Wanted
from serving.slot import LoadedVersion, Slots
from serving.version_cache import VersionCache

_log = structlog.get_logger("serving.rollout_follower")


class RolloutFollower:
    """Rolls out in one worker.

    Args:
        topics: a connection of its own.
        slots: shared with the answering thread.
        shelf: where versions are taken from.
        worker: ``worker-N``.
        every_s: how often rollouts are looked for.
        patient: later loads stand back behind decoding. Not where decoding may still begin threads that it shares: they
            would inherit it from a load.
        on_swap: called with the bot when another version begins to answer.
        monotonic: seconds, for heartbeats and retries.

    Attributes:
        settled: set once what is rolled out has been heard, and every slot has a model or was given up for now.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        slots: Slots,
        shelf: VersionCache,
        worker: str,
        every_s: float,
        patient: bool = True,
        on_swap: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._slots = slots
        self._shelf = shelf
        self._worker = worker
        self._every_s = every_s
        self._on_swap = on_swap
        self._monotonic = monotonic
        self._known: dict[str, RolloutState] = {}
        self._positions: dict[int, int] = {}
        self._read_whole_at = float("-inf")
        self._unreadable: set[bytes] = set()
        self._loads = Loads(self._load, patient=patient, monotonic=monotonic)
        self._kept: dict[str, tuple[int, set[int]]] = {}
        self._said: tuple[object, ...] = ()
        self._said_at = float("-inf")
        self._voice = threading.Lock()
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
        if not sign_off:
            return
        # With the broker away the farewell would take longer than a supervisor waits.
        farewell = threading.Thread(target=self._sign_off, name="sign-off", daemon=True)
        farewell.start()
        farewell.join(timeout=2.0)

    def tick(self) -> None:
        """One round: news, loads begun and ended, heartbeat. What goes wrong with one bot costs no other anything."""
        self._hear()
        self._slots.release_previous()
        known = dict(self._known)
        for bot, state in known.items():
            self._slots.mute(bot, muted=state.muted)
        for bot, state in known.items():
            for step in (self._follow, self._tidy):
                try:
                    step(bot, state)
                except Exception:  # noqa: BLE001 - the other bots and the heartbeat go on
                    _log.exception("control_failed", bot=bot, step=step.__name__)
        if all(self._has_version(bot) for bot in self._loads.bots()):
            self.settled.set()
        self._say()

    def _sign_off(self) -> None:
        try:
            with self._voice:  # a heartbeat that is on its way comes first, and none after this
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
        """Read what is new since the last round; with each heartbeat's pace, and after the topic was lost, all of it.

        A topic that was made anew may have grown to where the lost one stood, and then no position tells. It holds a
        few records, and those that are known change nothing.
        """
        ends, now = self._topics.end_positions(ROLLOUT_TOPIC), self._monotonic()
        is_shorter = any(self._positions.get(number, 0) > end for number, end in ends.items())
        if is_shorter or self._positions.keys() != ends.keys() or now - self._read_whole_at >= HEARTBEAT_S:
            self._positions, self._read_whole_at = self._topics.start_positions(ROLLOUT_TOPIC), now
        for partition, end in ends.items():
            for record in self._topics.read(ROLLOUT_TOPIC, partition, self._positions[partition], end):
                self._learn(record)
            self._positions[partition] = end

    def _learn(self, record: Record) -> None:
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
            _log.info("rollout_heard", bot=state.bot, version=state.champion, epoch=state.epoch, muted=state.muted)

    def _follow(self, bot: str, state: RolloutState) -> None:
        """Bring one bot to what is rolled out for it, without waiting for anything."""
        version = target_version(state)
        wanted = None if version is None else Wanted(version, state.digest)
        self._loads.want(bot, wanted)
        outcome = self._loads.take_outcome(bot)
        if wanted is None:  # muted or not, there is nothing to load; whoever published it waits for the epoch
            self._slots.withdraw(bot, state.epoch)
        elif (held := self._held(bot, wanted, outcome)) is not None:
            self._loads.forgive(bot)
            if self._slots.activate(bot, held, state.epoch):
                self._note_swap(bot, held)
        else:
            self._fetch(bot, wanted, state.epoch, outcome)

    def _held(self, bot: str, wanted: Wanted, outcome: Outcome | None) -> LoadedVersion | None:
        """The version where it is in memory: just loaded, at work already, or kept warm."""
        if outcome is not None and outcome.loaded is not None:
            _log.info("version_loaded", bot=bot, version=wanted.version)
            return outcome.loaded
        return self._slots.warm(bot, wanted.version, wanted.digest)

    def _fetch(self, bot: str, wanted: Wanted, epoch: int, outcome: Outcome | None) -> None:
        """Acknowledge the epoch, and see that the version is on its way."""
        if outcome is not None:
            _log.warning("version_degraded", bot=bot, version=wanted.version, error=outcome.trouble)
        if trouble := self._loads.trouble(bot):
            self._slots.degrade(bot, epoch, trouble)
        else:
            self._slots.loading(bot, wanted.version, epoch)
        self._loads.begin_wanted(bot, behind=self._has_a_model())

    def _load(self, bot: str, wanted: Wanted, is_wanted: Callable[[], bool]) -> LoadedVersion:
        """In a thread of its own. An empty slot gets what this machine served last before anything is fetched."""
        if not self._shelf.has(bot, wanted.version):
            self._let_stand_in(bot, is_wanted)
        try:
            return self._shelf.take(bot, wanted.version, wanted.digest, is_wanted)
        except NoLongerWantedError:
            raise
        except Exception:
            self._let_stand_in(bot, is_wanted)
            raise

    def _let_stand_in(self, bot: str, is_wanted: Callable[[], bool]) -> None:
        last_good = self._shelf.last_good(bot)
        if self._has_version(bot) or last_good is None:
            return
        try:
            loaded = self._shelf.take(bot, last_good, is_wanted=is_wanted)
        except Exception as error:  # noqa: BLE001 - the slot stays empty
            _log.warning("last_good_failed", bot=bot, version=last_good, error=str(error))
            return
        if is_wanted() and self._slots.stand_in(bot, loaded):
            self._note_swap(bot, loaded)

    def _note_swap(self, bot: str, loaded: LoadedVersion) -> None:
        self._on_swap(bot)
        _log.info("swapped", bot=bot, version=loaded.version)

    def _has_version(self, bot: str) -> bool:
        return self._slots.route(bot).loaded is not None

    def _has_a_model(self) -> bool:
        """Whether players may be waiting for answers of this process."""
        return any(self._has_version(bot) for bot in self._slots.rollout_epochs())

    def _tidy(self, bot: str, state: RolloutState) -> None:
        """After a swap: remember what serves now, and clear the shelf of what nobody will ask for.

        The version before stays on the shelf for as long as the state names it: a rollback must not need the registry.
        """
        needed = self._slots.versions_in_use(bot) | self._loads.under_way(bot) | {state.previous or 0}
        active = self._slots.route(bot).loaded
        if active is None or self._kept.get(bot) == (active.version, needed):
            return
        source = f"shelf of {bot}"
        try:
            self._shelf.keep(bot, active.version, needed)
        except OSError as error:
            self._slots.note(source, f"what {bot} serves is not remembered, since the disk takes no file: {error}")
            return
        self._slots.note(source, "")
        self._kept[bot] = (active.version, needed)

    def _say(self) -> None:
        reports, epochs = self._slots.reports(), self._slots.rollout_epochs()
        says = (reports, tuple(sorted(epochs.items())))
        if says == self._said and self._monotonic() - self._said_at < HEARTBEAT_S:
            return
        state = WorkerState(worker=self._worker, epoch_by_bot=epochs, slots=reports, at=datetime.now(UTC).isoformat())
        with self._voice:
            if self._stopped.is_set():  # a round that hung until after the farewell
                return
            self._topics.send([Outgoing(topic=WORKER_TOPIC, key=self._worker.encode(), value=state.to_json().encode())])
        self._said, self._said_at = says, self._monotonic()
