"""Decide which workers are alive: those whose heartbeat changes while this process observes it.

A heartbeat carries the worker's own time, and the clocks of two machines may differ by an hour. That time is
therefore never compared with another clock. Only two facts count: whether the heartbeat has changed, and how long ago
that was on the observer's clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kogpt2_chat.domain.rollout.states import WorkerState

LIVE_FOR_S: Final = 15.0
"""A worker whose heartbeat has not changed for this long counts as gone: five missed heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessReport:
    """The result of one observation of the heartbeats; workers are sorted by name.

    Attributes:
        live: last heartbeats of the workers whose heartbeat has changed or appeared since the first observation,
            at most ``LIVE_FOR_S`` ago.
        maybe_alive: names of workers whose heartbeat has not changed since the first observation: they may be alive
            or gone.
    """

    live: tuple[WorkerState, ...]
    maybe_alive: tuple[str, ...]


@dataclass(slots=True)
class _SeenHeartbeat:
    """A worker's newest heartbeat.

    Attributes:
        state: the heartbeat.
        seen_at_s: when it was first seen, in monotonic seconds.
        is_new: whether it arrived after the first observation.
    """

    state: WorkerState
    seen_at_s: float
    is_new: bool


@dataclass(slots=True)
class LivenessTracker:
    """Tracks which workers are alive. The first observation only records the existing heartbeats."""

    _heartbeat_by_worker: dict[str, _SeenHeartbeat] | None = field(default=None)

    def observe(self, states: Iterable[WorkerState], now_s: float) -> LivenessReport:
        """Compare the current heartbeats with those of the previous observation.

        Args:
            states: the last heartbeat of every worker that has not shut down cleanly.
            now_s: the observer's time in monotonic seconds.

        Returns:
            The workers that are alive, and those that may be.
        """
        heartbeats = {
            state.worker: self._heartbeat(state, now_s) for state in sorted(states, key=lambda state: state.worker)
        }
        self._heartbeat_by_worker = heartbeats
        recent = [one for one in heartbeats.values() if now_s - one.seen_at_s <= LIVE_FOR_S]
        return LivenessReport(
            live=tuple(one.state for one in recent if one.is_new),
            maybe_alive=tuple(one.state.worker for one in recent if not one.is_new),
        )

    def _heartbeat(self, state: WorkerState, now_s: float) -> _SeenHeartbeat:
        if self._heartbeat_by_worker is None:
            return _SeenHeartbeat(state, now_s, is_new=False)
        known = self._heartbeat_by_worker.get(state.worker)
        return known if known is not None and known.state == state else _SeenHeartbeat(state, now_s, is_new=True)
