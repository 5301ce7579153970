"""A schedule that Airflow cannot use is refused when the settings are read."""

import pytest

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.sections import Learning
from kogpt2_chat.settings import load_settings


@pytest.mark.parametrize(
    "text",
    [
        "0 4 * * *",
        "*/10 * * * *",
        "0 4,16 1-15/2 * mon-fri",
        "0 0 1 JAN 7",
        "59 23 31 12 0",
        "@daily",
        "0 4 31 2 mon",
        "never",
    ],
)
def test_a_schedule_that_airflow_can_use_is_accepted(text: str) -> None:
    """Fields may be numbers, names, ranges, lists and steps."""
    assert Learning(retrain_cron=text).retrain_cron == text


@pytest.mark.parametrize(
    "text",
    [
        "every day", "0 4 * *", "0 4 * * * *", "60 4 * * *", "0 24 * * *", "0 4 0 * *", "0 4 * 13 *", "0 4 * * 8",
        "0 4 * mon *", "*/0 4 * * *", "0, 4 * * *", "0 ４ * * *", "매일 4 * * *", "@dayly", "0 4 31 2 *", "0 4 30-31 2 *",
    ],
)  # fmt: skip
def test_an_invalid_or_impossible_schedule_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Otherwise Airflow would no longer list `retrain_bots`, and no command would report the reason."""
    monkeypatch.setenv("KOGPT2_LEARNING__RETRAIN_CRON", text)
    with pytest.raises(InvalidInput, match=r"KOGPT2_LEARNING__RETRAIN_CRON.*five fields.*or never"):
        load_settings()
