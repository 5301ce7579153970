"""The estimated training time of KoGPT2 on this machine: measured in a separate process, or a reason why not."""

import json

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.training.curriculum import EPOCHS
from kogpt2_chat.training.estimate_base import estimate_base
from kogpt2_chat.training.speed import Work, answer_tokens_per_s, command

TIMEOUT_S = 300.0
"""Long enough for a process that imports torch on a busy machine; another test checks the timeout."""
SMALL = {"vocabulary": 300, "layers": 1, "width": 32, "heads": 2, "positions": 64}


@pytest.fixture
def settings_with_corpora(settings, tmp_path):
    """Settings with three corpora of 20 answers of 20 characters, which the estimate counts as 12 tokens each."""
    for bot in BOT_IDS:
        folder = tmp_path / "corpora" / bot
        folder.mkdir(parents=True)
        rows = "".join(f"질문 {number}?,{'가' * 20},\n" for number in range(20))
        (folder / "seed.csv").write_text(f"question,answer,topic\n{rows}", "utf-8")
    learning = settings.learning.model_copy(update={"corpora": tmp_path / "corpora"})
    return settings.model_copy(update={"learning": learning})


def test_the_estimate_is_tokens_divided_by_speed(settings_with_corpora):
    """It counts the tokens of all epochs of all bots; a separate process measures the speed."""
    lines = []
    found = estimate_base(
        settings=settings_with_corpora, progress=lines.append, size=SMALL, min_memory_mb=0, timeout_s=TIMEOUT_S
    )
    assert found.answer_tokens == 3 * 20 * 12 * settings_with_corpora.training.epochs
    assert found.answer_tokens_per_s > 0
    assert found.training_s == pytest.approx(found.answer_tokens / found.answer_tokens_per_s, rel=0.05, abs=0.1)
    assert "skt/kogpt2-base-v2" in lines[0]


def test_the_default_number_of_epochs_is_that_of_kogpt2(settings_with_corpora):
    """0 in the settings means the default for the size of KoGPT2, not 0 epochs."""
    training = settings_with_corpora.training.model_copy(update={"epochs": 0})
    unset = settings_with_corpora.model_copy(update={"training": training})
    found = estimate_base(settings=unset, progress=lambda _: None, size=SMALL, min_memory_mb=1 << 40)
    assert found.answer_tokens == 3 * 20 * 12 * EPOCHS


def test_the_budget_of_answer_tokens_limits_the_estimate(settings_with_corpora):
    """Training ends when the budget is used up."""
    training = settings_with_corpora.training.model_copy(update={"answer_tokens": 100})
    bounded = settings_with_corpora.model_copy(update={"training": training})
    found = estimate_base(settings=bounded, progress=lambda _: None, size=SMALL, min_memory_mb=1 << 40)
    assert found.answer_tokens == 3 * 100


def test_without_enough_memory_nothing_is_measured(settings_with_corpora):
    """The demo's servers use most of the memory; the measurement must not get one of them killed."""
    found = estimate_base(settings=settings_with_corpora, progress=lambda _: None, size=SMALL, min_memory_mb=1 << 40)
    assert found.training_s is None
    assert "MB are free" in found.reason


def test_a_measurement_that_takes_too_long_is_stopped(settings_with_corpora):
    """The result is a reason instead of an estimate."""
    found = estimate_base(
        settings=settings_with_corpora, progress=lambda _: None, size=SMALL, min_memory_mb=0, timeout_s=0.01
    )
    assert found.training_s is None
    assert "more than 0.01 s" in found.reason


def test_a_failed_measurement_does_not_fail_the_demo(settings_with_corpora):
    """The result is a reason instead of an estimate."""
    found = estimate_base(
        settings=settings_with_corpora,
        progress=lambda _: None,
        size=SMALL | {"heads": 5},
        min_memory_mb=0,
        timeout_s=TIMEOUT_S,
    )
    assert found.training_s is None
    assert "failed" in found.reason


def test_the_command_contains_the_work_as_json():
    """The function that the command runs can also be called in this process."""
    work = Work(prompt_tokens=6, answer_tokens=5, batch_size=4, precision="fp32", threads=1, **SMALL)
    assert json.loads(command(work)[-1])["answer_tokens"] == 5
    assert answer_tokens_per_s(work) > 0
