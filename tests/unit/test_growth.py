"""The measurement of growth distinguishes quadratic from linear work, even if each step is very fast."""

import re

import pytest

from tests.growth import growth


def count_repeatedly(text: str) -> None:
    """Do quadratic work in fast steps: a few milliseconds for 40,000 characters, ten seconds for 1 MiB."""
    for _ in range(len(text) // 50):
        text.count("x")


def visit_pairs(text: str) -> None:
    """Do quadratic work in Python code."""
    for start in range(0, len(text), 500):
        for _ in text[start:]:
            pass


@pytest.mark.parametrize("work", [count_repeatedly, visit_pairs])
def test_quadratic_work_is_detected(work) -> None:
    """Twenty times the text takes four hundred times the work."""
    assert growth(work, "a") > 100


@pytest.mark.parametrize(
    "work", [lambda text: text.count("x"), lambda text: re.findall("[가-힣]", text), lambda text: text[:10]]
)
def test_linear_work_passes(work) -> None:
    """This includes work that takes almost no time."""
    assert growth(work, "가") < 100
