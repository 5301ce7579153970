"""Versions on their way into memory: each in a thread of its own, so that one that hangs holds up no other.

Knows what is wanted of each bot. What was wanted and no longer is goes on by itself, and nobody hears of its end.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from serving.slot import LoadedVersion

RETRY_S: Final = (2.0, 5.0, 15.0, 60.0)
"""Waits before a version that would not load is tried again."""
_BEHIND: Final = 5
"""Steps of niceness: enough to let decoding go first, and a quarter of a core is left on a machine that has none."""
_LAST: Final = 19

_log = structlog.get_logger("serving.loads")

Load = Callable[[str, "Wanted", Callable[[], bool]], LoadedVersion]
"""Brings a version of a bot into memory; the third argument says whether it is still wanted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version as a rollout names it: by number, and by the digest of its card where that is known."""

    version: int
    digest: str = ""


class NoLongerWantedError(Exception):
    """A load ends early: another version is wanted by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one load; ``trouble`` says why nothing did."""

    wanted: Wanted
    loaded: LoadedVersion | None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """A version that would not load, how often, and when it may be tried again (monotonic seconds)."""

    wanted: Wanted
    times: int
    retry_at: float
    trouble: str


@dataclass(slots=True)
class _BotLoads:
    """One bot: the outcome of each version under way (None while it lasts), and how the wanted one has failed."""

    wanted: Wanted | None = None
    under_way: dict[Wanted, Outcome | None] = field(default_factory=dict)
    failure: _Failure | None = None


class Loads:
    """All loads of a worker.

    Args:
        load: brings a version into memory; whatever it raises is a version that did not load.
        patient: whether loads may stand back behind decoding.
        monotonic: seconds, for retries.
    """

    def __init__(self, load: Load, *, patient: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._patient = patient
        self._monotonic = monotonic
        self._by_bot: dict[str, _BotLoads] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Loads under way, or ended and not yet taken note of; also of versions that nobody wants any more."""
        with self._lock:
            return sum(len(of.under_way) for of in self._by_bot.values())

    def want(self, bot: str, wanted: Wanted | None) -> None:
        """From now on this version and no other: loads of others end unheard, and their failures are forgotten."""
        with self._lock:
            of = self._by_bot.setdefault(bot, _BotLoads())
            of.wanted = wanted
            if of.failure is not None and of.failure.wanted != wanted:
                of.failure = None

    def take_outcome(self, bot: str) -> Outcome | None:
        """How the load of the wanted version ended, once; None while it lasts. Others' outcomes are dropped here."""
        with self._lock:
            of = self._by_bot.setdefault(bot, _BotLoads())
            ended = {wanted: outcome for wanted, outcome in of.under_way.items() if outcome is not None}
            for wanted in ended:
                del of.under_way[wanted]
            outcome = ended.pop(of.wanted, None) if of.wanted is not None else None
            self._count(of, outcome)
        for wanted in ended:
            _log.info("load_no_longer_wanted", bot=bot, version=wanted.version)
        return outcome

    def begin_wanted(self, bot: str, *, behind: bool) -> None:
        """Begin to load the wanted version, unless that is under way already or was in vain a moment ago.

        Args:
            bot: whose.
            behind: players may be waiting for answers of this process, so the load stands back behind decoding.
        """
        with self._lock:
            of = self._by_bot.setdefault(bot, _BotLoads())
            wanted, rests = of.wanted, of.failure is not None and self._monotonic() < of.failure.retry_at
            if wanted is None or wanted in of.under_way or rests:
                return
            of.under_way[wanted] = None
        stand_back = behind and self._patient
        name = f"{bot}-{wanted.version}"
        threading.Thread(target=self._run, args=(bot, wanted, stand_back), name=name, daemon=True).start()

    def trouble(self, bot: str) -> str:
        """Why the wanted version did not load when it was last tried; empty while that is not known."""
        with self._lock:
            failure = self._by_bot.setdefault(bot, _BotLoads()).failure
            return "" if failure is None else failure.trouble

    def forgive(self, bot: str) -> None:
        """The wanted version is in memory: whatever it failed at before is over."""
        with self._lock:
            self._by_bot.setdefault(bot, _BotLoads()).failure = None

    def under_way(self, bot: str) -> set[int]:
        """Versions whose files are in use by a load, wanted or not."""
        with self._lock:
            return {wanted.version for wanted in self._by_bot.setdefault(bot, _BotLoads()).under_way}

    def bots(self) -> set[str]:
        """Whose wanted version is under way."""
        with self._lock:
            return {bot for bot, of in self._by_bot.items() if of.wanted in of.under_way}

    def _count(self, of: _BotLoads, outcome: Outcome | None) -> None:
        """A failure stands until the version loads or another one is wanted."""
        if outcome is None:
            return
        if outcome.loaded is not None:
            of.failure = None
            return
        times = of.failure.times if of.failure is not None else 0
        retry_at = self._monotonic() + RETRY_S[min(times, len(RETRY_S) - 1)]
        of.failure = _Failure(wanted=outcome.wanted, times=times + 1, retry_at=retry_at, trouble=outcome.trouble)

    def _run(self, bot: str, wanted: Wanted, stand_back: bool) -> None:  # noqa: FBT001 - a thread's target
        """In the load's own thread."""
        if stand_back:
            _stand_back()
        outcome: Outcome | None
        try:
            outcome = Outcome(wanted=wanted, loaded=self._load(bot, wanted, lambda: self._is_wanted(bot, wanted)))
        except NoLongerWantedError:
            outcome = None
        except Exception as error:  # noqa: BLE001 - whatever a bad version does, the old one goes on serving
            trouble = f"version {wanted.version} did not load: {type(error).__name__}: {error}"
            outcome = Outcome(wanted=wanted, loaded=None, trouble=trouble)
        with self._lock:
            if outcome is None:
                del self._by_bot[bot].under_way[wanted]
            else:
                self._by_bot[bot].under_way[wanted] = outcome

    def _is_wanted(self, bot: str, wanted: Wanted) -> bool:
        with self._lock:
            return self._by_bot[bot].wanted == wanted


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
