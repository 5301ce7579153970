"""How the scheduler rests: long while nobody writes, not at all when somebody does."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kogpt2_airflow.rest import LONGEST_S, SHORT_S, Commits, Rest


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


def rested(rest: Rest, time: FakeTime, is_newer: Callable[[], bool] = lambda: False) -> float:
    began = time.now
    rest.take(is_newer)
    return time.now - began


def quiet(database: Path, time: FakeTime) -> Rest:
    """One that has rested before, so that it knows the database."""
    rest = Rest(Commits(database), clock=lambda: time.now, pause=time.pause)
    rest.take(lambda: False)
    return rest


def test_nobody_writes_and_the_rest_is_long(database: Path) -> None:
    """Timers and schedules are looked at every second, not ten times a second."""
    time = FakeTime()
    assert rested(quiet(database, time), time) == pytest.approx(LONGEST_S, abs=0.05)


def test_a_commit_ends_the_rest_at_once(database: Path) -> None:
    """A task that ended, a run that was asked for: within a glance."""
    time = FakeTime()
    rest = quiet(database, time)
    time.events[time.now + 0.5] = lambda: write(database)
    assert rested(rest, time) == pytest.approx(0.5, abs=0.05)


def test_a_commit_between_two_rests_makes_the_next_one_short(database: Path) -> None:
    """It may be the scheduler's own, or another's that it did not see any more; it is not slept over."""
    time = FakeTime()
    rest = quiet(database, time)
    write(database)
    assert rested(rest, time) == pytest.approx(SHORT_S, abs=0.05)
    assert rested(rest, time) == pytest.approx(LONGEST_S, abs=0.05)


def test_other_news_ends_the_rest_too(database: Path) -> None:
    """A task whose process ended without a word to the database."""
    time = FakeTime()
    rest = quiet(database, time)
    assert rested(rest, time, is_newer=lambda: True) == 0


def test_looking_is_no_commit(database: Path) -> None:
    """Readers come and go without waking anybody."""
    time = FakeTime()
    rest = quiet(database, time)
    with closing(sqlite3.connect(database)) as reader:
        time.events[time.now + 0.5] = lambda: reader.execute("SELECT * FROM task").fetchall()
        assert rested(rest, time) == pytest.approx(LONGEST_S, abs=0.05)


def test_a_commit_counts_when_it_can_be_seen(database: Path) -> None:
    """Not when its writer begins: who looked then would see nothing, and rest for long after it."""
    time = FakeTime()
    rest = quiet(database, time)
    with closing(sqlite3.connect(database)) as writer:
        time.events[time.now + 0.5] = lambda: writer.execute("INSERT INTO task VALUES ('running')")
        time.events[time.now + 0.8] = writer.commit
        assert rested(rest, time) == pytest.approx(0.8, abs=0.05)


def test_a_database_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """It is not made by looking."""
    time = FakeTime()
    quiet(tmp_path / "airflow.db", time)
    assert list(tmp_path.iterdir()) == []
