"""Load versions, each in a separate thread, so that a load that hangs does not delay the others.

This module also stores the target version of each bot. When the target changes, running loads of other versions end
early if they can, and their results are dropped.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from kogpt2_chat.domain.rollout.next_step import LoadFailure, LoadProgress, failed_again
from kogpt2_chat.domain.rollout.states import VersionKey
from serving.slot import LoadedVersion

LOADER_NICE: Final = 5
"""Niceness of loads: decoding has priority, but a load still gets a quarter of a core if no core is idle."""
_MAX_NICE: Final = 19

_log = structlog.get_logger("serving.loads")

Load = Callable[[str, VersionKey, Callable[[], bool]], LoadedVersion]
"""Loads a version of a bot into memory. The third argument returns whether the version is still the target."""


class NoLongerWantedError(Exception):
    """The load ends early, because another version is the target now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOutcome:
    """The result of one load; ``trouble`` is the reason if it failed."""

    loaded: LoadedVersion | None
    trouble: str = ""


@dataclass(slots=True)
class _BotLoads:
    """The loads of one bot.

    Attributes:
        target: the target version.
        under_way: the outcome of each load that is running (None) or not yet collected, by version.
        failure: how the target version has failed to load.
    """

    target: VersionKey | None = None
    under_way: dict[VersionKey, LoadOutcome | None] = field(default_factory=dict)
    failure: LoadFailure | None = None


class Loads:
    """All loads of a worker.

    Args:
        load: loads a version into memory; raises any exception if the version cannot be loaded.
        low_priority: whether loads may run at low priority.
    """

    def __init__(self, load: Load, *, low_priority: bool) -> None:
        self._load = load
        self._low_priority = low_priority
        self._by_bot: dict[str, _BotLoads] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of loads that are running or not yet collected."""
        with self._lock:
            return sum(len(loads.under_way) for loads in self._by_bot.values())

    def set_target(self, bot: str, target: VersionKey | None) -> None:
        """Set the target version of a bot. If it changes, the failures of the old one are forgotten."""
        with self._lock:
            loads = self._by_bot.setdefault(bot, _BotLoads())
            if loads.target != target:
                loads.target, loads.failure = target, None

    def collect(self, bot: str, now_s: float) -> LoadOutcome | None:
        """Return the result of the target version's load once; None before it ends. Drop results of other versions.

        Args:
            bot: the bot's id.
            now_s: monotonic seconds; the time of the next try after a failure is counted from it.
        """
        with self._lock:
            loads = self._by_bot.setdefault(bot, _BotLoads())
            ended = {version: outcome for version, outcome in loads.under_way.items() if outcome is not None}
            for version in ended:
                del loads.under_way[version]
            outcome = ended.pop(loads.target, None) if loads.target is not None else None
            _count(loads, outcome, now_s)
        for version in ended:
            _log.info("load_no_longer_needed", bot=bot, version=version.number)
        return outcome

    def begin_load(self, bot: str, *, is_serving: bool) -> None:
        """Start to load the target version, unless a load of it is running.

        Args:
            bot: the bot's id.
            is_serving: whether players may be waiting for answers from this process, so that decoding has priority.
        """
        with self._lock:
            loads = self._by_bot.setdefault(bot, _BotLoads())
            target = loads.target
            if target is None or target in loads.under_way:
                return
            loads.under_way[target] = None
        low_priority = is_serving and self._low_priority
        name = f"{bot}-{target.number}"
        threading.Thread(target=self._run, args=(bot, target, low_priority), name=name, daemon=True).start()

    def progress(self, bot: str) -> LoadProgress:
        """Return the progress of the target version's load."""
        with self._lock:
            loads = self._by_bot.setdefault(bot, _BotLoads())
            return LoadProgress(is_loading=loads.target in loads.under_way, failure=loads.failure)

    def clear_failure(self, bot: str) -> None:
        """Forget the failures of the target version, because it is in memory."""
        with self._lock:
            self._by_bot.setdefault(bot, _BotLoads()).failure = None

    def under_way(self, bot: str) -> set[int]:
        """Return the numbers of the versions whose files a load uses."""
        with self._lock:
            return {version.number for version in self._by_bot.setdefault(bot, _BotLoads()).under_way}

    def bots(self) -> set[str]:
        """Return the bots whose target version is being loaded."""
        with self._lock:
            return {bot for bot, loads in self._by_bot.items() if loads.target in loads.under_way}

    def _run(self, bot: str, target: VersionKey, low_priority: bool) -> None:  # noqa: FBT001 - a thread's target
        """Run one load in its thread."""
        if low_priority:
            _lower_thread_priority()
        outcome: LoadOutcome | None
        try:
            outcome = LoadOutcome(loaded=self._load(bot, target, lambda: self._is_target(bot, target)))
        except NoLongerWantedError:
            outcome = None
        except Exception as error:  # noqa: BLE001 - a bad version must not affect the one that answers
            trouble = f"version {target.number} did not load: {type(error).__name__}: {error}"
            outcome = LoadOutcome(loaded=None, trouble=trouble)
        with self._lock:
            if outcome is None:
                del self._by_bot[bot].under_way[target]
            else:
                self._by_bot[bot].under_way[target] = outcome

    def _is_target(self, bot: str, target: VersionKey) -> bool:
        with self._lock:
            return self._by_bot[bot].target == target


def _count(loads: _BotLoads, outcome: LoadOutcome | None, now_s: float) -> None:
    """Count the target version's failures; a successful load resets the count."""
    if outcome is not None:
        loads.failure = None if outcome.loaded is not None else failed_again(loads.failure, outcome.trouble, now_s)


def _lower_thread_priority() -> None:
    """Lower this thread's priority, so that loading a model does not slow decoding.

    Raising it again needs privileges, and new threads inherit it. So the first load, which creates threads that
    decoding shares, runs at normal priority.
    """
    if sys.platform != "linux":  # only Linux has a niceness per thread
        return
    thread = threading.get_native_id()
    with suppress(OSError):  # the load then runs at normal priority
        os.setpriority(os.PRIO_PROCESS, thread, min(_MAX_NICE, os.getpriority(os.PRIO_PROCESS, thread) + LOADER_NICE))
