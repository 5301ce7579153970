"""A temporary home for Airflow, because importing Airflow writes a configuration and a log folder."""

import atexit
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from kogpt2_chat.settings import CHECKOUT

if TYPE_CHECKING:
    from airflow.sdk import DAG

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def dags() -> "dict[str, DAG]":
    """Return the project's DAGs by their ids, parsed by Airflow."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(CHECKOUT / "dags"))
    assert bag.import_errors == {}
    return dict(bag.dags)
