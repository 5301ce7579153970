"""How long KoGPT2 would train here: timed in a process of its own, or said why not."""

import json

import pytest

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.jobs.estimate_base import estimate_base
from kogpt2_chat.training.curriculum import EPOCHS
from kogpt2_chat.training.speed import Work, answer_tokens_per_s, command

SMALL = {"vocabulary": 300, "layers": 1, "width": 32, "heads": 2, "positions": 64}


@pytest.fixture
def taught(settings, tmp_path):
    """Three corpora of 20 answers of 20 characters: 12 tokens each, by the rule of thumb."""
    for bot in BOT_IDS:
        folder = tmp_path / "corpora" / bot
        folder.mkdir(parents=True)
        rows = "".join(f"질문 {number}?,{'가' * 20},\n" for number in range(20))
        (folder / "seed.csv").write_text(f"question,answer,topic\n{rows}", "utf-8")
    learning = settings.learning.model_copy(update={"corpora": tmp_path / "corpora"})
    return settings.model_copy(update={"learning": learning})


def test_the_estimate_is_tokens_by_speed(taught):
    """All epochs of all bots, at the speed that a process of its own has measured."""
    said = []
    found = estimate_base(settings=taught, progress=said.append, size=SMALL, min_memory_mb=0)
    assert found["answer_tokens"] == 3 * 20 * 12 * taught.training.epochs
    assert found["answer_tokens_per_s"] > 0
    assert found["training_s"] == pytest.approx(
        found["answer_tokens"] / found["answer_tokens_per_s"], rel=0.05, abs=0.1
    )
    assert "skt/kogpt2-base-v2" in said[0]


def test_epochs_that_nobody_set_are_those_of_kogpt2(taught):
    """0 stands for as many as its size takes, and is no estimate of nothing."""
    training = taught.training.model_copy(update={"epochs": 0})
    unset = taught.model_copy(update={"training": training})
    found = estimate_base(settings=unset, progress=lambda _: None, size=SMALL, min_memory_mb=1 << 40)
    assert found["answer_tokens"] == 3 * 20 * 12 * EPOCHS


def test_the_budget_of_answer_tokens_bounds_the_estimate(taught):
    """Training ends with the budget, so the reckoning does."""
    training = taught.training.model_copy(update={"answer_tokens": 100})
    bounded = taught.model_copy(update={"training": training})
    found = estimate_base(settings=bounded, progress=lambda _: None, size=SMALL, min_memory_mb=1 << 40)
    assert found["answer_tokens"] == 3 * 100


def test_too_little_memory_is_a_reason_and_nothing_is_started(taught):
    """The demo's own servers fill the machine; the measurement must not push one out."""
    found = estimate_base(settings=taught, progress=lambda _: None, size=SMALL, min_memory_mb=1 << 40)
    assert found["training_s"] is None
    assert "MB are free" in found["reason"]


def test_a_measurement_without_end_is_given_up(taught):
    """A slow machine gets the reason instead of the figure."""
    found = estimate_base(settings=taught, progress=lambda _: None, size=SMALL, min_memory_mb=0, timeout_s=0.01)
    assert found["training_s"] is None
    assert "more than 0.01 s" in found["reason"]


def test_a_measurement_that_fails_is_no_failure_of_the_demo(taught):
    """What went wrong is the reason."""
    found = estimate_base(settings=taught, progress=lambda _: None, size=SMALL | {"heads": 5}, min_memory_mb=0)
    assert found["training_s"] is None
    assert "failed" in found["reason"]


def test_the_command_measures_the_work_it_was_given():
    """The work travels as JSON, and is measured in the same process as well."""
    work = Work(prompt_tokens=6, answer_tokens=5, batch_size=4, precision="fp32", threads=1, **SMALL)
    assert json.loads(command(work)[-1])["answer_tokens"] == 5
    assert answer_tokens_per_s(work) > 0
