"""The state of a worker, as `/health` shows it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kogpt2_chat.domain.rollout.states import SlotReport


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """The state of a worker at one moment.

    Attributes:
        ready: whether the worker answers questions.
        worker: ``worker-N``.
        tally: totals by name since the start; see :meth:`serving.metrics.Metrics.tally`.
        slots: the report of each slot.
        epoch: the rollout epoch of each slot, by bot.
        silent_s: seconds since the answering thread last reported progress.
    """

    ready: bool
    worker: str
    tally: Mapping[str, int]
    slots: tuple[SlotReport, ...]
    epoch: dict[str, int]
    silent_s: float

    def as_json(self) -> dict[str, Any]:
        """Return the body of `/health`."""
        slots = [asdict(slot) for slot in self.slots]
        return {
            "ready": self.ready,
            "worker": self.worker,
            "slots": slots,
            "epoch": self.epoch,
            "silent_s": round(self.silent_s, 3),
            **self.tally,
        }
