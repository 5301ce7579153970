"""The blocks of the gate, in the order of the reasons in a decision.

To add a block: write its measurements and rules in ``domain/gate/BLOCK.py``, its ``measure`` in
``evaluation/BLOCK.py``, and add that function to ``BLOCKS``.
"""

from collections.abc import Callable
from typing import Final

from kogpt2_chat.domain.gate.block import Block
from kogpt2_chat.evaluation import agreement, behaviour, latency, likelihood, quality, retrieval, topics
from kogpt2_chat.evaluation.trial import Trial

BLOCKS: Final[tuple[Callable[[Trial], Block], ...]] = (
    agreement.measure,
    likelihood.measure,
    behaviour.measure,
    retrieval.measure,
    quality.measure,
    latency.measure,
    topics.measure,
)


def measure(trial: Trial) -> list[Block]:
    """Measure every block of the gate on a candidate and its baseline."""
    return [measure_block(trial) for measure_block in BLOCKS]
