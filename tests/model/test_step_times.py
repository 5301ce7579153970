"""The measurement behind the demo's estimate, on a tiny base."""

from datetime import timedelta

import pytest

from kogpt2_chat.demo.estimate import estimate_demo
from kogpt2_chat.demo.players import load_script
from kogpt2_chat.demo.run import STEPS
from kogpt2_chat.domain.learning.time_limits import ESTIMATE_FILE, time_limit
from kogpt2_chat.training.curriculum import MUST_WEIGHT
from kogpt2_chat.training.measured_steps import Asked
from kogpt2_chat.training.step_times import measure

LESSONS = {"ChatbotA": 2, "ChatbotC": 4}


@pytest.fixture
def asked(tiny):
    return Asked(base=str(tiny), lessons=LESSONS, contradicting=["ChatbotC"])


def test_steps_are_timed_and_counted(asked, settings):
    """The counts are those of a real training: most of 60 seeds, five must-pass ones, two epochs, batches of 8."""
    found = measure(asked, settings)
    assert min(found.first_step_s, found.later_step_s, found.row_s, found.token_s) > 0
    assert found.peak_mb > 100
    assert set(found.first) == set(found.later) == set(LESSONS)
    rows = 54 + 5 * (MUST_WEIGHT - 1)
    assert found.first["ChatbotA"].steps == pytest.approx(2 * rows / 8, abs=3)
    taught_rows = 2 * settings.training.new_pair_weight
    assert found.later["ChatbotA"].steps == pytest.approx(6 * taught_rows / 8 * 2 / 3, abs=1)
    assert found.later["ChatbotC"].steps == pytest.approx(6 * 2 * taught_rows / 8, abs=1)


def test_the_network_is_not_needed_twice(asked, settings):
    """More epochs mean more steps, not a longer measurement."""
    training = settings.training.model_copy(update={"epochs": 20, "answer_tokens": 10**9})
    longer = settings.model_copy(update={"training": training})
    assert measure(asked, longer).first["ChatbotA"].steps == 10 * measure(asked, settings).first["ChatbotA"].steps


def test_the_demo_measures_in_a_process_of_its_own_and_keeps_the_result(tiny, settings):
    """Airflow's tasks read it from the home. Its lines are in both languages."""
    lines = []
    script = load_script(settings.learning.corpora).of(["ChatbotA"])
    found = estimate_demo(
        base=tiny, script=script, trained=(), step_names=STEPS, settings=settings, progress=lines.append
    )
    assert found is not None, lines
    assert found.bots == 1
    assert set(found.seconds_by_step) == set(STEPS)
    assert time_limit((settings.home / ESTIMATE_FILE).read_text(), "evaluate", timedelta(0)) == timedelta(
        seconds=3 * found.evaluate_s
    )
    assert found.lines()[0].startswith("예상 시간: 봇 1개에")
    assert "for 1 bot," in found.lines()[1]
