"""The local stack's executor, loaded as Airflow loads it."""

from importlib import import_module
from pathlib import Path

import pytest

from kogpt2_chat.settings import Settings
from kogpt2_chat.stack.folders import folders_of
from kogpt2_chat.stack.servers.airflow import airflow_environment


def test_the_executor_of_the_local_stack_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a LocalExecutor that watches the database of the stack's settings."""
    from airflow.executors.local_executor import LocalExecutor

    settings = Settings(home=tmp_path)
    environment = airflow_environment(settings, folders_of(settings))
    name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    monkeypatch.setenv(name, environment[name])
    module, _, name_of_class = environment["AIRFLOW__CORE__EXECUTOR"].rpartition(".")
    executor = getattr(import_module(module), name_of_class)(parallelism=1)
    assert isinstance(executor, LocalExecutor)
    assert executor.is_local
    assert executor._pause.count.database == folders_of(settings).airflow / "airflow.db"


def test_postgresql_keeps_airflows_own_executor(tmp_path: Path) -> None:
    """PostgreSQL has no commit counter to poll, so the scheduler uses its own pause."""
    settings = Settings(home=tmp_path, stack={"airflow_database": "postgresql://db/airflow"})
    environment = airflow_environment(settings, folders_of(settings))
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert float(environment["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"]) > 0
