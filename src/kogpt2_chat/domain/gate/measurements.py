"""What the gate looks at: margins of a profile, and the figures measured of a candidate and its opponent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Failure = Literal["empty", "cut", "looping", "copied"]
FAILURES: Final[tuple[Failure, ...]] = ("empty", "cut", "looping", "copied")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateThresholds:
    """Named margins.

    Attributes:
        name: as the settings name it.
        gold_margin_nat: how much worse the gold NLL may be at the confidence bound.
        confidence: of the one-sided bootstrap bounds.
        bootstrap_rounds: resamples.
        max_failure_share: of all answers looked at, for each failure.
        must_pass_share: of the must-pass golden questions.
        chrf_margin: shown only, like those below.
        diversity_share: of the opponent's.
        latency_factor: of the opponent's p95.
        engine_agreement: least share of answers that the serving engine gives token by token like the weights in fp32.
        engine_nll_margin_nat: how much less likely the serving engine may find known answers.
    """

    name: str
    gold_margin_nat: float
    confidence: float
    bootstrap_rounds: int
    max_failure_share: float
    must_pass_share: float
    chrf_margin: float
    diversity_share: float
    latency_factor: float
    engine_agreement: float
    engine_nll_margin_nat: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedNll:
    """NLL of both models on the same examples.

    Attributes:
        candidate: nat per answer token, one for each example.
        opponent: likewise, in the same order.
        clusters: examples of one cluster are resampled together.
    """

    candidate: Sequence[float]
    opponent: Sequence[float]
    clusters: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerMetrics:
    """What one model's greedy answers came to.

    Attributes:
        answers: how many were looked at.
        failures: how many of them failed, by kind.
        leaks: answers that hold a control token.
        must_passed: must-pass golden questions answered right.
        must_total: must-pass golden questions.
        golden_passed: other golden questions answered right.
        golden_total: other golden questions.
        own: of the answers, how many are the model's own words.
        chrf: against the gold answers, 0 to 100.
        distinct_1: distinct words by words, 0 to 1.
        distinct_2: distinct word pairs by word pairs.
        entropy: of the words, in nat.
        p50_ms: of single answers in the worker's engine.
        p95_ms: likewise.
    """

    answers: int
    failures: Mapping[str, int]
    leaks: int
    must_passed: int
    must_total: int
    golden_passed: int
    golden_total: int
    chrf: float
    distinct_1: float
    distinct_2: float
    entropy: float
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    own: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAgreement:
    """The serving engine (int8) against the weights themselves (fp32), on the same version.

    Attributes:
        questions: asked of both.
        same_answers: answered with the same tokens, all of them.
        same_tokens: tokens before the first difference, over all answers.
        tokens: tokens of the reference's answers.
        nll_reference: mean NLL of known answers, in nat.
        nll_engine: likewise, on the serving engine.
    """

    questions: int
    same_answers: int
    same_tokens: int
    tokens: int
    nll_reference: float
    nll_engine: float

    @property
    def share(self) -> float:
        """Share of answers that are the same, token by token."""
        return self.same_answers / self.questions if self.questions else 0.0

    @property
    def nll_difference(self) -> float:
        """Serving engine minus reference, in nat."""
        return self.nll_engine - self.nll_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Everything the gate looks at.

    Attributes:
        opponent: who the candidate is compared with: ``base``, or ``champion 3``.
        load_error: why the candidate does not load in the worker's engine; then nothing else was measured.
        gold: on the frozen gold set.
        taught: on the pairs that the candidate's dataset has and the opponent's lacks.
        held_out: on human pairs that neither learned.
        candidate: the candidate's answers.
        spoken_opponent: the opponent's.
        retrieval_chrf: chrF of answering with the nearest known question's answer.
        heard: what players hear: the serving engine's answers, and what takes their place where it is unsure; None
            where that was not measured.
        defers: whether the nearest answer speaks where the candidate is unsure.
        slices: difference of mean gold NLL by topic, candidate minus opponent.
        engine: the candidate on the serving engine; None where the reference engine serves.
    """

    bot: str
    version: int
    opponent: str
    load_error: str = ""
    gold: PairedNll | None = None
    taught: PairedNll | None = None
    held_out: PairedNll | None = None
    candidate: AnswerMetrics | None = None
    spoken_opponent: AnswerMetrics | None = None
    retrieval_chrf: float = 0.0
    heard: AnswerMetrics | None = None
    defers: bool = False
    slices: Mapping[str, float] = field(default_factory=dict)
    engine: EngineAgreement | None = None
