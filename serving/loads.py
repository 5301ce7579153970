"""Loads of versions: each runs in a thread of its own, so that one that hangs does not delay the others.

Holds which version each bot should have. A load that is no longer wanted ends by itself, and its result is dropped.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from kogpt2_chat.domain.rollout.next_step import LoadFailure, Progress, failed_again
from kogpt2_chat.domain.rollout.states import VersionKey
from serving.slot import LoadedVersion

LOADER_NICE: Final = 5
"""Steps of niceness: decoding goes first, and a load still gets a quarter of a core if no core is spare."""
_MAX_NICE: Final = 19

_log = structlog.get_logger("serving.loads")

Load = Callable[[str, VersionKey, Callable[[], bool]], LoadedVersion]
"""Loads a version of a bot into memory. The third argument tells whether it is still wanted."""


class NoLongerWantedError(Exception):
    """A load ends early: another version is wanted by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOutcome:
    """The result of one load; ``trouble`` is the reason of a failure."""

    loaded: LoadedVersion | None
    trouble: str = ""


@dataclass(slots=True)
class _BotLoads:
    """One bot: the outcome of each version under way (None while it lasts), and how the wanted one has failed."""

    wanted: VersionKey | None = None
    under_way: dict[VersionKey, LoadOutcome | None] = field(default_factory=dict)
    failure: LoadFailure | None = None


class Loads:
    """All loads of a worker.

    Args:
        load: loads a version into memory; any exception means that the version did not load.
        low_priority: whether loads may run at low priority.
    """

    def __init__(self, load: Load, *, low_priority: bool) -> None:
        self._load = load
        self._low_priority = low_priority
        self._by_bot: dict[str, _BotLoads] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many loads are running or not yet collected, wanted or not."""
        with self._lock:
            return sum(len(of.under_way) for of in self._by_bot.values())

    def want(self, bot: str, wanted: VersionKey | None) -> None:
        """Set the version that a bot should have. Results of other loads are dropped, and their failures forgotten."""
        with self._lock:
            of = self._by_bot.setdefault(bot, _BotLoads())
            if of.wanted != wanted:
                of.wanted, of.failure = wanted, None

    def collect(self, bot: str, now_s: float) -> LoadOutcome | None:
        """Return the result of the wanted version's load, once; None while it runs. Drop results of other versions.

        Args:
            bot: whose.
            now_s: monotonic seconds; a failed version is tried again some time after it.
        """
        with self._lock:
            of = self._by_bot.setdefault(bot, _BotLoads())
            ended = {wanted: outcome for wanted, outcome in of.under_way.items() if outcome is not None}
            for wanted in ended:
                del of.under_way[wanted]
            outcome = ended.pop(of.wanted, None) if of.wanted is not None else None
            _count(of, outcome, now_s)
        for wanted in ended:
            _log.info("load_no_longer_wanted", bot=bot, version=wanted.number)
        return outcome

    def begin_wanted(self, bot: str, *, is_serving: bool) -> None:
        """Start loading the wanted version, unless a load of it is running.

        Args:
            bot: whose.
            is_serving: whether players may be waiting for answers from this process, so that decoding goes first.
        """
        with self._lock:
            of = self._by_bot.setdefault(bot, _BotLoads())
            wanted = of.wanted
            if wanted is None or wanted in of.under_way:
                return
            of.under_way[wanted] = None
        low_priority = is_serving and self._low_priority
        name = f"{bot}-{wanted.number}"
        threading.Thread(target=self._run, args=(bot, wanted, low_priority), name=name, daemon=True).start()

    def progress(self, bot: str) -> Progress:
        """Return how far the load of the wanted version is."""
        with self._lock:
            of = self._by_bot.setdefault(bot, _BotLoads())
            return Progress(is_loading=of.wanted in of.under_way, failure=of.failure)

    def forgive(self, bot: str) -> None:
        """Forget the failures of the wanted version: it is in memory."""
        with self._lock:
            self._by_bot.setdefault(bot, _BotLoads()).failure = None

    def under_way(self, bot: str) -> set[int]:
        """Return the versions whose files are in use by a load, wanted or not."""
        with self._lock:
            return {wanted.number for wanted in self._by_bot.setdefault(bot, _BotLoads()).under_way}

    def bots(self) -> set[str]:
        """Return the bots whose wanted version is being loaded."""
        with self._lock:
            return {bot for bot, of in self._by_bot.items() if of.wanted in of.under_way}

    def _run(self, bot: str, wanted: VersionKey, low_priority: bool) -> None:  # noqa: FBT001 - a thread's target
        """In the load's own thread."""
        if low_priority:
            _lower_thread_priority()
        outcome: LoadOutcome | None
        try:
            outcome = LoadOutcome(loaded=self._load(bot, wanted, lambda: self._is_wanted(bot, wanted)))
        except NoLongerWantedError:
            outcome = None
        except Exception as error:  # noqa: BLE001 - whatever a bad version does, the old one goes on serving
            trouble = f"version {wanted.number} did not load: {type(error).__name__}: {error}"
            outcome = LoadOutcome(loaded=None, trouble=trouble)
        with self._lock:
            if outcome is None:
                del self._by_bot[bot].under_way[wanted]
            else:
                self._by_bot[bot].under_way[wanted] = outcome

    def _is_wanted(self, bot: str, wanted: VersionKey) -> bool:
        with self._lock:
            return self._by_bot[bot].wanted == wanted


def _count(of: _BotLoads, outcome: LoadOutcome | None, now_s: float) -> None:
    """Count failures until the version loads or another one is wanted."""
    if outcome is not None:
        of.failure = None if outcome.loaded is not None else failed_again(of.failure, outcome.trouble, now_s)


def _lower_thread_priority() -> None:
    """Lower this thread's priority, so that loading a model never slows decoding.

    It cannot be raised again without privileges, and new threads inherit it. So the first load, which creates the
    threads that decoding shares, runs at normal priority.
    """
    if sys.platform != "linux":  # only Linux has a niceness per thread
        return
    thread = threading.get_native_id()
    with suppress(OSError):  # then it competes like every other thread
        os.setpriority(os.PRIO_PROCESS, thread, min(_MAX_NICE, os.getpriority(os.PRIO_PROCESS, thread) + LOADER_NICE))
