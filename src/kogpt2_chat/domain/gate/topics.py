"""The gate's informational rule on topics: where the candidate lost most."""

from collections.abc import Mapping
from dataclasses import dataclass

from kogpt2_chat.domain.gate.block import Block, Case, Reason, Target


@dataclass(frozen=True, slots=True)
class TopicNll(Block):
    """Likelihoods by topic.

    Attributes:
        nll_difference_by_topic: difference of the mean gold NLL, candidate minus baseline, in nat.
    """

    nll_difference_by_topic: Mapping[str, float]

    def reasons(self, case: Case, /) -> list[Reason]:
        """Set the margin of the whole gold set as target of the worst topic."""
        if not self.nll_difference_by_topic:
            return []
        topic, worst = max(self.nll_difference_by_topic.items(), key=lambda item: item[1])
        target = Target("worst_slice", "slices", f"gold NLL difference on topic {topic}")
        return [target.at_most(worst, case.thresholds.gold_margin_nat)]
