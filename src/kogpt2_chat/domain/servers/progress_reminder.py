"""When to repeat the last progress message of long work. Does not depend on threads or clocks."""

from dataclasses import dataclass
from typing import Final

EVERY_S: Final = 9.0
"""A message appears at least every ten seconds; the remaining second is for the check and the output."""
REPORT_EVERY_S: Final = 8.0
"""Interval for work that reports its own progress, shorter than the interval for repeated messages."""


@dataclass(slots=True, kw_only=True)
class ProgressReminder:
    """The time since the last progress message.

    Attributes:
        line: the last message of the work; before the first one, a description of the work.
        since_s: when that message appeared.
        every_s: the longest time without a message.
    """

    line: str
    since_s: float
    every_s: float = EVERY_S
    _repeated_s: float | None = None

    def record(self, line: str, at_s: float) -> None:
        """Record a message of the work."""
        self.line, self.since_s, self._repeated_s = line, at_s, None

    def due(self, at_s: float) -> str | None:
        """Return a reminder if it is due, e.g. ``still running after 40 s: epoch 2 of 3``; otherwise None."""
        if at_s - (self.since_s if self._repeated_s is None else self._repeated_s) < self.every_s:
            return None
        self._repeated_s = at_s
        return f"still running after {at_s - self.since_s:.0f} s: {self.line}"
