"""The gate's rules on what a candidate says: failures, token leaks, golden questions, and the nearest known answers."""

from dataclasses import replace
from typing import Final

from kogpt2_chat.domain.gate.measurements import FAILURES, AnswerMetrics, GateThresholds, Measurements
from kogpt2_chat.domain.gate.reasons import Reason

_VERB_BY_FAILURE: Final = {
    "empty": "are empty",
    "cut": "are cut at the bound",
    "looping": "loop",
    "copied": "copy the question",
}


def conduct(figures: Measurements, profile: GateThresholds) -> list[Reason]:
    """Failures, leaks and golden questions: of the candidate's own answers, and of what players hear."""
    if figures.candidate is None or not figures.candidate.answers:
        return [Reason(rule="answers", block="failures", figure=0.0, bound=1.0, passed=False, decisive=True,
                       sentence="no answers were looked at")]  # fmt: skip
    reasons = _conduct_of(figures.candidate, profile)
    if figures.heard is not None:
        reasons += [
            replace(reason, rule=f"heard_{reason.rule}", sentence=f"as players hear it: {reason.sentence}")
            for reason in _conduct_of(figures.heard, profile)
        ]
    return reasons


def _conduct_of(spoken: AnswerMetrics, profile: GateThresholds) -> list[Reason]:
    reasons = []
    for kind in FAILURES:
        count = spoken.failures.get(kind, 0)
        share = count / spoken.answers
        reasons.append(
            Reason(
                rule=f"few_{kind}",
                block="failures",
                figure=share,
                bound=profile.max_failure_share,
                passed=share <= profile.max_failure_share,
                decisive=True,
                sentence=f"{count} of {spoken.answers} answers {_VERB_BY_FAILURE[kind]} ({share:.1%}, at most "
                f"{profile.max_failure_share:.1%})",
            )
        )
    reasons.append(
        Reason(
            rule="no_leaks",
            block="leaks",
            figure=float(spoken.leaks),
            bound=0.0,
            passed=spoken.leaks == 0,
            decisive=True,
            sentence=f"{spoken.leaks} of {spoken.answers} answers hold a control token (none may)",
        )
    )
    share = spoken.must_passed / spoken.must_total if spoken.must_total else 1.0
    reasons.append(
        Reason(
            rule="must_pass",
            block="golden",
            figure=share,
            bound=profile.must_pass_share,
            passed=share >= profile.must_pass_share,
            decisive=True,
            sentence=f"{spoken.must_passed} of {spoken.must_total} must-pass golden questions answered right "
            f"({profile.must_pass_share:.0%} asked)",
        )
    )
    return reasons


def retrieval(figures: Measurements) -> list[Reason]:
    """Answering with the nearest known answer needs no model: a candidate beats that, or gives way to it."""
    if figures.candidate is None:
        return []
    ours, bound = figures.candidate.chrf, figures.retrieval_chrf
    against = f"chrF of its own answers to gold questions {ours:.2f}, of the nearest known answers {bound:.2f}"
    if ours >= bound:
        sentence = against
    elif figures.defers:
        sentence = f"{against}: the nearest known answer speaks where it is unsure"
    else:
        sentence = f"{against}: set KOGPT2_SERVING__UNCERTAIN to nearest for {figures.bot}, or train it better"
    return [
        Reason(
            rule="better_than_retrieval", block="baseline", figure=ours, bound=bound,
            passed=ours >= bound or figures.defers, decisive=True, sentence=sentence,
        )
    ]  # fmt: skip
