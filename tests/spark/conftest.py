"""One Spark session without Delta for the transforms."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from kogpt2_chat.settings import CHECKOUT


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """Return a local Spark session with two threads and small shuffles, bound to the loopback address."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "src")])
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "1")
        # As in the application: compiling a stage takes longer than interpreting it for a few rows.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", "/tmp/kogpt2-spark-test")
        .getOrCreate()
    )
    yield session
    session.stop()
