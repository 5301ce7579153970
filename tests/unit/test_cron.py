"""A time that Airflow cannot follow is refused with the settings, and not where a DAG has vanished."""

import pytest

from kogpt2_chat.domain.cron import cron_fault
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import load_settings


@pytest.mark.parametrize(
    "text",
    [
        "0 4 * * *",
        "*/10 * * * *",
        "0 4,16 1-15/2 * mon-fri",
        "0 0 1 JAN 7",
        "59 23 31 12 0",
        "0 4 29 2 *",
        "0 4 31 2 mon",
        "0 4 1,31 2 *",
        "@daily",
    ],
)
def test_a_time_that_airflow_follows_is_taken(text: str) -> None:
    """Numbers, names, ranges, lists and steps."""
    assert cron_fault(text) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("every day", "five fields"),
        ("0 4 * *", "five fields"),
        ("0 4 * * * *", "five fields"),
        ("60 4 * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 4 0 * *", "day"),
        ("0 4 * 13 *", "month"),
        ("0 4 * * 8", "weekday"),
        ("0 4 * * fri-mon", "weekday"),
        ("0 4 * mon *", "month"),
        ("*/0 4 * * *", "minute"),
        ("0, 4 * * *", "minute"),
        ("0 ４ * * *", "hour"),
        ("매일 4 * * *", "minute"),
        ("0 4 31 2 *", "no month"),
        ("0 4 31 feb,apr-jun/2,sep *", "no month"),
        ("0 4 30-31 2 *", "no month"),
    ],
)
def test_what_is_wrong_with_a_time_is_said(text: str, fault: str) -> None:
    """Which field, and what it takes."""
    assert fault in str(cron_fault(text))


def test_a_wrong_time_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow would show `retrain_bots` no more, and no command would say why."""
    monkeypatch.setenv("KOGPT2_LEARNING__RETRAIN_CRON", "every day")
    with pytest.raises(InvalidInput, match=r"KOGPT2_LEARNING__RETRAIN_CRON.*five fields"):
        load_settings()


def test_every_time_that_is_taken_is_one_for_airflow() -> None:
    """The rule here is no wider than Airflow's."""
    croniter = pytest.importorskip("croniter")
    for text in (
        "0 4,16 1-15/2 * mon-fri",
        "0 0 1 JAN 7",
        "0 4 * * 5-7",
        "*/59 * * * *",
        "5/10 * * * *",
        "0 4 29 2 *",
        "0 4 31 2 mon",
        "0 4 31 4/3 *",
        "@annually",
    ):
        assert cron_fault(text) is None
        assert croniter.croniter(text).get_next(), text


def test_a_day_that_no_chosen_month_has_is_refused_as_airflow_would() -> None:
    """Airflow looks for the next time when a run ends, and finds none."""
    croniter = pytest.importorskip("croniter")
    days, months = ("*", "31", "30,31", "29-31", "30/1", "*/31", "29"), ("*", "feb", "2,4", "4-6/2", "2-12/12", "11,9")
    for text in (f"0 4 {day} {month} {weekday}" for day in days for month in months for weekday in ("*", "mon")):
        try:
            comes = bool(croniter.croniter(text).get_next())
        except croniter.CroniterBadDateError:
            comes = False
        assert (cron_fault(text) is None) == comes, text
