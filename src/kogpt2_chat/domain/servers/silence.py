"""When long work has said nothing for a while, and what to say then. Knows nothing of threads or clocks."""

from dataclasses import dataclass
from typing import Final

EVERY_S: Final = 9.0
"""No step is silent for more than ten seconds: one of them is left for looking and speaking."""
TELL_EVERY_S: Final = 8.0
"""Work that knows how far it is tells so by itself, before its last line would be repeated."""


@dataclass(slots=True, kw_only=True)
class Silence:
    """How long it has been since the last word.

    Attributes:
        line: what was last said by the work itself; before that, what the work is.
        since_s: when that was.
        every_s: the longest silence.
    """

    line: str
    since_s: float
    every_s: float = EVERY_S
    _spoken_s: float | None = None

    def said(self, line: str, at_s: float) -> None:
        """Note a line of the work."""
        self.line, self.since_s, self._spoken_s = line, at_s, None

    def due(self, at_s: float) -> str | None:
        """The line that breaks the silence, e.g. ``still at it, 40 s: epoch 2 of 3``; None while it is not due."""
        if at_s - (self.since_s if self._spoken_s is None else self._spoken_s) < self.every_s:
            return None
        self._spoken_s = at_s
        return f"still at it, {at_s - self.since_s:.0f} s: {self.line}"
