"""The measure of linear work: it tells a quadratic loop from a linear one, however fast each step is."""

import re

import pytest

from tests.growth import growth


def count_again_and_again(text: str) -> None:
    """Quadratic with steps so fast that a text of 40,000 takes a few milliseconds, and one of 1 MiB ten seconds."""
    for _ in range(len(text) // 50):
        text.count("x")


def look_at_all_pairs(text: str) -> None:
    """Quadratic in Python's own steps."""
    for place in range(0, len(text), 500):
        for _ in text[place:]:
            pass


@pytest.mark.parametrize("work", [count_again_and_again, look_at_all_pairs])
def test_a_quadratic_loop_is_found(work) -> None:
    """Twenty times the text takes four hundred times the work."""
    assert growth(work, "a") > 100


@pytest.mark.parametrize(
    "work", [lambda text: text.count("x"), lambda text: re.findall("[가-힣]", text), lambda text: text[:10]]
)
def test_linear_work_is_let_pass(work) -> None:
    """However little it is."""
    assert growth(work, "가") < 100
