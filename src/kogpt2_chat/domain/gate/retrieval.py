"""The gate's rules on retrieval: answering with the nearest known answer, which needs no model."""

from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.gate.block import Block, Case, Reason, Rule, Target

_BETTER: Final = Rule("better_than_retrieval", "baseline")
_OWN_ANSWERS: Final = Target("own_answers", "baseline", "share of the model's own answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval(Block):
    """The candidate compared with the nearest known answers.

    Attributes:
        chrf: chrF of the candidate's own answers to the gold questions, 0 to 100.
        nearest_chrf: chrF of answering each of them with the nearest known answer.
        defers: whether the nearest known answer replaces the candidate's answer when the candidate is unsure.
        own_share: share of players' answers that come from the model itself; None if there are no answers.
    """

    chrf: float
    nearest_chrf: float
    defers: bool
    own_share: float | None = None

    def reasons(self, case: Case, /) -> list[Reason]:
        """Require that the candidate is at least as good as retrieval, or defers to it when it is unsure."""
        sentence = (
            f"chrF of its own answers to gold questions {self.chrf:.2f}, of the nearest known answers "
            f"{self.nearest_chrf:.2f}"
        )
        is_better = self.chrf >= self.nearest_chrf
        if not is_better and self.defers:
            sentence += ": the nearest known answer replaces its own when it is unsure"
        elif not is_better:
            sentence += f": set KOGPT2_SERVING__UNCERTAIN to nearest for {case.bot}, or train a better version"
        better = _BETTER.result(self.chrf, self.nearest_chrf, sentence, passed=is_better or self.defers)
        return [better] if self.own_share is None else [better, _OWN_ANSWERS.at_least(self.own_share, 0.0)]
