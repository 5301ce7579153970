"""Which workers are alive: those whose heartbeat is seen to change while somebody looks.

A heartbeat carries its worker's own time, and clocks of two machines may be an hour apart. So no time in it is ever
compared with another machine's: only whether it is another one than before, on the clock of whoever looks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.domain.rollout.states import WorkerState

LIVE_FOR_S: Final = 15.0
"""A worker that has been silent for longer is not waited for: five missed heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """Who was found by one look, by name.

    Attributes:
        live: heard of since the looking began, and not silent for long.
        perhaps_alive: names of workers that left a heartbeat, and may be alive or gone: it has not changed yet.
    """

    live: tuple[WorkerState, ...]
    perhaps_alive: tuple[str, ...]


@dataclass(slots=True)
class _Heard:
    """One worker's newest heartbeat, when it was first seen, and whether it came while somebody looked."""

    state: WorkerState
    at_s: float
    came: bool


@dataclass(slots=True)
class RollCall:
    """Looks again and again; the first look only learns who there may be."""

    _heard_by_worker: dict[str, _Heard] | None = field(default=None)

    def look(self, states: Iterable[WorkerState], now_s: float) -> Roll:
        """Look once.

        Args:
            states: the last heartbeat of every worker that has not signed off.
            now_s: monotonic seconds of whoever looks.

        Returns:
            Who is there.
        """
        heard = {state.worker: self._hear(state, now_s) for state in sorted(states, key=lambda state: state.worker)}
        self._heard_by_worker = heard
        lately = [one for one in heard.values() if now_s - one.at_s <= LIVE_FOR_S]
        return Roll(
            live=tuple(one.state for one in lately if one.came),
            perhaps_alive=tuple(one.state.worker for one in lately if not one.came),
        )

    def _hear(self, state: WorkerState, now_s: float) -> _Heard:
        if self._heard_by_worker is None:
            return _Heard(state, now_s, came=False)
        known = self._heard_by_worker.get(state.worker)
        return known if known is not None and known.state == state else _Heard(state, now_s, came=True)
