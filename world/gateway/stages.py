"""What each bot's model does, from facts: the workers' states, the registry's aliases, and the running trainings."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.rollout.states import WorkerState
from world.gateway.protocol.views import BotView, Stage

NEW_FOR_S: Final = 30 * 60.0
"""How long a bot shows that it has a new version."""
TRAINING_FOR_S: Final = 6 * 3600.0
"""A run that began earlier is not shown as a training: its process has probably died."""
_EVERY_S: Final = 3.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BotFacts:
    """Facts about one bot.

    Attributes:
        alive: whether a live worker has a slot for it.
        ready: the version that answers, also while another one is being loaded; 0 if there is none.
        muted: whether an operator has muted it.
        degraded: whether a live worker could not load its version.
        candidate: the version with the alias ``candidate``; None without one.
        training: whether a training runs.
    """

    alive: bool = False
    ready: int = 0
    muted: bool = False
    degraded: bool = False
    candidate: int | None = None
    training: bool = False


def stage_of(facts: BotFacts, *, is_new: bool) -> Stage:
    """Return the stage to show. What concerns a player's question comes before what concerns learning."""
    if not facts.alive:
        return "asleep"
    if facts.muted:
        return "muted"
    if facts.degraded or not facts.ready:
        return "degraded"
    if is_new:
        return "new_version"
    if facts.candidate is not None and facts.candidate > facts.ready:
        return "candidate"
    return "training" if facts.training else "ready"


def slot_facts(states: Mapping[str, WorkerState]) -> dict[str, BotFacts]:
    """Return what the live workers report, by bot.

    Args:
        states: the state of each live worker, by its name.
    """
    found = {}
    for bot in BOT_IDS:
        slots = [slot for state in states.values() for slot in state.slots if slot.bot == bot]
        versions = [slot.version for slot in slots if slot.version]
        found[bot] = BotFacts(
            alive=bool(slots),
            ready=min(versions, default=0),
            muted=any(slot.muted for slot in slots),
            degraded=any(slot.state == "degraded" for slot in slots),
        )
    return found


@dataclass(slots=True)
class _Shown:
    view: BotView
    version: int = 0
    changed_at_s: float = float("-inf")


@dataclass(slots=True)
class StageBook:
    """The stages as they were last shown. It decides what is new; it reads no server."""

    _learned: dict[tuple[str, int], int] = field(default_factory=dict)
    _shown: dict[str, _Shown] = field(default_factory=lambda: {bot: _Shown(BotView(bot, "asleep")) for bot in BOT_IDS})

    def views(self) -> list[BotView]:
        """Return what players see of the bots."""
        return [shown.view for shown in self._shown.values()]

    def set_learned(self, bot: str, version: int, count: int) -> None:
        """Set how many pairs a version learned from players; shown with the next update."""
        self._learned[bot, version] = count

    def update(self, facts: Mapping[str, BotFacts], now_s: float) -> list[BotView]:
        """Take new facts.

        Args:
            facts: facts by bot.
            now_s: the time in monotonic seconds.

        Returns:
            The views that have changed.
        """
        changed = []
        for bot, found in facts.items():
            shown = self._shown[bot]
            if found.ready and found.ready != shown.version:
                is_newer = 0 < shown.version < found.ready
                shown.changed_at_s = now_s if is_newer else float("-inf")  # nobody greets with what was rolled back
                shown.version = found.ready
            stage = stage_of(found, is_new=now_s - shown.changed_at_s < NEW_FOR_S)
            view = BotView(bot, stage, found.ready, self._learned.get((bot, found.ready), 0))
            if view != shown.view:
                shown.view = view
                changed.append(view)
        return changed


class StageReader:
    """Reads the facts every few seconds in a thread, and hands over the views that have changed.

    Args:
        book: the stages as they were last shown.
        read: reads the facts by bot.
        changed: called in this thread with the changed views.
        serves: called in this thread with each bot and the version that answers.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        book: StageBook,
        read: Callable[[], Mapping[str, BotFacts]],
        changed: Callable[[list[BotView]], None],
        serves: Callable[[str, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book, self._read, self._changed, self._serves, self._clock = book, read, changed, serves, clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stages", daemon=True)

    def start(self) -> None:
        """Start to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; a read that hangs is left behind."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                facts = self._read()
                if changed := self._book.update(facts, self._clock()):
                    self._changed(changed)
                for bot, found in facts.items():
                    self._serves(bot, found.ready)
            except Exception as error:  # noqa: BLE001 - whatever it is, the facts must be read again
                log.info("stages_not_read", error=f"{type(error).__name__}: {error}")
            self._stopping.wait(_EVERY_S)
