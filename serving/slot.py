"""The slots of a worker: which version answers for each bot, and how versions are swapped.

The rollout thread changes slots, and the answering thread reads one per question. One lock protects all slots. A
question is decoded to its end by the model that was in the slot when decoding began.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.rollout.states import SlotReport, SlotState
from kogpt2_chat.inference.engine import BotModel

WARM_FOR_S: Final = 120.0
"""How long the previous version stays in memory after a swap, for a rollback."""
NO_VERSION: Final = "no version has been rolled out yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedVersion:
    """A registered version in memory.

    Attributes:
        version: its number.
        model: the loaded model.
        form: the form in which the serving engine computes.
        digest: SHA-256 of its ``model.json``; empty if unknown.
    """

    version: int
    model: BotModel
    form: str = ""
    digest: str = ""

    def matches(self, version: int, digest: str) -> bool:
        """Check whether this is the given version. If either digest is empty, only the numbers are compared."""
        return self.version == version and (not digest or not self.digest or self.digest == digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What answers one question.

    Attributes:
        loaded: the version that answers; None if the slot is empty.
        rollout_epoch: the rollout epoch of the slot.
        muted: whether the bot answers with a notice instead.
    """

    loaded: LoadedVersion | None
    rollout_epoch: int
    muted: bool


@dataclass(slots=True, kw_only=True)
class Slot:
    """The slot of one bot.

    Attributes:
        bot: the bot's id.
        active: the version that answers; None if the slot is empty.
        previous: the version that answered before, kept in memory until ``warm_until``.
        warm_until: in monotonic seconds.
        rollout_epoch: the last rollout epoch that was acted on, successfully or not.
        muted: whether the bot answers with a notice.
        state: see :data:`kogpt2_chat.domain.rollout.states.SlotState`.
        detail: why the slot is not ready, for people.
    """

    bot: str
    active: LoadedVersion | None = None
    previous: LoadedVersion | None = None
    warm_until: float = 0.0
    rollout_epoch: int = 0
    muted: bool = False
    state: SlotState = "degraded"
    detail: str = NO_VERSION


class Slots:
    """All slots of a worker.

    Args:
        bots: ids of the bots; each gets a slot.
        monotonic: seconds, for how long previous versions stay loaded.
    """

    def __init__(
        self,
        bots: Sequence[str] = BOT_IDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slot_by_bot = {bot: Slot(bot=bot) for bot in bots}
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._trouble_by_source: dict[str, str] = {}

    def route(self, bot: str) -> Route:
        """Return what answers the bot's next question."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            return Route(loaded=slot.active, rollout_epoch=slot.rollout_epoch, muted=slot.muted)

    def loaded_version(self, bot: str, version: int, digest: str = "") -> LoadedVersion | None:
        """Return a version if it is still in memory, otherwise None."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            held = (slot.active, slot.previous)
            return next((loaded for loaded in held if loaded and loaded.matches(version, digest)), None)

    def mute(self, bot: str, *, muted: bool) -> None:
        """Mute or unmute a bot."""
        with self._lock:
            self._slot_by_bot[bot].muted = muted

    def wait_for_load(self, bot: str, rollout_epoch: int, state: SlotState, detail: str) -> None:
        """Record that a version is being loaded or did not load. The version that answers does not change.

        Args:
            bot: the bot's id.
            rollout_epoch: of the rollout of this version.
            state: ``loading`` or ``degraded``.
            detail: for people.
        """
        with self._lock:
            slot = self._slot_by_bot[bot]
            slot.rollout_epoch, slot.state, slot.detail = rollout_epoch, state, detail

    def activate(self, bot: str, loaded: LoadedVersion, rollout_epoch: int) -> bool:
        """Make the rolled-out version answer from the next question on. A repeated call changes nothing.

        Returns:
            Whether another version, or none, answered before.
        """
        with self._lock:
            slot = self._slot_by_bot[bot]
            slot.rollout_epoch, slot.state, slot.detail = rollout_epoch, "ready", ""
            swapped = slot.active is None or not slot.active.matches(loaded.version, loaded.digest)
            if swapped:
                self._replace(slot, loaded)
            return swapped

    def fill_empty(self, bot: str, loaded: LoadedVersion) -> bool:
        """Let another version answer in an empty slot until the target is loaded. The slot's state does not change.

        Returns:
            Whether the slot was empty.
        """
        with self._lock:
            slot = self._slot_by_bot[bot]
            is_empty = slot.active is None
            if is_empty:
                self._replace(slot, loaded)
            return is_empty

    def withdraw(self, bot: str, rollout_epoch: int) -> None:
        """Answer with notices until a version is rolled out."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            if slot.active is not None:
                self._replace(slot, None)
            slot.rollout_epoch, slot.state, slot.detail = rollout_epoch, "degraded", NO_VERSION

    def release_previous(self) -> None:
        """Release previous versions that have stayed loaded long enough."""
        with self._lock:
            now = self._monotonic()
            for slot in self._slot_by_bot.values():
                if slot.previous is not None and now >= slot.warm_until:
                    slot.previous = None

    def note(self, source: str, trouble: str) -> None:
        """Add a fault of the worker itself to the detail of every slot, without changing any slot's state.

        Args:
            source: name of the fault; a later call with the same name replaces this one.
            trouble: the fault, for people; empty once it is over.
        """
        with self._lock:
            if trouble:
                self._trouble_by_source[source] = trouble
            else:
                self._trouble_by_source.pop(source, None)

    def versions_in_use(self, bot: str) -> set[int]:
        """Return the numbers of the versions in memory."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            return {held.version for held in (slot.active, slot.previous) if held}

    def reports(self) -> tuple[SlotReport, ...]:
        """Return the report of each slot for ``worker_state``."""
        with self._lock:
            troubles = list(self._trouble_by_source.values())
            return tuple(
                SlotReport(
                    bot=slot.bot,
                    version=slot.active.version if slot.active else 0,
                    state=slot.state,
                    detail="; ".join(filter(None, [slot.detail, *troubles])),
                    form=slot.active.form if slot.active else "",
                    muted=slot.muted,
                )
                for slot in self._slot_by_bot.values()
            )

    def rollout_epochs(self) -> dict[str, int]:
        """Return the rollout epoch of each slot."""
        with self._lock:
            return {bot: slot.rollout_epoch for bot, slot in self._slot_by_bot.items()}

    def _replace(self, slot: Slot, loaded: LoadedVersion | None) -> None:
        slot.previous, slot.active = slot.active, loaded
        slot.warm_until = self._monotonic() + WARM_FOR_S
