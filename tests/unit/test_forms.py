"""Choosing the form: the fastest one that agrees with fp32."""

import pytest

from kogpt2_chat.artifact.forms import INT8, INT8_WEIGHTS, Agreement, Speed, choose

FAST, SLOW = Speed(one_row_ms=15, eight_rows_ms=40), Speed(one_row_ms=33, eight_rows_ms=80)


def agreement(same):
    return Agreement(answers=30, same_answers=same, tokens=600, same_tokens=590)


class ScriptedComparison:
    """Return a scripted agreement for each form, and record which forms were compared."""

    def __init__(self, **same):
        self.same, self.compared = same, []

    def __call__(self, form):
        self.compared.append(form)
        return agreement(self.same[form]) if self.same else None


@pytest.mark.parametrize(("speeds", "fastest"), [
    ({INT8: SLOW, INT8_WEIGHTS: FAST}, INT8_WEIGHTS),
    ({INT8: FAST, INT8_WEIGHTS: SLOW}, INT8),
])  # fmt: skip
def test_the_machine_decides_between_forms_that_agree(speeds, fastest):
    """The faster form is chosen; the other one is not compared."""
    compare = ScriptedComparison(int8=29, int8_weights=30)
    choice = choose(speeds, compare, 0.9)
    assert (choice.form, choice.agrees, compare.compared) == (fastest, True, [fastest])


def test_a_faster_form_with_other_answers_is_not_chosen():
    """Agreement with fp32 comes before speed."""
    choice = choose({INT8: FAST, INT8_WEIGHTS: SLOW}, ScriptedComparison(int8=26, int8_weights=27), 0.9)
    assert (choice.form, choice.agrees) == (INT8_WEIGHTS, True)
    assert choice.as_fields()["answers_as_in_fp32"] == {INT8: "26 of 30", INT8_WEIGHTS: "27 of 30"}


def test_if_no_form_agrees_the_version_may_not_be_served():
    """The choice is the form that agrees most, and reports that this is not enough."""
    choice = choose({INT8: FAST, INT8_WEIGHTS: SLOW}, ScriptedComparison(int8=20, int8_weights=24), 0.9)
    assert (choice.form, choice.agrees) == (INT8_WEIGHTS, False)
    assert choice.agreement is not None
    assert choice.agreement.share == 0.8


def test_a_version_without_prompts_is_served_in_the_faster_form():
    """Older versions have no prompts: only speed decides, and the choice reports that nothing was compared."""
    choice = choose({INT8: SLOW, INT8_WEIGHTS: FAST}, ScriptedComparison(), 0.9)
    assert (choice.form, choice.agrees, choice.as_fields()["compared"]) == (INT8_WEIGHTS, True, False)


def test_one_sequence_and_eight_have_the_same_weight():
    """10 % less time for one sequence outweighs 5 % more for eight, although eight take longer."""
    int8, int8_weights = Speed(one_row_ms=9, eight_rows_ms=105), Speed(one_row_ms=10, eight_rows_ms=100)
    assert choose({INT8: int8, INT8_WEIGHTS: int8_weights}, ScriptedComparison(), 0.9).form == INT8
