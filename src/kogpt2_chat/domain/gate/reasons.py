"""What the gate says of one rule: its figure, its bound, and whether it decides."""

from dataclasses import dataclass
from typing import Literal

Block = Literal["fit", "failures", "leaks", "golden", "serving", "reference", "diversity", "baseline", "slices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule and what became of it.

    Attributes:
        rule: its name.
        block: the group it belongs to.
        figure: what was measured.
        bound: what it was held against.
        passed: whether it holds.
        decisive: whether the decision depends on it.
        sentence: the same for a person.
    """

    rule: str
    block: Block
    figure: float
    bound: float
    passed: bool
    decisive: bool
    sentence: str
