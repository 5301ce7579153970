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
        opponent: name of the baseline, the model that the candidate is compared with: ``base``, or for example
            ``champion 3``.
        thresholds: of a profile.
        seed: seed of the bootstrap.
    """

    bot: str
    version: int
    opponent: str
    thresholds: GateThresholds
    seed: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule of the gate and its result. The field names are JSON keys of the stored decision.

    Attributes:
        rule: name of the rule.
        block: the group under which the decision's page lists the rule.
        figure: the measured value.
        bound: the threshold it is compared with.
        passed: whether the rule holds.
        decisive: whether the rule is blocking: the decision depends on it. Other rules are informational.
        sentence: the result in words.
    """

    rule: str
    block: str
    figure: float
    bound: float
    passed: bool
    decisive: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the gate.

    Attributes:
        name: name of the rule.
        group: the group under which the decision's page lists it.
        is_blocking: whether the decision depends on it.
    """

    name: str
    group: str
    is_blocking: bool = True

    def at_most(self, figure: float, bound: float, sentence: str) -> Reason:
        """Return the result of a rule that limits a figure from above."""
        return self.result(figure, bound, sentence, passed=figure <= bound)

    def at_least(self, figure: float, bound: float, sentence: str) -> Reason:
        """Return the result of a rule that limits a figure from below."""
        return self.result(figure, bound, sentence, passed=figure >= bound)

    def result(self, figure: float, bound: float, sentence: str, *, passed: bool) -> Reason:
        """Return the result of a rule that is more than a comparison of the figure with the bound."""
        return Reason(
            rule=self.name,
            block=self.group,
            figure=figure,
            bound=bound,
            passed=passed,
            decisive=self.is_blocking,
            sentence=sentence,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """An informational rule: its figure has a target, and missing it does not refuse the candidate.

    Attributes:
        name: name of the rule.
        group: the group under which the decision's page lists it.
        what: what the figure is, in words.
    """

    name: str
    group: str
    what: str

    def at_most(self, figure: float, target: float) -> Reason:
        """Return the result of a target that limits a figure from above."""
        return self._rule.at_most(figure, target, self._sentence(figure, f"at most {target:.3f}"))

    def at_least(self, figure: float, target: float) -> Reason:
        """Return the result of a target that limits a figure from below."""
        return self._rule.at_least(figure, target, self._sentence(figure, f"at least {target:.3f}"))

    @property
    def _rule(self) -> Rule:
        return Rule(self.name, self.group, is_blocking=False)

    def _sentence(self, figure: float, target: str) -> str:
        return f"{self.what} {figure:.3f} (target {target}, informational)"


class Block(ABC):
    """The measurements of one block, with the rules on them."""

    __slots__ = ()

    @abstractmethod
    def reasons(self, case: Case, /) -> list[Reason]:
        """Apply the block's rules. A pure function of the measurements and the case."""

    def metrics(self) -> dict[str, float]:
        """Return the measurements by which MLflow compares versions, by metric name."""
        return {}
