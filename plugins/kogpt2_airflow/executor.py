"""Airflow's LocalExecutor with an adaptive pause: the scheduler sleeps until the database changes.

The scheduler queries its database after each pause of ``scheduler_idle_sleep_time``. A pause of 0.1 s starts successive
tasks quickly, but the idle scheduler then uses a quarter of a core. Here the executor pauses instead. A pause ends
as soon as another connection commits to the database, for example when a task ends or a run is triggered.
"""

from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.executors.local_executor import LocalExecutor
from sqlalchemy.engine import make_url

from kogpt2_airflow.pause import AdaptivePause, CommitCounter


class PausingExecutor(LocalExecutor):
    """A LocalExecutor that pauses in ``sync``. It needs SQLite in WAL mode and ``scheduler_idle_sleep_time`` 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pause = AdaptivePause(CommitCounter(_database(conf.get("database", "sql_alchemy_conn"))))

    def sync(self) -> None:
        """Pause while there is nothing to do, then process the results of tasks."""
        self._pause.wait(self._has_results)
        super().sync()

    def _has_results(self) -> bool:
        return not self.result_queue.empty()


def _database(address: str) -> Path:
    """Return the path of the SQLite file."""
    return Path(str(make_url(address).database))
