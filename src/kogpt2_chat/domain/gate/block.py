"""What every block of the gate has in common: the case to decide on, the rules, and the reasons that they return."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from kogpt2_chat.domain.gate.thresholds import GateThresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the gate decides on, and by which thresholds.

    Attributes:
        bot: the bot.
        version: the candidate's version.
        baseline: name of what the candidate is compared with: ``base``, or for example ``champion 3``.
        thresholds: of a profile.
        seed: seed of the bootstrap.
    """

    bot: str
    version: int
    baseline: str
    thresholds: GateThresholds
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule of the gate and its result.

    Attributes:
        rule: name of the rule.
        block: the group under which the decision's page lists the rule.
        value: the measured value.
        threshold: what the value is compared with.
        passed: whether the rule holds.
        blocking: whether the decision depends on the rule; other rules are informational.
        sentence: the result in words.
        baseline: the baseline's value by the same measure; None if it was not measured, or if the value is already a
            difference from the baseline.
    """

    rule: str
    block: str
    value: float
    threshold: float
    passed: bool
    blocking: bool
    sentence: str
    baseline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was measured in the same way on the candidate and on the baseline.

    Attributes:
        rule: the rule that is about it.
        what: what was measured, in words.
        value: of the candidate.
        baseline: of the baseline.
        lower_is_better: whether a lower value is better.
    """

    rule: str
    what: str
    value: float
    baseline: float
    lower_is_better: bool

    @property
    def gain(self) -> float:
        """How much better the candidate is; negative if it is worse."""
        return self.baseline - self.value if self.lower_is_better else self.value - self.baseline


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the gate.

    Attributes:
        name: name of the rule.
        group: the group under which the decision's page lists it.
        blocking: whether the decision depends on it.
    """

    name: str
    group: str
    blocking: bool = True

    def at_most(self, value: float, threshold: float, sentence: str) -> Reason:
        """Return the result of a rule that limits a value from above."""
        return self.result(value, threshold, sentence, passed=value <= threshold)

    def at_least(self, value: float, threshold: float, sentence: str) -> Reason:
        """Return the result of a rule that limits a value from below."""
        return self.result(value, threshold, sentence, passed=value >= threshold)

    def result(self, value: float, threshold: float, sentence: str, *, passed: bool) -> Reason:
        """Return the result of a rule that is more than a comparison of the value with the threshold."""
        return Reason(
            rule=self.name,
            block=self.group,
            value=value,
            threshold=threshold,
            passed=passed,
            blocking=self.blocking,
            sentence=sentence,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """An informational rule: its value has a target, and missing it does not refuse the candidate.

    Attributes:
        name: name of the rule.
        group: the group under which the decision's page lists it.
        what: what the value is, in words.
    """

    name: str
    group: str
    what: str

    def at_most(self, value: float, target: float) -> Reason:
        """Return the result of a target that limits a value from above."""
        return self._rule.at_most(value, target, self._sentence(value, f"at most {target:.3f}"))

    def at_least(self, value: float, target: float) -> Reason:
        """Return the result of a target that limits a value from below."""
        return self._rule.at_least(value, target, self._sentence(value, f"at least {target:.3f}"))

    @property
    def _rule(self) -> Rule:
        return Rule(self.name, self.group, blocking=False)

    def _sentence(self, value: float, target: str) -> str:
        return f"{self.what} {value:.3f} (target {target}, informational)"


class Block(ABC):
    """The measurements of one block, with the rules on them."""

    __slots__ = ()

    @abstractmethod
    def reasons(self, case: Case, /) -> list[Reason]:
        """Apply the block's rules. A pure function of the measurements and the case."""

    def metrics(self) -> dict[str, float]:
        """Return the measurements by which MLflow compares versions, by metric name."""
        return {}

    def comparisons(self) -> list[Comparison]:
        """Return what was measured on the baseline too."""
        return []
