"""How long to wait for a server that is starting. Does not depend on processes, files or clocks.

A server makes progress while its log or its CPU time changes. On a busy machine a start may take minutes, so a server
that makes progress gets much more time than one that does not.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

StartVerdict = Literal["wait", "ready", "stalled", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One observation of a server.

    Attributes:
        at_s: time of the observation, on a monotonic clock.
        log_bytes: size of its log; 0 if it has none.
        cpu_s: CPU seconds of its processes; less than before after a restart.
        healthy: whether its health check passes.
    """

    at_s: float
    log_bytes: int
    cpu_s: float
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The summary of all observations of one server.

    Attributes:
        first_s: time of the first observation.
        last: the latest observation.
        log_changed_s: when a change of its log was last observed.
        cpu_changed_s: when a change of its CPU time was last observed.
    """

    first_s: float
    last: Sample
    log_changed_s: float
    cpu_changed_s: float

    @classmethod
    def begin(cls, sample: Sample) -> Self:
        """Return the summary of the first observation."""
        return cls(first_s=sample.at_s, last=sample, log_changed_s=sample.at_s, cpu_changed_s=sample.at_s)

    def after(self, sample: Sample) -> Self:
        """Return the summary with one more observation."""
        log, cpu = sample.log_bytes != self.last.log_bytes, sample.cpu_s != self.last.cpu_s
        return replace(
            self,
            last=sample,
            log_changed_s=sample.at_s if log else self.log_changed_s,
            cpu_changed_s=sample.at_s if cpu else self.cpu_changed_s,
        )

    @property
    def waited_s(self) -> float:
        """Seconds since the first observation."""
        return self.last.at_s - self.first_s

    @property
    def still_s(self) -> float:
        """Seconds since the last progress."""
        return self.last.at_s - max(self.log_changed_s, self.cpu_changed_s)

    def sentence(self) -> str:
        """Return the time waited and the latest progress, e.g. ``40 s, its log changed 2 s ago``."""
        log_ago, cpu_ago = self.last.at_s - self.log_changed_s, self.last.at_s - self.cpu_changed_s
        what, ago = ("log", log_ago) if log_ago <= cpu_ago else ("CPU time", cpu_ago)
        return f"{self.waited_s:.0f} s, its {what} changed {ago:.0f} s ago"


def judge(watch: Watch, *, stall_s: float, hard_end_s: float) -> StartVerdict:
    """Decide whether to keep waiting for a server.

    Args:
        watch: the observations of the server.
        stall_s: give up after this many seconds without progress.
        hard_end_s: give up after this many seconds in any case.

    Returns:
        ``ready``, ``wait``, ``stalled`` (no progress) or ``over`` (``hard_end_s`` reached).
    """
    if watch.last.healthy:
        return "ready"
    if watch.waited_s >= hard_end_s:
        return "over"
    return "stalled" if watch.still_s >= stall_s else "wait"
