"""How the workers have acknowledged a published state: whether they serve its version, or have acted on its mute."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from kogpt2_chat.domain.rollout.liveness import LivenessReport
from kogpt2_chat.domain.rollout.states import RolloutState, WorkerState

WorkerVerdict = Literal["ready", "degraded", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgements:
    """The workers, grouped by how they have acknowledged a state; sorted names.

    Attributes:
        ready: workers that serve the version, or have acted on the mute.
        degraded: workers that could not load the version; always empty for a mute.
        waiting: workers that have not acknowledged the state yet, and those that may be alive.
        details: the slot's ``detail`` of each degraded worker.
    """

    ready: tuple[str, ...]
    degraded: tuple[str, ...]
    waiting: tuple[str, ...]
    details: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether at least one worker is alive and every one is ready."""
        return bool(self.ready) and not self.degraded and not self.waiting

    @property
    def decided(self) -> bool:
        """Whether waiting longer cannot change the outcome: every worker is ready, or one is degraded."""
        return self.complete or bool(self.degraded)

    def sentence(self, ready: str = "ready") -> str:
        """Return the groups that are not empty, for people.

        Args:
            ready: what the ready workers are called.
        """
        degraded = [f"{worker} ({self.details.get(worker) or 'no detail'})" for worker in self.degraded]
        groups = ((ready, self.ready), ("degraded", degraded), ("waiting for", self.waiting))
        return "; ".join(f"{name} {', '.join(workers)}" for name, workers in groups if workers) or "no worker is alive"


def version_acknowledgements(state: RolloutState, report: LivenessReport) -> Acknowledgements:
    """Group the workers by whether they serve a state's version. Reports on an earlier epoch do not count.

    Args:
        state: the published state; its champion is the version.
        report: the workers that are alive. Those that may be alive count as waiting, regardless of their last report.
    """
    return _grouped(state.bot, report, lambda worker: _version_verdict(worker, state))


def mute_acknowledgements(state: RolloutState, report: LivenessReport) -> Acknowledgements:
    """Group the workers by whether they have acted on a state's mute. A degraded slot can too: it needs no model.

    A worker of an earlier release does not report its mute; for it the epoch alone counts.

    Args:
        state: the published state.
        report: the workers that are alive. Those that may be alive count as waiting.
    """
    return _grouped(state.bot, report, lambda worker: _mute_verdict(worker, state))


def _version_verdict(worker: WorkerState, state: RolloutState) -> WorkerVerdict:
    slot = worker.slot(state.bot)
    if slot is None or not _has_read(worker, state):
        return "waiting"
    if slot.state == "degraded":
        return "degraded"
    return "ready" if slot.state == "ready" and slot.version == state.champion else "waiting"


def _mute_verdict(worker: WorkerState, state: RolloutState) -> WorkerVerdict:
    slot = worker.slot(state.bot)
    is_muted = slot.muted if slot is not None else None
    return "ready" if _has_read(worker, state) and is_muted in {None, state.muted} else "waiting"


def _has_read(worker: WorkerState, state: RolloutState) -> bool:
    return worker.epoch_by_bot.get(state.bot, 0) >= state.epoch


def _grouped(bot: str, report: LivenessReport, verdict_of: Callable[[WorkerState], WorkerVerdict]) -> Acknowledgements:
    groups: dict[WorkerVerdict, list[str]] = {"ready": [], "degraded": [], "waiting": [*report.maybe_alive]}
    details = {}
    for worker in report.live:
        verdict = verdict_of(worker)
        groups[verdict].append(worker.worker)
        if verdict == "degraded" and (slot := worker.slot(bot)) is not None:
            details[worker.worker] = slot.detail
    return Acknowledgements(
        ready=tuple(sorted(groups["ready"])),
        degraded=tuple(sorted(groups["degraded"])),
        waiting=tuple(sorted(groups["waiting"])),
        details=details,
    )
