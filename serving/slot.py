"""Where each bot's model lives in a worker, and how one version takes over from another.

The control thread changes slots; the answering thread reads one for each question. One lock guards both sides. A
question is decoded to its end by the model that its slot held when decoding began.
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
"""How long the previous version stays loaded after a swap: as long as its rollout may still be taken back."""
NO_VERSION: Final = "no version has been rolled out yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedVersion:
    """A registered version in memory.

    Attributes:
        form: in which form the serving engine computes it.
        digest: SHA-256 of its ``model.json``; empty if unknown.
    """

    version: int
    model: BotModel
    form: str = ""
    digest: str = ""

    def matches(self, version: int, digest: str) -> bool:
        """Whether a rollout names this version. The number decides if either side has no digest."""
        return self.version == version and (not digest or not self.digest or self.digest == digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who answers one question.

    Attributes:
        loaded: the version that answers; None if the bot has none.
        rollout_epoch: the rollout that brought it.
        muted: whether the bot answers with a notice instead.
    """

    loaded: LoadedVersion | None
    rollout_epoch: int
    muted: bool


@dataclass(slots=True, kw_only=True)
class Slot:
    """One bot in one worker.

    Attributes:
        active: the version that answers.
        previous: the version that answered before, kept in memory until ``warm_until`` (monotonic seconds).
        rollout_epoch: the last rollout epoch that was acted on, successfully or not.
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
        bots: one slot each.
        monotonic: seconds, for warm versions.
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
        """Return who answers the bot's next question."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            return Route(loaded=slot.active, rollout_epoch=slot.rollout_epoch, muted=slot.muted)

    def warm(self, bot: str, version: int, digest: str = "") -> LoadedVersion | None:
        """Return a version if it is still in memory."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            held = (slot.active, slot.previous)
            return next((loaded for loaded in held if loaded and loaded.matches(version, digest)), None)

    def mute(self, bot: str, *, muted: bool) -> None:
        """Answer with a fixed notice, or speak again."""
        with self._lock:
            self._slot_by_bot[bot].muted = muted

    def wait_for_load(self, bot: str, rollout_epoch: int, state: SlotState, detail: str) -> None:
        """Note that a version is being loaded, or did not load. Whatever answers now continues to.

        Args:
            bot: whose slot.
            rollout_epoch: the rollout that names the version.
            state: ``loading`` or ``degraded``.
            detail: for people.
        """
        with self._lock:
            slot = self._slot_by_bot[bot]
            slot.rollout_epoch, slot.state, slot.detail = rollout_epoch, state, detail

    def activate(self, bot: str, loaded: LoadedVersion, rollout_epoch: int) -> bool:
        """Let the version that a rollout names answer from the next question on. Repeating it changes nothing.

        Returns:
            Whether it has taken over from another one.
        """
        with self._lock:
            slot = self._slot_by_bot[bot]
            slot.rollout_epoch, slot.state, slot.detail = rollout_epoch, "ready", ""
            swapped = slot.active is None or not slot.active.matches(loaded.version, loaded.digest)
            if swapped:
                self._replace(slot, loaded)
            return swapped

    def stand_in(self, bot: str, loaded: LoadedVersion) -> bool:
        """Let another version answer in an empty slot until the right one is loaded. The slot's state stays as it is.

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
        """Free the versions that have been kept warm long enough."""
        with self._lock:
            now = self._monotonic()
            for slot in self._slot_by_bot.values():
                if slot.previous is not None and now >= slot.warm_until:
                    slot.previous = None

    def note(self, source: str, trouble: str) -> None:
        """Report a fault of the worker itself beside each slot's own detail. It changes no slot's state.

        Args:
            source: names the fault; its next note replaces this one.
            trouble: what is wrong; empty when it is over.
        """
        with self._lock:
            if trouble:
                self._trouble_by_source[source] = trouble
            else:
                self._trouble_by_source.pop(source, None)

    def versions_in_use(self, bot: str) -> set[int]:
        """Return the versions that are in memory."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            return {held.version for held in (slot.active, slot.previous) if held}

    def reports(self) -> tuple[SlotReport, ...]:
        """Return what ``worker_state`` reports of each slot."""
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
