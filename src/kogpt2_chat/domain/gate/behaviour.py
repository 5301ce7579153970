"""The gate's rules on single answers: failures, leaked control tokens, must-pass golden questions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from kogpt2_chat.domain.gate.block import Block, Case, Comparison, Reason, Rule
from kogpt2_chat.domain.gate.thresholds import GateThresholds

Failure = Literal["empty", "cut", "looping", "copied"]

_VERB_BY_FAILURE: Final[Mapping[Failure, str]] = {
    "empty": "are empty",
    "cut": "are cut at the maximum length",
    "looping": "loop",
    "copied": "copy the question",
}
FAILURES: Final = tuple(_VERB_BY_FAILURE)
_ANSWERS: Final = Rule("answers", "failures")
_NO_LEAKS: Final = Rule("no_leaks", "leaks")
_MUST_PASS: Final = Rule("must_pass", "golden")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFaults:
    """What is wrong with the greedy answers to all questions.

    Attributes:
        answers: number of answers evaluated.
        failures: number of failed answers by kind of failure.
        leaks: number of answers that contain a control token.
        must_passed: must-pass golden questions answered correctly.
        must_total: number of must-pass golden questions.
    """

    answers: int
    failures: Mapping[str, int]
    leaks: int
    must_passed: int
    must_total: int

    @property
    def must_share(self) -> float:
        """Share of must-pass questions answered correctly; 1 if there are none."""
        return self.must_passed / self.must_total if self.must_total else 1.0

    def share(self, kind: str) -> float:
        """Return the share of answers with a kind of failure; there must be answers."""
        return self.failures.get(kind, 0) / self.answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Block):
    """The faults of the candidate's answers.

    Attributes:
        own: faults of its own answers on the reference engine.
        heard: faults of what players receive: the serving engine's answers and the fallbacks that replace them.
        baseline: faults of the baseline's own answers on the reference engine; None if it is a base.
    """

    own: AnswerFaults
    heard: AnswerFaults
    baseline: AnswerFaults | None = None

    def reasons(self, case: Case, /) -> list[Reason]:
        """Apply each rule to the candidate's own answers, and again (rules ``heard_…``) to what players receive.

        Both must pass, so that fallbacks cannot hide faults of the model.
        """
        if not self.own.answers:
            return [_ANSWERS.at_least(0.0, 1.0, "no answers were evaluated")]
        heard = [
            replace(reason, rule=f"heard_{reason.rule}", sentence=f"as served to players: {reason.sentence}")
            for reason in _reasons(self.heard, case.thresholds)
        ]
        return [*_reasons(self.own, case.thresholds), *heard]

    def comparisons(self) -> list[Comparison]:
        """Compare the models' own answers."""
        ours, theirs = self.own, self.baseline
        if theirs is None or not ours.answers or not theirs.answers:
            return []
        faults = [
            Comparison(rule=f"few_{kind}", what=f"answers that {verb}", lower_is_better=True,
                       value=ours.share(kind), baseline=theirs.share(kind))
            for kind, verb in _VERB_BY_FAILURE.items()
        ]  # fmt: skip
        return [
            *faults,
            Comparison(rule=_NO_LEAKS.name, what="answers with a control token", lower_is_better=True,
                       value=float(ours.leaks), baseline=float(theirs.leaks)),
            Comparison(rule=_MUST_PASS.name, what="must-pass questions", lower_is_better=False,
                       value=ours.must_share, baseline=theirs.must_share),
        ]  # fmt: skip


def _reasons(faults: AnswerFaults, thresholds: GateThresholds) -> list[Reason]:
    leaks = f"{faults.leaks} of {faults.answers} answers contain a control token (at most 0)"
    must_pass = (
        f"{faults.must_passed} of {faults.must_total} must-pass golden questions answered correctly "
        f"(at least {thresholds.must_pass_share:.0%})"
    )
    return [
        *(_few(kind, faults, thresholds.max_failure_share) for kind in FAILURES),
        _NO_LEAKS.at_most(float(faults.leaks), 0.0, leaks),
        _MUST_PASS.at_least(faults.must_share, thresholds.must_pass_share, must_pass),
    ]


def _few(kind: Failure, faults: AnswerFaults, most: float) -> Reason:
    count, share = faults.failures.get(kind, 0), faults.share(kind)
    sentence = f"{count} of {faults.answers} answers {_VERB_BY_FAILURE[kind]} ({share:.1%}, at most {most:.1%})"
    return Rule(f"few_{kind}", "failures").at_most(share, most, sentence)
