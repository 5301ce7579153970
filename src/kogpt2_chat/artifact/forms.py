"""In which form the serving engine computes on this machine: the fastest of those that say what fp32 says. Pure.

Which form is fast is for the machine to say. Products of two int8 numbers are fastest where the processor has
instructions for them, and on others both slower than products in fp32 and less exact, since their sums overflow.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Form = Literal["int8", "int8_weights"]
INT8: Final[Form] = "int8"
"""Weights and activations in int8."""
INT8_WEIGHTS: Final[Form] = "int8_weights"
"""Weights in int8, activations and products in fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long a pass takes on this machine; both figures above 0."""

    one_row_ms: float
    eight_rows_ms: float

    @property
    def typical_ms(self) -> float:
        """Both loads count alike, whatever a pass of each takes: their geometric mean."""
        return math.sqrt(self.one_row_ms * self.eight_rows_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A form beside fp32 on the prompts that a version carries along.

    Attributes:
        answers: compared.
        same_answers: of them, the same token by token.
        tokens: passes compared, each after the same tokens.
        same_tokens: of them, with the same likeliest token.
    """

    answers: int
    same_answers: int
    tokens: int
    same_tokens: int

    @property
    def share(self) -> float:
        """Share of answers that are the same, token by token."""
        return self.same_answers / self.answers if self.answers else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The form that a version is served in here, and why.

    Attributes:
        form: the chosen one.
        least_share: what the gate's profile asks for.
        speed_by_form: measured here; empty where the version has one form only.
        agreement_by_form: of the forms that were looked at; empty where the version carries no prompts to compare on.
    """

    form: Form
    least_share: float
    speed_by_form: Mapping[Form, Speed] = field(default_factory=dict)
    agreement_by_form: Mapping[Form, Agreement] = field(default_factory=dict)

    @property
    def agreement(self) -> Agreement | None:
        """Of the chosen form; None where nothing could be compared."""
        return self.agreement_by_form.get(self.form)

    @property
    def agrees(self) -> bool:
        """Whether the version may speak in this form: it says what fp32 says, or carries nothing to compare on."""
        return self.agreement is None or self.agreement.share >= self.least_share

    def as_fields(self) -> dict[str, object]:
        """Plain values, for the log."""
        return {
            "form": self.form,
            "ms_of_1_and_8_rows": {
                form: [round(speed.one_row_ms, 2), round(speed.eight_rows_ms, 2)]
                for form, speed in self.speed_by_form.items()
            },
            "answers_as_in_fp32": {
                form: f"{found.same_answers} of {found.answers}" for form, found in self.agreement_by_form.items()
            },
            "tokens_as_in_fp32": {
                form: f"{found.same_tokens} of {found.tokens}" for form, found in self.agreement_by_form.items()
            },
            "least_share": self.least_share,
            "compared": bool(self.agreement_by_form),
        }


def choose(
    speed_by_form: Mapping[Form, Speed], compare: Callable[[Form], Agreement | None], least_share: float
) -> Choice:
    """The fastest form that agrees with fp32; where none does, the one that agrees most.

    Args:
        speed_by_form: at least one form.
        compare: asked only for the forms that come into question, the fastest first; None where there is nothing to
            compare on.
        least_share: of answers that must be the same.

    Returns:
        The choice.
    """
    found: dict[Form, Agreement] = {}
    for form in sorted(speed_by_form, key=lambda form: speed_by_form[form].typical_ms):
        agreement = compare(form)
        if agreement is not None:
            found[form] = agreement
        if agreement is None or agreement.share >= least_share:
            break
    else:
        form = max(found, key=lambda form: found[form].share)
    return Choice(form=form, least_share=least_share, speed_by_form=speed_by_form, agreement_by_form=found)
