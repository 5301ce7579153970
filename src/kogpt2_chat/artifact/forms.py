"""Choose the form in which the serving engine computes on this machine: the fastest one that agrees with fp32. Pure.

Which form is fastest depends on the machine. int8 products are fastest if the processor has instructions for them.
On other processors they are slower than fp32 products, and less exact because their sums overflow.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Form = Literal["int8", "int8_weights", "native", "native_int8", "native_short", "native_int8_short"]
INT8: Final[Form] = "int8"
"""Weights and activations in int8."""
INT8_WEIGHTS: Final[Form] = "int8_weights"
"""Weights in int8, activations and products in fp32."""
NATIVE: Final[Form] = "native"
"""Weights in int8, activations in int16, sums in int32, by the native engine."""
NATIVE_INT8: Final[Form] = "native_int8"
"""Weights and activations in int8, sums in int32, by the native engine; on processors with VNNI."""
NATIVE_SHORT: Final[Form] = "native_short"
"""As ``native``, with the logits of a short list of tokens only."""
NATIVE_INT8_SHORT: Final[Form] = "native_int8_short"
"""As ``native_int8``, with the logits of a short list of tokens only."""
SHORT_FORMS: Final = (NATIVE_SHORT, NATIVE_INT8_SHORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Durations of a pass on this machine, with one and with eight sequences, in ms; above 0."""

    one_row_ms: float
    eight_rows_ms: float

    @property
    def typical_ms(self) -> float:
        """Geometric mean of both durations, so that both loads have the same weight."""
        return math.sqrt(self.one_row_ms * self.eight_rows_ms)

    @property
    def free_rows(self) -> float:
        """How many rows cost as much as reading the weights, which a pass does once: its cost without rows, in rows."""
        row_ms = max((self.eight_rows_ms - self.one_row_ms) / 7, self.one_row_ms / 100)
        return max(0.0, self.one_row_ms / row_ms - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well a form agrees with fp32 on the prompts that are stored with a version.

    Attributes:
        answers: answers compared.
        same_answers: answers that are the same token by token.
        tokens: positions compared; at each, both forms continue the same tokens.
        same_tokens: positions with the same likeliest token.
    """

    answers: int
    same_answers: int
    tokens: int
    same_tokens: int

    @property
    def share(self) -> float:
        """Share of answers that are the same token by token."""
        return self.same_answers / self.answers if self.answers else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FormChoice:
    """The form in which a version is served on this machine, and the measurements behind the choice.

    Attributes:
        form: the chosen form.
        least_share: smallest share of same answers, from the gate's profile.
        speed_by_form: measured on this machine.
        agreement_by_form: of the forms that were compared; empty if the version has no prompts to compare on.
        crashing: forms that end their process on this machine.
    """

    form: Form
    least_share: float
    speed_by_form: Mapping[Form, Speed] = field(default_factory=dict)
    agreement_by_form: Mapping[Form, Agreement] = field(default_factory=dict)
    crashing: tuple[Form, ...] = ()

    @property
    def agreement(self) -> Agreement | None:
        """Agreement of the chosen form; None if the version has no prompts to compare on."""
        return self.agreement_by_form.get(self.form)

    @property
    def agrees(self) -> bool:
        """Whether the version may be served in this form: it agrees with fp32, or has no prompts to compare on."""
        return self.agreement is None or self.agreement.share >= self.least_share

    def as_fields(self) -> dict[str, object]:
        """Return the choice as plain values for the log."""
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
            "crashing": list(self.crashing),
        }


def choose(
    speed_by_form: Mapping[Form, Speed], compare: Callable[[Form], Agreement | None], least_share: float
) -> FormChoice:
    """Choose the fastest form that agrees with fp32; if none does, the one that agrees most.

    Args:
        speed_by_form: at least one form.
        compare: measures the agreement of a form; called with the fastest form first, until one agrees. Returns None
            if the version has no prompts to compare on.
        least_share: smallest share of answers that must be the same.

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
    return FormChoice(form=form, least_share=least_share, speed_by_form=speed_by_form, agreement_by_form=found)
