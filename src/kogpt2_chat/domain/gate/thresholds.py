"""The thresholds of a gate profile."""

from dataclasses import dataclass


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
