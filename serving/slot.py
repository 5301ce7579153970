"""Where each bot's model lives in a worker, and how one model takes over from another between two batches.

The control thread offers models; the answering thread, and only it, swaps them in. One lock guards both sides.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.bots import BOT_IDS
from kogpt2_chat.domain.rollout import SlotReport, SlotState
from kogpt2_chat.model.engine import BotModel, Engine

WARM_FOR_S: Final = 120.0
"""How long the previous version stays loaded after a swap: as long as its rollout may still be taken back."""
NO_VERSION: Final = "no version has been rolled out yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A registered version in memory.

    Attributes:
        form: in which form the serving engine computes it; empty on other engines.
        digest: SHA-256 of its ``model.json``; empty where it has none.
    """

    version: int
    model: BotModel
    form: str = ""
    digest: str = ""

    def is_called(self, version: int, digest: str) -> bool:
        """Whether this is what a rollout names; where either side has no digest, the number has to do."""
        return self.version == version and (not digest or not self.digest or self.digest == digest)


@dataclass(slots=True, kw_only=True)
class Slot:
    """One bot in one worker.

    Attributes:
        serving: what answers now.
        previous: what answered before, kept warm until ``warm_until`` (monotonic seconds).
        offered: what will answer from the next batch on.
        stands_in: what is offered is not what was asked for, so that its swap makes nothing ready.
        epoch: the last rollout epoch that was acted on, well or badly.
    """

    bot: str
    serving: Loaded | None = None
    previous: Loaded | None = None
    offered: Loaded | None = None
    stands_in: bool = False
    warm_until: float = 0.0
    epoch: int = 0
    muted: bool = False
    state: SlotState = "degraded"
    detail: str = NO_VERSION


class Slots:
    """All slots of a worker."""

    def __init__(self, bots: Sequence[str] = BOT_IDS, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._slot_by_bot = {bot: Slot(bot=bot) for bot in bots}
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._trouble_by_source: dict[str, str] = {}

    def serving(self, bot: str) -> tuple[Loaded | None, int, bool]:
        """For one question: the model (or None), the epoch, and whether the bot is muted."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            return slot.serving, slot.epoch, slot.muted

    def newest(self, bot: str) -> Loaded | None:
        """What answers now, or will from the next batch on."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            return slot.offered or slot.serving

    def warm(self, bot: str, version: int, digest: str = "") -> Loaded | None:
        """A version that is still in memory."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            held = (slot.serving, slot.offered, slot.previous)
            return next((loaded for loaded in held if loaded and loaded.is_called(version, digest)), None)

    def mute(self, bot: str, *, muted: bool) -> None:
        """Answer with a fixed notice, or speak again."""
        with self._lock:
            self._slot_by_bot[bot].muted = muted

    def loading(self, bot: str, version: int, epoch: int) -> None:
        """A version is on its way; the old one goes on answering, and nothing else comes between them."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            slot.epoch, slot.state, slot.detail = epoch, "loading", f"loading version {version}"
            if not slot.stands_in:
                slot.offered = None

    def offer(self, bot: str, loaded: Loaded, epoch: int) -> None:
        """Hand over the version that was asked for, after its probe; saying it again changes nothing.

        Args:
            bot: whose.
            loaded: the model; the one already serving is a mere confirmation.
            epoch: the rollout it belongs to.
        """
        with self._lock:
            slot = self._slot_by_bot[bot]
            slot.epoch, slot.detail, slot.stands_in = epoch, "", False
            is_serving = slot.serving is not None and slot.serving.is_called(loaded.version, loaded.digest)
            slot.offered = None if is_serving else loaded
            slot.state = "ready" if is_serving else "loading"

    def stand_in(self, bot: str, loaded: Loaded) -> None:
        """Let another version answer in an empty slot until the right one is there: to players, never to a rollout."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            if slot.serving is None and slot.offered is None:
                slot.offered, slot.stands_in = loaded, True

    def withdraw(self, bot: str, epoch: int) -> None:
        """No version is to speak any more: notices, until one is rolled out."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            if slot.serving is not None:
                slot.previous, slot.warm_until = slot.serving, self._monotonic() + WARM_FOR_S
            slot.serving = slot.offered = None
            slot.stands_in = False
            slot.epoch, slot.state, slot.detail = epoch, "degraded", NO_VERSION

    def note(self, source: str, trouble: str) -> None:
        """What is wrong with the worker itself, told beside each slot's own words; it takes no slot its state.

        Args:
            source: who says so; its next note replaces this one.
            trouble: what is wrong; empty once it is not.
        """
        with self._lock:
            if trouble:
                self._trouble_by_source[source] = trouble
            else:
                self._trouble_by_source.pop(source, None)

    def degrade(self, bot: str, epoch: int, detail: str) -> None:
        """A version would not load: whatever served before goes on, and everybody is told."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            slot.epoch, slot.state, slot.detail = epoch, "degraded", detail

    def swap(self, engine: Engine) -> list[tuple[str, int]]:
        """Between two batches: put offered models to work, and let go of those no longer kept warm.

        Args:
            engine: gets the new models.

        Returns:
            Bot and version of each swap.
        """
        swapped = []
        with self._lock:
            now = self._monotonic()
            for slot in self._slot_by_bot.values():
                if slot.previous is not None and now >= slot.warm_until:
                    slot.previous = None
                if slot.offered is None:
                    continue
                engine.set_model(slot.bot, slot.offered.model)
                slot.previous, slot.serving, slot.offered = slot.serving, slot.offered, None
                slot.warm_until = now + WARM_FOR_S
                if not slot.stands_in:
                    slot.state, slot.detail = "ready", ""
                slot.stands_in = False
                swapped.append((slot.bot, slot.serving.version))
        return swapped

    def versions_in_use(self, bot: str) -> set[int]:
        """Versions that are in memory now."""
        with self._lock:
            slot = self._slot_by_bot[bot]
            return {held.version for held in (slot.serving, slot.previous, slot.offered) if held}

    def reports(self) -> tuple[SlotReport, ...]:
        """What ``worker_state`` says of each slot."""
        with self._lock:
            troubles = list(self._trouble_by_source.values())
            return tuple(
                SlotReport(
                    bot=slot.bot,
                    version=slot.serving.version if slot.serving else 0,
                    state=slot.state,
                    detail="; ".join(filter(None, [slot.detail, *troubles])),
                    form=slot.serving.form if slot.serving else "",
                    muted=slot.muted,
                )
                for slot in self._slot_by_bot.values()
            )

    def epochs(self) -> dict[str, int]:
        """The rollout epoch of each slot."""
        with self._lock:
            return {bot: slot.epoch for bot, slot in self._slot_by_bot.items()}
