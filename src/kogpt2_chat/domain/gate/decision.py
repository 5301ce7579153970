"""The gate: may a candidate speak? Measured figures in, a decision with its reasons out.

The first cut of the rules: fit, failures, token leaks, must-pass golden questions and loading decide; the
rest is shown and decides nothing. Margins come from a named profile and are printed with every reason. Pure:
the same figures give the same decision, the bootstrap is seeded.
"""

import random
from dataclasses import asdict, dataclass
from statistics import fmean

from kogpt2_chat.domain.gate.behaviour import conduct, retrieval
from kogpt2_chat.domain.gate.measurements import EngineAgreement, GateThresholds, Measurements, PairedNll
from kogpt2_chat.domain.gate.reasons import Block, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """May the candidate speak, and why."""

    bot: str
    version: int
    opponent: str
    profile: GateThresholds
    passed: bool
    reasons: tuple[Reason, ...]

    def refusals(self) -> list[str]:
        """Sentences of the decisive rules that do not hold."""
        return [reason.sentence for reason in self.reasons if reason.decisive and not reason.passed]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "bot": self.bot,
            "version": self.version,
            "opponent": self.opponent,
            "profile": asdict(self.profile),
            "passed": self.passed,
            "reasons": [asdict(reason) for reason in self.reasons],
        }


def decide(figures: Measurements, profile: GateThresholds, seed: int = 20) -> Decision:
    """Apply every rule.

    Args:
        figures: what was measured.
        profile: the margins.
        seed: of the bootstrap.

    Returns:
        The decision, its reasons in the order of the rules.
    """
    reasons = [_loads(figures)]
    if not figures.load_error:
        reasons += [*_engine(figures.engine, profile), *_fit(figures, profile, seed), *conduct(figures, profile)]
        reasons += retrieval(figures)
        reasons += _shown(figures, profile)
    passed = all(reason.passed for reason in reasons if reason.decisive)
    return Decision(
        bot=figures.bot, version=figures.version, opponent=figures.opponent, profile=profile, passed=passed,
        reasons=tuple(reasons),
    )  # fmt: skip


def upper_bound(slice_: PairedNll, confidence: float, rounds: int, seed: int) -> float:
    """Upper confidence bound of the mean paired difference (candidate minus opponent), resampling clusters.

    Args:
        slice_: at least one example.
        confidence: e.g. 0.95, one-sided.
        rounds: resamples.
        seed: the same seed gives the same bound.

    Returns:
        The bound in nat.
    """
    differences: dict[str, list[float]] = {}
    for ours, theirs, cluster in zip(slice_.candidate, slice_.opponent, slice_.clusters, strict=True):
        differences.setdefault(cluster, []).append(ours - theirs)
    clusters = [(sum(values), len(values)) for values in differences.values()]
    draw = random.Random(seed)  # noqa: S311 - resampling, not secrets
    means = []
    for _ in range(rounds):
        drawn = draw.choices(clusters, k=len(clusters))
        means.append(sum(total for total, _ in drawn) / sum(count for _, count in drawn))
    return sorted(means)[min(int(confidence * rounds), rounds - 1)]


def mean_difference(slice_: PairedNll) -> float:
    """Mean paired difference, candidate minus opponent, in nat."""
    return fmean(slice_.candidate) - fmean(slice_.opponent)


def _loads(figures: Measurements) -> Reason:
    loads = not figures.load_error
    sentence = (
        "loads in the worker's engine" if loads else f"does not load in the worker's engine: {figures.load_error}"
    )
    return Reason(
        rule="loads", block="serving", figure=float(loads), bound=1.0, passed=loads, decisive=True, sentence=sentence
    )


def _engine(engine: EngineAgreement | None, profile: GateThresholds) -> list[Reason]:
    """What players will hear is what was judged: int8 may waver, and no more."""
    if engine is None:
        return []
    agreement = Reason(
        rule="engine_agreement", block="serving", figure=engine.share, bound=profile.engine_agreement,
        passed=engine.share >= profile.engine_agreement, decisive=True,
        sentence=f"of {engine.questions} learned questions {engine.same_answers} are heard from the serving engine "
        f"token by token as from the weights in fp32 ({engine.share:.1%}, at least {profile.engine_agreement:.1%})",
    )  # fmt: skip
    likelihood = Reason(
        rule="engine_nll", block="serving", figure=engine.nll_difference, bound=profile.engine_nll_margin_nat,
        passed=engine.nll_difference <= profile.engine_nll_margin_nat, decisive=True,
        sentence=f"NLL of known answers on the serving engine {engine.nll_engine:.3f} against "
        f"{engine.nll_reference:.3f} in fp32: {engine.nll_difference:+.3f} nat, at most "
        f"{profile.engine_nll_margin_nat:+.3f}",
    )  # fmt: skip
    return [agreement, likelihood]


