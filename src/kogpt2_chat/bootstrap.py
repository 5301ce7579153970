"""The one place that knows which client library stands behind which port.

Every function takes settings and gives a port; nothing is imported or opened before it is asked for.
"""

import os
from typing import TYPE_CHECKING

from kogpt2_chat.domain.servers.no_proxy import without_proxy
from kogpt2_chat.ports import Files, Index, Registry, SparkJobs, Tables, Topics
from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.adapters.airflow import AirflowRest


def topics(settings: Settings) -> Topics:
    """Kafka's topics, by position."""
    from kogpt2_chat.adapters.kafka.topics import KafkaTopics

    return KafkaTopics(settings)


def files(settings: Settings) -> Files:
    """HDFS."""
    from kogpt2_chat.adapters.hdfs import HdfsFiles

    _reach_directly(settings)
    return HdfsFiles(settings)


def tables(settings: Settings) -> Tables:
    """Delta tables on HDFS."""
    from kogpt2_chat.adapters.delta import DeltaTables

    return DeltaTables(settings)


def index(settings: Settings) -> Index:
    """Elasticsearch."""
    from kogpt2_chat.adapters.elastic import ElasticIndex

    _reach_directly(settings)
    return ElasticIndex(settings)


def registry(settings: Settings) -> Registry:
    """MLflow."""
    from kogpt2_chat.adapters.mlflow import MlflowRegistry

    _reach_directly(settings)
    return MlflowRegistry(settings)


def spark(settings: Settings) -> SparkJobs:
    """Spark, local or a cluster, on the Java that the servers run on."""
    from kogpt2_chat.adapters.spark import SparkSubmit
    from kogpt2_chat.stack.jars import spark_jars
    from kogpt2_chat.stack.java import ensure_java

    _reach_directly(settings)
    return SparkSubmit(settings, jars=spark_jars(settings), java=lambda: ensure_java(lambda _: None).home)


def prepare_servers(settings: Settings) -> None:
    """What the servers need before workers and DAGs use them: topics, and the index with its mapping."""
    topics(settings).ensure()
    index(settings).ensure()


def kafka_warning(settings: Settings) -> str | None:
    """What an operator has to change on the brokers, if anything."""
    from kogpt2_chat.adapters.kafka.offsets import offsets_warning

    return offsets_warning(settings)


def champion_aliases(settings: Settings, bots: tuple[str, ...]) -> dict[str, int | None]:
    """The version that MLflow's alias `champion` names for each bot, in a quick look."""
    from kogpt2_chat.adapters.mlflow_aliases import alias_by_bot

    _reach_directly(settings)
    return alias_by_bot(settings, "champion", bots)


def airflow(settings: Settings) -> "AirflowRest":
    """Airflow's REST API, to start DAG runs and follow them."""
    from kogpt2_chat.adapters.airflow import AirflowRest

    _reach_directly(settings)
    return AirflowRest(settings)


def _reach_directly(settings: Settings) -> None:
    """No proxy between us and the stack's own servers. Client libraries take this from the environment alone."""
    os.environ.update(without_proxy(os.environ, (settings.own_host, settings.advertised_host)))
