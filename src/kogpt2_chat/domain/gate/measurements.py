"""The gate's input: the thresholds of a profile, and the measurements of a candidate and its baseline.

The baseline is the model that the candidate is compared with. Its fields are named ``opponent``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Failure = Literal["empty", "cut", "looping", "copied"]
FAILURES: Final[tuple[Failure, ...]] = ("empty", "cut", "looping", "copied")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateThresholds:
    """The thresholds of one profile. The field names are JSON keys of the stored decision.

    Attributes:
        name: the profile's name in the settings.
        gold_margin_nat: maximum upper confidence bound of the gold NLL difference, candidate minus baseline.
        confidence: confidence level of the one-sided bootstrap bounds.
        bootstrap_rounds: number of bootstrap resamples.
        max_failure_share: maximum share of answers with each kind of failure.
        must_pass_share: minimum share of must-pass golden questions answered correctly.
        chrf_margin: how far chrF may fall below the baseline's. Informational.
        diversity_share: minimum share of the baseline's diversity. Informational.
        latency_factor: maximum factor on the baseline's p95 latency. Informational.
        engine_agreement: minimum share of answers on which the serving engine and the fp32 weights agree in every
            token.
        engine_nll_margin_nat: maximum NLL of known answers on the serving engine minus that of the fp32 weights.
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
    """The NLL of both models on the same examples.

    Attributes:
        candidate: the candidate's NLL in nat per answer token, one value per example.
        opponent: the baseline's NLL, in the same order.
        clusters: cluster id per example; examples of one cluster are resampled together.
    """

    candidate: Sequence[float]
    opponent: Sequence[float]
    clusters: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerMetrics:
    """Metrics of one model's greedy answers.

    Attributes:
        answers: number of answers evaluated.
        failures: number of failed answers by kind of failure.
        leaks: number of answers that contain a control token.
        must_passed: must-pass golden questions answered correctly.
        must_total: number of must-pass golden questions.
        golden_passed: other golden questions answered correctly.
        golden_total: number of other golden questions.
        own: number of answers that are the model's own text, not a fallback.
        chrf: chrF against the gold answers, 0 to 100.
        distinct_1: share of distinct words among all words, 0 to 1.
        distinct_2: share of distinct word pairs among all word pairs, 0 to 1.
        entropy: entropy of the words, in nat.
        p50_ms: median latency of single answers in the reference engine; the serving engine is not timed.
        p95_ms: 95th percentile of the same latencies.
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
    """Comparison of the serving engine (int8) with the reference engine (fp32) on the same version.

    Attributes:
        questions: number of questions that both engines answered.
        same_answers: number of answers with identical tokens.
        same_tokens: number of tokens before the first difference, over all answers.
        tokens: number of tokens in the reference engine's answers.
        nll_reference: mean NLL of known answers on the reference engine, in nat.
        nll_engine: mean NLL of the same answers on the serving engine, in nat.
    """

    questions: int
    same_answers: int
    same_tokens: int
    tokens: int
    nll_reference: float
    nll_engine: float

    @property
    def share(self) -> float:
        """Share of answers with identical tokens."""
        return self.same_answers / self.questions if self.questions else 0.0

    @property
    def nll_difference(self) -> float:
        """NLL of the serving engine minus that of the reference engine, in nat."""
        return self.nll_engine - self.nll_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Everything the gate decides on.

    Attributes:
        bot: the bot.
        version: the candidate's version.
        opponent: name of the baseline: ``base``, or for example ``champion 3``.
        load_error: why the candidate does not load in the worker's engine; if set, nothing else was measured.
        gold: NLL on the frozen gold set.
        taught: NLL on pairs of the candidate's dataset that are new to the baseline; see
            :class:`kogpt2_chat.evaluation.evaluate.EvaluationSet`.
        held_out: NLL on human-written pairs that neither model learned.
        candidate: metrics of the candidate's own answers on the reference engine.
        spoken_opponent: metrics of the baseline's answers; None if the baseline is not a bot.
        retrieval_chrf: chrF of answering every gold question with the nearest known answer.
        heard: metrics of what players receive: the serving engine's answers and the fallbacks that replace them; None
            if not measured.
        defers: whether the nearest known answer replaces the candidate's answer when the candidate is unsure.
        slices: difference of mean gold NLL by topic, candidate minus baseline.
        engine: comparison of serving and reference engine; None if the reference engine serves.
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
