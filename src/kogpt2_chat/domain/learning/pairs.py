"""A question and its answer, as training, judging and falling back know it. Imports no model library."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A question and the answer to learn.

    Attributes:
        question: as the player said it.
        answer: what to say.
        weight: times it is seen in one epoch.
        cluster: pairs of one cluster are not independent; empty: its own.
        source: where it comes from (``seed``, ``praised``, ``correction``).
        topic: for slices.
    """

    question: str
    answer: str
    weight: int = 1
    cluster: str = ""
    source: str = "seed"
    topic: str = ""
