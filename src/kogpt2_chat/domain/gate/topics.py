"""The gate's informational rule on topics: how much worse the candidate is on its worst topic."""

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
        """Use the margin of the whole gold set as the target for the worst topic."""
        if not self.nll_difference_by_topic:
            return []
        topic, worst = max(self.nll_difference_by_topic.items(), key=lambda item: item[1])
        target = Target("worst_slice", "slices", f"gold NLL difference on topic {topic}")
        return [target.at_most(worst, case.thresholds.gold_margin_nat)]
