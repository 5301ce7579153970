"""The gate's rule that a version loads. If it does not, nothing else is measured."""

from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.gate.block import Block, Case, Reason, Rule

_LOADS: Final = Rule("loads", "serving")


@dataclass(frozen=True, slots=True)
class Loading(Block):
    """Whether the candidate loads.

    Attributes:
        error: why the candidate does not load in the worker's engine; empty if it does.
    """

    error: str = ""

    def reasons(self, _case: Case, /) -> list[Reason]:
        """Require that the candidate loads."""
        sentence = "loads in the worker's engine"
        if self.error:
            sentence = f"does not load in the worker's engine: {self.error}"
        return [_LOADS.at_least(float(not self.error), 1.0, sentence)]
