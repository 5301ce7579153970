"""The demo's estimate: what it adds up, what it requires, and what it says."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kogpt2_chat.demo.estimate import DemoEstimate, combine, estimate_demo, require_room
from kogpt2_chat.demo.players import Script
from kogpt2_chat.demo.run import STEPS
from kogpt2_chat.domain.learning.time_limits import LONGEST, time_limit
from kogpt2_chat.errors import Unavailable
from kogpt2_chat.settings import Settings
from kogpt2_chat.training.measured_steps import Counted, StepTimes

FIRST = Counted(
    steps=200, trained_rows=1000, trained_answers=200, evaluated_rows=1200, evaluated_answers=340, served_answers=340,
    answer_tokens=10.0,
)  # fmt: skip
LATER = replace(FIRST, steps=50)
TIMES = StepTimes(
    first_step_s=5.0, later_step_s=8.0, row_s=0.05, token_s=0.01, measured_s=40.0, peak_mb=4500, weights=125_000_000,
    first={"ChatbotA": FIRST, "ChatbotB": FIRST}, later={"ChatbotA": LATER, "ChatbotB": replace(LATER, steps=100)},
)  # fmt: skip
ROOMY = 1 << 40


def test_the_estimate_adds_up_steps_rows_and_answers() -> None:
    """Each bot's training and evaluation, plus processes, conversion and the dataset."""
    found = combine(TIMES, start_s=10.0, trained=(), step_names=STEPS)
    training_s, evaluation_s, fixed_s = 200 * 5 + 1000 * 0.05 + 200 * 10 * 0.01, 60 + 340 * 1.5 * 10 * 0.01, 65
    assert found.seconds_by_step[STEPS[1]] == pytest.approx(40 + 2 * (training_s + evaluation_s + fixed_s))
    second_s = found.seconds_by_step[STEPS[4]]
    assert second_s == pytest.approx(40 + 150 * 8 + 2 * (70 + evaluation_s + fixed_s))
    assert found.finetune_s == pytest.approx(training_s + fixed_s)
    assert found.total_s == pytest.approx(sum(found.seconds_by_step.values()))
    assert found.disk_mb == pytest.approx(476 * (1.35 * 8 + 5), rel=0.01)


def test_bots_that_have_a_version_are_not_trained_twice() -> None:
    """A second demo continues."""
    one = combine(TIMES, start_s=10.0, trained=("ChatbotA",), step_names=STEPS)
    none = combine(TIMES, start_s=10.0, trained=("ChatbotA", "ChatbotB"), step_names=STEPS)
    both = combine(TIMES, start_s=10.0, trained=(), step_names=STEPS)
    assert one.seconds_by_step[STEPS[1]] < both.seconds_by_step[STEPS[1]]
    assert STEPS[1] not in none.seconds_by_step
    assert none.seconds_by_step[STEPS[4]] == both.seconds_by_step[STEPS[4]]


def estimate(**changed: int) -> DemoEstimate:
    return replace(combine(TIMES, start_s=10.0, trained=(), step_names=STEPS), **changed)  # type: ignore[arg-type]


def test_too_little_memory_or_disk_is_said_before_the_servers_start(tmp_path: Path) -> None:
    """Both at once, each with a remedy. Running servers already have their memory."""
    settings = Settings(home=tmp_path)
    roomy = settings.model_copy(update={"stack": settings.stack.model_copy(update={"min_disk_mb": 0})})
    require_room(estimate(training_mb=1, disk_mb=1), roomy, servers_run=True)
    with pytest.raises(Unavailable, match=r"(?s)disk: .*--bots.*memory: .* one training.*small base"):
        require_room(estimate(training_mb=ROOMY, disk_mb=ROOMY), settings, servers_run=False)


def test_a_failed_measurement_does_not_end_the_demo(tmp_path: Path) -> None:
    """A line says why; nothing is written."""
    lines: list[str] = []
    found = estimate_demo(
        base=tmp_path / "none", script=Script(seeds=(("ChatbotA", "안녕"),), lessons=(), baited=()), trained=(),
        step_names=STEPS, settings=Settings(home=tmp_path / "home"), progress=lines.append,
        timeout_s=0.01,
    )  # fmt: skip
    assert found is None
    assert "no estimate: the measurement failed" in lines[-1]
    assert not (tmp_path / "home").exists()


def test_the_comparison_counts_only_estimated_steps() -> None:
    """The download of a base is not in it."""
    found = estimate()
    took = {name: seconds * 1.1 for name, seconds in found.seconds_by_step.items()} | {"base model": 900.0}
    assert found.comparison(took).endswith("(+10% of the estimate)")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", timedelta(hours=6)),
        ("not JSON", timedelta(hours=6)),
        ('{"finetune_s": 60}', timedelta(hours=6)),
        ('{"finetune_s": 10800}', timedelta(hours=9)),
        ('{"finetune_s": 1e9}', LONGEST),
    ],
)
def test_a_time_limit_grows_with_the_estimate(text: str, limit: timedelta) -> None:
    """A slow machine gets three times its estimate, but never longer than the run; a fast one keeps the usual limit."""
    assert time_limit(text, "finetune", timedelta(hours=6)) == limit
