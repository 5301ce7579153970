"""The pauses of the scheduler are long, but a commit ends them."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kogpt2_airflow.pause import LONGEST_S, SHORT_S, AdaptivePause, CommitCounter


@dataclass(kw_only=True)
class FakeTime:
    """A clock that only pauses advance, with events at given times."""

    now: float = 0.0
    events: dict[float, Callable[[], object]] = field(default_factory=dict)

    def pause(self, seconds: float) -> None:
        self.now += seconds
        for at in [at for at in self.events if at <= self.now]:
            self.events.pop(at)()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "별 100%" / "airflow.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE task (state TEXT)")
    return path


def write(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO task VALUES ('success')")
        connection.commit()


def paused_s(pause: AdaptivePause, time: FakeTime, is_due: Callable[[], bool] = lambda: False) -> float:
    began = time.now
    pause.wait(is_due)
    return time.now - began


def pause_on(database: Path, time: FakeTime) -> AdaptivePause:
    """Return an AdaptivePause that has paused once, so that it has read the database's counter."""
    pause = AdaptivePause(CommitCounter(database), clock=lambda: time.now, pause=time.pause)
    pause.wait(lambda: False)
    return pause


def test_a_pause_without_commits_is_long(database: Path) -> None:
    """The scheduler checks timers and schedules once per second."""
    time = FakeTime()
    assert paused_s(pause_on(database, time), time) == pytest.approx(LONGEST_S, abs=0.05)


def test_a_commit_ends_the_pause(database: Path) -> None:
    """The pause ends within one polling interval after another connection commits."""
    time = FakeTime()
    pause = pause_on(database, time)
    time.events[time.now + 0.5] = lambda: write(database)
    assert paused_s(pause, time) == pytest.approx(0.5, abs=0.05)


def test_a_commit_between_two_pauses_makes_the_next_one_short(database: Path) -> None:
    """The commit may be the scheduler's own, or another one that the scheduler has not seen yet."""
    time = FakeTime()
    pause = pause_on(database, time)
    write(database)
    assert paused_s(pause, time) == pytest.approx(SHORT_S, abs=0.05)
    assert paused_s(pause, time) == pytest.approx(LONGEST_S, abs=0.05)


def test_another_condition_ends_the_pause(database: Path) -> None:
    """For example, the process of a task ended without a commit."""
    time = FakeTime()
    pause = pause_on(database, time)
    assert paused_s(pause, time, is_due=lambda: True) == 0


def test_a_query_does_not_end_the_pause(database: Path) -> None:
    """Only commits change the counter."""
    time = FakeTime()
    pause = pause_on(database, time)
    with closing(sqlite3.connect(database)) as reader:
        time.events[time.now + 0.5] = lambda: reader.execute("SELECT * FROM task").fetchall()
        assert paused_s(pause, time) == pytest.approx(LONGEST_S, abs=0.05)


def test_the_pause_ends_when_the_commit_is_visible(database: Path) -> None:
    """It does not end when the transaction begins, because the scheduler would not see its rows yet."""
    time = FakeTime()
    pause = pause_on(database, time)
    with closing(sqlite3.connect(database)) as writer:
        time.events[time.now + 0.5] = lambda: writer.execute("INSERT INTO task VALUES ('running')")
        time.events[time.now + 0.8] = writer.commit
        assert paused_s(pause, time) == pytest.approx(0.8, abs=0.05)


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    """The pause neither fails nor creates the file."""
    time = FakeTime()
    pause_on(tmp_path / "airflow.db", time)
    assert list(tmp_path.iterdir()) == []
