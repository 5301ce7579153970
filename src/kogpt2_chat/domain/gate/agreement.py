"""The gate's rules on int8: the serving engine must stay close to the fp32 weights that were evaluated."""

from dataclasses import dataclass
from typing import Final

from kogpt2_chat.domain.gate.block import Block, Case, Reason, Rule

_AGREEMENT: Final = Rule("engine_agreement", "serving")
_NLL: Final = Rule("engine_nll", "serving")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAgreement(Block):
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

    def reasons(self, case: Case, /) -> list[Reason]:
        """Require enough equal answers and nearly equal likelihoods."""
        least, margin = case.thresholds.engine_agreement, case.thresholds.engine_nll_margin_nat
        return [
            _AGREEMENT.at_least(
                self.share,
                least,
                f"{self.same_answers} of {self.questions} learned questions get the same tokens from the serving "
                f"engine as from the fp32 weights ({self.share:.1%}, at least {least:.1%})",
            ),
            _NLL.at_most(
                self.nll_difference,
                margin,
                f"NLL of known answers on the serving engine {self.nll_engine:.3f} against {self.nll_reference:.3f} in "
                f"fp32: difference {self.nll_difference:+.3f} nat, at most {margin:+.3f}",
            ),
        ]

    def metrics(self) -> dict[str, float]:
        """Return the shares of equal answers and tokens, and the difference of the likelihoods."""
        return {
            "engine_same_answers": self.share,
            "engine_same_tokens": self.same_tokens / max(self.tokens, 1),
            "engine_nll_difference": self.nll_difference,
        }
