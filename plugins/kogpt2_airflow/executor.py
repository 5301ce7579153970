"""Airflow's LocalExecutor, on which the scheduler rests until there is something to do.

The scheduler looks at its database after every pause of ``scheduler_idle_sleep_time``: a tenth of a second makes chains
of tasks quick and burns a third of a core for nothing. Here the pause is the executor's, and ends when somebody
writes to the database: a task that ended, a run that was asked for.
"""

from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.executors.local_executor import LocalExecutor
from sqlalchemy.engine import make_url

from kogpt2_airflow.rest import Commits, Rest


class RestingExecutor(LocalExecutor):
    """Runs tasks as LocalExecutor does; for SQLite with a write-ahead log, and ``scheduler_idle_sleep_time`` 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rest = Rest(Commits(_database(conf.get("database", "sql_alchemy_conn"))))

    def sync(self) -> None:
        """Rest while there is nothing to do, then take results in."""
        self._rest.take(self._has_news)
        super().sync()

    def _has_news(self) -> bool:
        return not self.result_queue.empty()


def _database(address: str) -> Path:
    """SQLite's file."""
    return Path(str(make_url(address).database))
