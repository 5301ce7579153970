"""The gate's rules on answers: failures, leaked control tokens, golden questions, and the nearest known answers."""

from dataclasses import replace
from typing import Final

from kogpt2_chat.domain.gate.measurements import FAILURES, AnswerMetrics, GateThresholds, Measurements
from kogpt2_chat.domain.gate.reasons import Reason

_VERB_BY_FAILURE: Final = {
    "empty": "are empty",
    "cut": "are cut at the maximum length",
    "looping": "loop",
    "copied": "copy the question",
}


def behaviour_reasons(measurements: Measurements, thresholds: GateThresholds) -> list[Reason]:
    """Apply the rules on failures, leaks and golden questions.

    They apply to the candidate's own answers, and again (rules ``heard_…``) to the answers that players receive.
    """
    if measurements.candidate is None or not measurements.candidate.answers:
        return [Reason(rule="answers", block="failures", figure=0.0, bound=1.0, passed=False, decisive=True,
                       sentence="no answers were evaluated")]  # fmt: skip
    reasons = _behaviour_of(measurements.candidate, thresholds)
    if measurements.heard is not None:
        reasons += [
            replace(reason, rule=f"heard_{reason.rule}", sentence=f"as served to players: {reason.sentence}")
            for reason in _behaviour_of(measurements.heard, thresholds)
        ]
    return reasons


def _behaviour_of(metrics: AnswerMetrics, thresholds: GateThresholds) -> list[Reason]:
    reasons = []
    for kind in FAILURES:
        count = metrics.failures.get(kind, 0)
        share = count / metrics.answers
        reasons.append(
            Reason(
                rule=f"few_{kind}",
                block="failures",
                figure=share,
                bound=thresholds.max_failure_share,
                passed=share <= thresholds.max_failure_share,
                decisive=True,
                sentence=f"{count} of {metrics.answers} answers {_VERB_BY_FAILURE[kind]} ({share:.1%}, at most "
                f"{thresholds.max_failure_share:.1%})",
            )
        )
    reasons.append(
        Reason(
            rule="no_leaks",
            block="leaks",
            figure=float(metrics.leaks),
            bound=0.0,
            passed=metrics.leaks == 0,
            decisive=True,
            sentence=f"{metrics.leaks} of {metrics.answers} answers contain a control token (at most 0)",
        )
    )
    share = metrics.must_passed / metrics.must_total if metrics.must_total else 1.0
    reasons.append(
        Reason(
            rule="must_pass",
            block="golden",
            figure=share,
            bound=thresholds.must_pass_share,
            passed=share >= thresholds.must_pass_share,
            decisive=True,
            sentence=f"{metrics.must_passed} of {metrics.must_total} must-pass golden questions answered correctly "
            f"(at least {thresholds.must_pass_share:.0%})",
        )
    )
    return reasons


def retrieval_reasons(measurements: Measurements) -> list[Reason]:
    """Require that the candidate is at least as good as retrieval, or defers to it.

    Answering with the nearest known answer needs no model, so a model that is worse must let the nearest answer
    replace its own when it is unsure.
    """
    if measurements.candidate is None:
        return []
    ours, threshold = measurements.candidate.chrf, measurements.retrieval_chrf
    compared = f"chrF of its own answers to gold questions {ours:.2f}, of the nearest known answers {threshold:.2f}"
    if ours >= threshold:
        sentence = compared
    elif measurements.defers:
        sentence = f"{compared}: the nearest known answer replaces its own when it is unsure"
    else:
        sentence = (
            f"{compared}: set KOGPT2_SERVING__UNCERTAIN to nearest for {measurements.bot}, or train a better version"
        )
    return [
        Reason(
            rule="better_than_retrieval", block="baseline", figure=ours, bound=threshold,
            passed=ours >= threshold or measurements.defers, decisive=True, sentence=sentence,
        )
    ]  # fmt: skip