def _fit(figures: Measurements, profile: GateThresholds, seed: int) -> list[Reason]:
    """Not worse on gold; better on what was taught, or on held-out human pairs."""
    reasons = [_not_worse(figures.gold, figures.opponent, profile, seed)]
    better = [
        _better(name, slice_, figures.opponent, profile, seed)
        for name, slice_ in (("taught", figures.taught), ("held_out", figures.held_out))
        if slice_ is not None and slice_.candidate
    ]
    improved = [reason for reason in better if reason.passed]
    sentence = (
        " and ".join(reason.sentence for reason in improved)
        if improved
        else "is better than "
        + figures.opponent
        + " nowhere: "
        + ("; ".join(r.sentence for r in better) or "nothing new")
    )
    best = min((reason.figure for reason in better), default=0.0)
    improves = Reason(
        rule="improves", block="fit", figure=best, bound=0.0, passed=bool(improved), decisive=True, sentence=sentence
    )
    return [*reasons, *better, improves]


def _not_worse(gold: PairedNll | None, opponent: str, profile: GateThresholds, seed: int) -> Reason:
    if gold is None or not gold.candidate:
        return Reason(
            rule="gold_not_worse", block="fit", figure=0.0, bound=profile.gold_margin_nat, passed=False, decisive=True,
            sentence="there is no gold set to compare on: write gold.csv",
        )  # fmt: skip
    bound = upper_bound(gold, profile.confidence, profile.bootstrap_rounds, seed)
    passed = bound <= profile.gold_margin_nat
    return Reason(
        rule="gold_not_worse", block="fit", figure=bound, bound=profile.gold_margin_nat, passed=passed, decisive=True,
        sentence=f"gold NLL {fmean(gold.candidate):.3f} against {fmean(gold.opponent):.3f} of {opponent}: difference "
        f"{mean_difference(gold):+.3f}, upper bound {bound:+.3f} nat, {'within' if passed else 'above'} the margin "
        f"{profile.gold_margin_nat:+.3f}",
    )  # fmt: skip


def _better(name: str, slice_: PairedNll, opponent: str, profile: GateThresholds, seed: int) -> Reason:
    bound = upper_bound(slice_, profile.confidence, profile.bootstrap_rounds, seed)
    shown = {"taught": "newly taught", "held_out": "held-out"}[name]
    return Reason(
        rule=f"better_on_{name}", block="fit", figure=bound, bound=0.0, passed=bound < 0, decisive=False,
        sentence=f"NLL on {len(slice_.candidate)} {shown} pairs {fmean(slice_.candidate):.3f} against "
        f"{fmean(slice_.opponent):.3f} of {opponent}, upper bound of the difference {bound:+.3f} nat",
    )  # fmt: skip


def _shown(figures: Measurements, profile: GateThresholds) -> list[Reason]:
    """What is computed and decides nothing yet."""
    ours, theirs = figures.candidate, figures.spoken_opponent
    if ours is None:
        return []
    reasons = []
    if figures.heard is not None and figures.heard.answers:
        reasons.append(
            _inform(
                "own_answers",
                "baseline",
                "share of answers in its own words",
                figures.heard.own / figures.heard.answers,
                0.0,
            )
        )
    if ours.golden_total:
        reasons.append(
            _inform("golden_rest", "golden", "share of other golden questions", ours.golden_passed / ours.golden_total,
                    theirs.golden_passed / theirs.golden_total if theirs and theirs.golden_total else 0.0)
        )  # fmt: skip
    if theirs is not None:
        share = profile.diversity_share
        reasons += [
            _inform("chrf", "reference", "chrF", ours.chrf, theirs.chrf - profile.chrf_margin),
            _inform("distinct_1", "diversity", "distinct words", ours.distinct_1, share * theirs.distinct_1),
            _inform("distinct_2", "diversity", "distinct word pairs", ours.distinct_2, share * theirs.distinct_2),
            _inform("entropy", "diversity", "entropy of words", ours.entropy, share * theirs.entropy),
            _inform("p95_ms", "serving", "p95 latency in ms", ours.p95_ms, profile.latency_factor * theirs.p95_ms,
                    at_most=True),
        ]  # fmt: skip
    if figures.slices:
        topic, worst = max(figures.slices.items(), key=lambda item: item[1])
        reasons.append(
            _inform("worst_slice", "slices", f"gold NLL difference on topic {topic}", worst, profile.gold_margin_nat,
                    at_most=True)
        )  # fmt: skip
    return reasons


def _inform(rule: str, block: Block, what: str, figure: float, bound: float, *, at_most: bool = False) -> Reason:
    passed = figure <= bound if at_most else figure >= bound
    sentence = f"{what} {figure:.3f}, {'at most' if at_most else 'at least'} {bound:.3f} wished for (shown only)"
    return Reason(rule=rule, block=block, figure=figure, bound=bound, passed=passed, decisive=False, sentence=sentence)
