"""Every setting of the platform in one tree: ``KOGPT2_SECTION__FIELD`` or a ``.env`` file.

Reading settings does nothing else: no folder is made, no server asked. All faults are reported together.
"""

import os
from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.sections import (
    CHECKOUT,
    EVERY_ADDRESS,
    LOOPBACK,
    Airflow,
    Elastic,
    Hdfs,
    Kafka,
    Learning,
    Mlflow,
    Model,
    Ports,
    Rollout,
    Safety,
    Serving,
    Spark,
    Stack,
    Training,
)

__all__ = [
    "CHECKOUT", "Airflow", "Elastic", "Hdfs", "Kafka", "Learning", "Mlflow", "Model", "Ports", "Rollout", "Safety",
    "Serving", "Settings", "Spark", "Stack", "Training", "load_settings",
]  # fmt: skip


class Settings(BaseSettings):
    """The whole tree. Derived addresses live here too, so that nobody else joins hosts and ports."""

    model_config = SettingsConfigDict(
        env_prefix="KOGPT2_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True
    )

    home: Path = Field(CHECKOUT / "var", description="folder of this stack's state: data, logs, pids, models")
    cache: Path | None = Field(None, description="jars and base models, shared by checkouts; unset: the user's cache")
    ports: Ports = Ports()
    stack: Stack = Stack()
    kafka: Kafka = Kafka()
    hdfs: Hdfs = Hdfs()
    elastic: Elastic = Elastic()
    mlflow: Mlflow = Mlflow()
    airflow: Airflow = Airflow()
    spark: Spark = Spark()
    model: Model = Model()
    training: Training = Training()
    learning: Learning = Learning()
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    safety: Safety = Safety()

    @cached_property
    def own_host(self) -> str:
        """Where programs of this machine reach the stack's servers."""
        return LOOPBACK if self.stack.host == EVERY_ADDRESS else self.stack.host

    @cached_property
    def advertised_host(self) -> str:
        """Where programs of other machines reach them."""
        return self.stack.advertised_host or self.own_host

    def local(self, port: int) -> str:
        """``host:port`` of one of the stack's servers, for programs of this machine."""
        return f"{self.own_host}:{self.ports.at(port)}"

    def bound(self, port: int) -> str:
        """``host:port`` that one of the stack's servers listens on."""
        return f"{self.stack.host}:{self.ports.at(port)}"

    def advertised(self, port: int) -> str:
        """``host:port`` of one of the stack's servers, for programs of other machines."""
        return f"{self.advertised_host}:{self.ports.at(port)}"

    @cached_property
    def kafka_bootstrap(self) -> str:
        """``host:port`` of the broker."""
        return self.kafka.bootstrap or self.local(self.ports.kafka)

    @cached_property
    def hdfs_uri(self) -> str:
        """``hdfs://host:port`` of the NameNode."""
        return self.hdfs.uri or f"hdfs://{self.local(self.ports.namenode)}"

    @cached_property
    def webhdfs_url(self) -> str:
        """``http://host:port`` of WebHDFS."""
        return self.hdfs.webhdfs or f"http://{self.local(self.ports.namenode_http)}"

    @cached_property
    def elastic_url(self) -> str:
        """``http://host:port`` of Elasticsearch."""
        return self.elastic.url or f"http://{self.local(self.ports.elasticsearch)}"

    @cached_property
    def mlflow_url(self) -> str:
        """``http://host:port`` of the MLflow server."""
        return self.mlflow.tracking_uri or f"http://{self.local(self.ports.mlflow)}"

    @cached_property
    def airflow_url(self) -> str:
        """``http://host:port`` of the Airflow API server."""
        return self.airflow.url or f"http://{self.local(self.ports.airflow)}"

    @cached_property
    def spark_master(self) -> str:
        """The master address that jobs are submitted to."""
        if self.spark.master:
            return self.spark.master
        standalone = self.stack.spark == "standalone"
        return f"spark://{self.local(self.ports.spark_master)}" if standalone else "local[2]"

    @cached_property
    def cache_dir(self) -> Path:
        """Folder outside the checkout for what every checkout can share.

        Root's home is closed to the unprivileged user that Elasticsearch runs as, hence /var/cache.
        """
        if self.cache is not None:
            return self.cache
        if os.geteuid() == 0:
            return Path("/var/cache/kogpt2-chat")
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kogpt2-chat"


def load_settings() -> Settings:
    """Read the environment and ``.env``.

    Raises:
        InvalidInput: naming every setting that is wrong, all together.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"  KOGPT2_{'__'.join(map(str, fault['loc'])).upper()}: {fault['msg']} (found {fault['input']!r})"
            for fault in error.errors()
        ]
        raise InvalidInput("these settings are wrong:\n" + "\n".join(lines)) from error
