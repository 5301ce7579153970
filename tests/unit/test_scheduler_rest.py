"""How the scheduler rests: long while nobody writes, not at all when somebody does."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kogpt2_airflow.rest import LONGEST_S, SHORT_S, Rest


@dataclass(kw_only=True)
class FakeTime:
    """A clock that only pauses move, and what happens at which second."""

    now: float = 0.0
    events: dict[float, Callable[[], object]] = field(default_factory=dict)

    def pause(self, seconds: float) -> None:
        self.now += seconds
        for at in [at for at in self.events if at <= self.now]:
            self.events.pop(at)()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "airflow.db-wal"
    path.write_bytes(b"commit")
    return path


def write(path: Path) -> None:
    with path.open("ab") as handle:
        handle.write(b"commit")


def rested(rest: Rest, time: FakeTime, is_news: Callable[[], bool] = lambda: False) -> float:
    began = time.now
    rest.take(is_news)
    return time.now - began


def quiet(log: Path, time: FakeTime) -> Rest:
    """One that has rested before, so that it knows the file."""
    rest = Rest([log], clock=lambda: time.now, pause=time.pause)
    rest.take(lambda: False)
    return rest


def test_nobody_writes_and_the_rest_is_long(log: Path) -> None:
    """Timers and schedules are looked at every two seconds, not ten times a second."""
    time = FakeTime()
    assert rested(quiet(log, time), time) == pytest.approx(LONGEST_S, abs=0.05)


def test_a_commit_ends_the_rest_at_once(log: Path) -> None:
    """A task that ended, a run that was asked for: within a glance."""
    time = FakeTime()
    rest = quiet(log, time)
    time.events[time.now + 0.5] = lambda: write(log)
    assert rested(rest, time) == pytest.approx(0.5, abs=0.05)


def test_a_commit_between_two_rests_makes_the_next_one_short(log: Path) -> None:
    """It may be the scheduler's own, or another's that it did not see any more; it is not slept over."""
    time = FakeTime()
    rest = quiet(log, time)
    write(log)
    assert rested(rest, time) == pytest.approx(SHORT_S, abs=0.05)
    assert rested(rest, time) == pytest.approx(LONGEST_S, abs=0.05)


def test_other_news_ends_the_rest_too(log: Path) -> None:
    """A task whose process ended without a word to the database."""
    time = FakeTime()
    rest = quiet(log, time)
    assert rested(rest, time, is_news=lambda: True) == 0


def test_a_log_that_appears_or_goes_is_a_change(log: Path) -> None:
    """SQLite removes it with the last connection and makes it anew."""
    time = FakeTime()
    rest = quiet(log, time)
    time.events[time.now + 0.5] = log.unlink
    assert rested(rest, time) == pytest.approx(0.5, abs=0.05)
    time.events[time.now + 0.5] = lambda: write(log)
    assert rested(rest, time) == pytest.approx(0.5, abs=0.05)
