"""The result of one gate rule: the measured value, the threshold, and whether the rule is blocking."""

from dataclasses import dataclass
from typing import Literal

Block = Literal["fit", "failures", "leaks", "golden", "serving", "reference", "diversity", "baseline", "slices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule of the gate and its result. The field names are JSON keys of the stored decision.

    Attributes:
        rule: name of the rule.
        block: the group that the rule belongs to.
        figure: the measured value.
        bound: the threshold it is compared with.
        passed: whether the rule holds.
        decisive: whether the rule is blocking: the decision depends on it. Other rules are informational.
        sentence: the result in words.
    """

    rule: str
    block: Block
    figure: float
    bound: float
    passed: bool
    decisive: bool
    sentence: str
