"""Is a server that is starting still worth waiting for? Knows nothing of processes, files or clocks.

A server makes progress while its log or its CPU time changes. On a busy machine that may take minutes, and is no
reason to give it up; a server that does nothing at all is given up soon.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

Verdict = Literal["wait", "ready", "stalled", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at a server.

    Attributes:
        at_s: when, on any clock that does not jump.
        log_bytes: size of its log; 0 where there is none.
        cpu_s: CPU seconds of its processes; less than before when it was started anew.
        healthy: whether it answers as it should.
    """

    at_s: float
    log_bytes: int
    cpu_s: float
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What all looks at one server together say.

    Attributes:
        began_s: when it was started; its clock runs from here.
        last: the latest look.
        log_grew_s: when its log was last seen to change.
        cpu_grew_s: when its CPU time was last seen to change.
    """

    began_s: float
    last: Sample
    log_grew_s: float
    cpu_grew_s: float

    @classmethod
    def begin(cls, sample: Sample) -> Self:
        """Start the clock of a server with the first look at it."""
        return cls(began_s=sample.at_s, last=sample, log_grew_s=sample.at_s, cpu_grew_s=sample.at_s)

    def after(self, sample: Sample) -> Self:
        """What is known after one more look."""
        log, cpu = sample.log_bytes != self.last.log_bytes, sample.cpu_s != self.last.cpu_s
        return replace(
            self,
            last=sample,
            log_grew_s=sample.at_s if log else self.log_grew_s,
            cpu_grew_s=sample.at_s if cpu else self.cpu_grew_s,
        )

    @property
    def waited_s(self) -> float:
        """How long it has been waited for."""
        return self.last.at_s - self.began_s

    @property
    def still_s(self) -> float:
        """How long nothing of it has changed."""
        return self.last.at_s - max(self.log_grew_s, self.cpu_grew_s)

    def sentence(self) -> str:
        """How long it takes already, and the latest sign of life, e.g. ``40 s, its log grew 2 s ago``."""
        log_ago, cpu_ago = self.last.at_s - self.log_grew_s, self.last.at_s - self.cpu_grew_s
        what, ago = ("log", log_ago) if log_ago <= cpu_ago else ("CPU time", cpu_ago)
        return f"{self.waited_s:.0f} s, its {what} grew {ago:.0f} s ago"


def judge(watch: Watch, *, stall_s: float, hard_end_s: float) -> Verdict:
    """What to do about a server.

    Args:
        watch: what is known of it.
        stall_s: without any progress for so long, it is given up.
        hard_end_s: so long after its start it is given up, whatever it does.

    Returns:
        ``ready``, ``wait``, ``stalled`` (no progress), or ``over`` (past the hard end).
    """
    if watch.last.healthy:
        return "ready"
    if watch.waited_s >= hard_end_s:
        return "over"
    return "stalled" if watch.still_s >= stall_s else "wait"
