"""The gate's decision: takes the measurements of a candidate, and returns a decision with its reasons.

Blocking rules: the version loads, it agrees with the reference engine, fit, failures, leaked control tokens, must-pass
golden questions, and the comparison with retrieval. All other rules are informational. The thresholds come from a
named profile, and every reason states the threshold it used. The decision is a pure function of its arguments: the
bootstrap is seeded.
"""

import random
from dataclasses import asdict, dataclass
from statistics import fmean

from kogpt2_chat.domain.gate.behaviour import behaviour_reasons, retrieval_reasons
from kogpt2_chat.domain.gate.measurements import EngineAgreement, GateThresholds, Measurements, PairedNll
from kogpt2_chat.domain.gate.reasons import Block, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the candidate passed the gate, and why.

    Attributes:
        bot: the bot.
        version: the candidate's version.
        opponent: name of the baseline.
        profile: the thresholds that were applied.
        passed: whether every blocking rule holds.
        reasons: the result of each rule, in the order of the rules.
    """

    bot: str
    version: int
    opponent: str
    profile: GateThresholds
    passed: bool
    reasons: tuple[Reason, ...]

    def refusals(self) -> list[str]:
        """Return the sentences of the blocking rules that do not hold."""
        return [reason.sentence for reason in self.reasons if reason.decisive and not reason.passed]

    def as_json(self) -> dict[str, object]:
        """Return the decision as plain values for JSON."""
        return {
            "bot": self.bot,
            "version": self.version,
            "opponent": self.opponent,
            "profile": asdict(self.profile),
            "passed": self.passed,
            "reasons": [asdict(reason) for reason in self.reasons],
        }


def decide(measurements: Measurements, thresholds: GateThresholds, seed: int = 20) -> Decision:
    """Apply every rule of the gate.

    Args:
        measurements: what was measured.
        thresholds: the thresholds of a profile.
        seed: seed of the bootstrap.

    Returns:
        The decision, with its reasons in the order of the rules.
    """
    reasons = [_loads(measurements)]
    if not measurements.load_error:
        reasons += [*_engine(measurements.engine, thresholds), *_fit(measurements, thresholds, seed)]
        reasons += behaviour_reasons(measurements, thresholds)
        reasons += retrieval_reasons(measurements)
        reasons += _informational_reasons(measurements, thresholds)
    passed = all(reason.passed for reason in reasons if reason.decisive)
    return Decision(
        bot=measurements.bot,
        version=measurements.version,
        opponent=measurements.opponent,
        profile=thresholds,
        passed=passed,
        reasons=tuple(reasons),
    )


def upper_bound(paired: PairedNll, confidence: float, rounds: int, seed: int) -> float:
    """Return the upper confidence bound of the mean paired difference, candidate minus baseline.

    A bootstrap over clusters: examples of one cluster are drawn together.

    Args:
        paired: the NLL of both models, with at least one example.
        confidence: one-sided confidence level, for example 0.95.
        rounds: number of resamples.
        seed: seed of the bootstrap; the same seed yields the same bound.

    Returns:
        The bound, in nat.
    """
    differences: dict[str, list[float]] = {}
    for ours, theirs, cluster in zip(paired.candidate, paired.opponent, paired.clusters, strict=True):
        differences.setdefault(cluster, []).append(ours - theirs)
    clusters = [(sum(values), len(values)) for values in differences.values()]
    rng = random.Random(seed)  # noqa: S311 - resampling, not secrets
    means = []
    for _ in range(rounds):
        drawn = rng.choices(clusters, k=len(clusters))
        means.append(sum(total for total, _ in drawn) / sum(count for _, count in drawn))
    return sorted(means)[min(int(confidence * rounds), rounds - 1)]


def mean_difference(paired: PairedNll) -> float:
    """Return the mean paired difference, candidate minus baseline, in nat."""
    return fmean(paired.candidate) - fmean(paired.opponent)


def _loads(measurements: Measurements) -> Reason:
    loads = not measurements.load_error
    sentence = "loads in the worker's engine"
    if not loads:
        sentence = f"does not load in the worker's engine: {measurements.load_error}"
    return Reason(
        rule="loads", block="serving", figure=float(loads), bound=1.0, passed=loads, decisive=True, sentence=sentence
    )


def _engine(engine: EngineAgreement | None, thresholds: GateThresholds) -> list[Reason]:
    """Require that the serving engine (int8) stays close to the reference engine that was evaluated (fp32)."""
    if engine is None:
        return []
    agreement = Reason(
        rule="engine_agreement", block="serving", figure=engine.share, bound=thresholds.engine_agreement,
        passed=engine.share >= thresholds.engine_agreement, decisive=True,
        sentence=f"{engine.same_answers} of {engine.questions} learned questions get the same tokens from the serving "
        f"engine as from the fp32 weights ({engine.share:.1%}, at least {thresholds.engine_agreement:.1%})",
    )  # fmt: skip
    likelihood = Reason(
        rule="engine_nll", block="serving", figure=engine.nll_difference, bound=thresholds.engine_nll_margin_nat,
        passed=engine.nll_difference <= thresholds.engine_nll_margin_nat, decisive=True,
        sentence=f"NLL of known answers on the serving engine {engine.nll_engine:.3f} against "
        f"{engine.nll_reference:.3f} in fp32: difference {engine.nll_difference:+.3f} nat, at most "
        f"{thresholds.engine_nll_margin_nat:+.3f}",
    )  # fmt: skip
    return [agreement, likelihood]


def _fit(measurements: Measurements, thresholds: GateThresholds, seed: int) -> list[Reason]:
    """Require that the candidate is not worse on gold, and better on taught pairs or on held-out human pairs."""
    reasons = [_not_worse(measurements.gold, measurements.opponent, thresholds, seed)]
    better = [
        _better(name, paired, measurements.opponent, thresholds, seed)
        for name, paired in (("taught", measurements.taught), ("held_out", measurements.held_out))
        if paired is not None and paired.candidate
    ]
    improved = [reason for reason in better if reason.passed]
    if improved:
        sentence = " and ".join(reason.sentence for reason in improved)
    else:
        measured = "; ".join(reason.sentence for reason in better) or "no newly taught or held-out pairs to compare on"
        sentence = f"no improvement over {measurements.opponent}: {measured}"
    best = min((reason.figure for reason in better), default=0.0)
    improves = Reason(
        rule="improves", block="fit", figure=best, bound=0.0, passed=bool(improved), decisive=True, sentence=sentence
    )
    return [*reasons, *better, improves]


def _not_worse(gold: PairedNll | None, baseline: str, thresholds: GateThresholds, seed: int) -> Reason:
    if gold is None or not gold.candidate:
        return Reason(
            rule="gold_not_worse", block="fit", figure=0.0, bound=thresholds.gold_margin_nat, passed=False,
            decisive=True, sentence="the bot has no gold set to compare on: write gold.csv",
        )  # fmt: skip
    bound = upper_bound(gold, thresholds.confidence, thresholds.bootstrap_rounds, seed)
    passed = bound <= thresholds.gold_margin_nat
    return Reason(
        rule="gold_not_worse", block="fit", figure=bound, bound=thresholds.gold_margin_nat, passed=passed,
        decisive=True,
        sentence=f"gold NLL {fmean(gold.candidate):.3f} against {fmean(gold.opponent):.3f} of {baseline}: difference "
        f"{mean_difference(gold):+.3f}, upper bound {bound:+.3f} nat, {'within' if passed else 'above'} the margin "
        f"{thresholds.gold_margin_nat:+.3f}",
    )  # fmt: skip


def _better(name: str, paired: PairedNll, baseline: str, thresholds: GateThresholds, seed: int) -> Reason:
    bound = upper_bound(paired, thresholds.confidence, thresholds.bootstrap_rounds, seed)
    label = {"taught": "newly taught", "held_out": "held-out"}[name]
    return Reason(
        rule=f"better_on_{name}", block="fit", figure=bound, bound=0.0, passed=bound < 0, decisive=False,
        sentence=f"NLL on {len(paired.candidate)} {label} pairs {fmean(paired.candidate):.3f} against "
        f"{fmean(paired.opponent):.3f} of {baseline}, upper bound of the difference {bound:+.3f} nat",
    )  # fmt: skip


def _informational_reasons(measurements: Measurements, thresholds: GateThresholds) -> list[Reason]:
    """Compute the informational rules, which do not affect the decision."""
    ours, theirs = measurements.candidate, measurements.spoken_opponent
    if ours is None:
        return []
    reasons = []
    if measurements.heard is not None and measurements.heard.answers:
        reasons.append(
            _informational(
                "own_answers",
                "baseline",
                "share of the model's own answers",
                measurements.heard.own / measurements.heard.answers,
                0.0,
            )
        )
    if ours.golden_total:
        reasons.append(
            _informational(
                "golden_rest",
                "golden",
                "share of other golden questions answered correctly",
                ours.golden_passed / ours.golden_total,
                theirs.golden_passed / theirs.golden_total if theirs and theirs.golden_total else 0.0,
            )
        )
    if theirs is not None:
        share = thresholds.diversity_share
        reasons += [
            _informational("chrf", "reference", "chrF", ours.chrf, theirs.chrf - thresholds.chrf_margin),
            _informational("distinct_1", "diversity", "distinct words", ours.distinct_1, share * theirs.distinct_1),
            _informational(
                "distinct_2", "diversity", "distinct word pairs", ours.distinct_2, share * theirs.distinct_2
            ),
            _informational("entropy", "diversity", "entropy of words", ours.entropy, share * theirs.entropy),
            _informational(
                "p95_ms", "serving", "p95 latency of the reference engine in ms", ours.p95_ms,
                thresholds.latency_factor * theirs.p95_ms, at_most=True,
            ),
        ]  # fmt: skip
    if measurements.slices:
        topic, worst = max(measurements.slices.items(), key=lambda item: item[1])
        reasons.append(
            _informational(
                "worst_slice",
                "slices",
                f"gold NLL difference on topic {topic}",
                worst,
                thresholds.gold_margin_nat,
                at_most=True,
            )
        )
    return reasons


def _informational(rule: str, block: Block, what: str, value: float, target: float, *, at_most: bool = False) -> Reason:
    passed = value <= target if at_most else value >= target
    sentence = f"{what} {value:.3f} (target {'at most' if at_most else 'at least'} {target:.3f}, informational)"
    return Reason(rule=rule, block=block, figure=value, bound=target, passed=passed, decisive=False, sentence=sentence)
