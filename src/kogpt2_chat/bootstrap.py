"""Build the adapter behind each port from the settings.

Client libraries are imported inside the functions, so that importing this module stays cheap.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from kogpt2_chat.domain.servers.no_proxy import without_proxy
from kogpt2_chat.ports import Files, Index, Registry, SparkJobs, Tables, Topics, TransactionalConsumer
from kogpt2_chat.settings import Settings

if TYPE_CHECKING:
    from kogpt2_chat.adapters.airflow import AirflowRest
    from kogpt2_chat.adapters.elastic_http import ElasticOverHttp


def topics(settings: Settings) -> Topics:
    """Return the client for Kafka's topics."""
    from kogpt2_chat.adapters.kafka.topics import KafkaTopics

    return KafkaTopics(settings)


def transactional_consumer(settings: Settings, ordinal: int, on_step: Callable[[str], None]) -> TransactionalConsumer:
    """Return the worker's Kafka client; ``on_step`` is called with the name of each step of a transaction."""
    from kogpt2_chat.adapters.kafka.transactional_consumer import KafkaTransactionalConsumer

    return KafkaTransactionalConsumer(settings, ordinal, on_step=on_step)


def files(settings: Settings) -> Files:
    """Return the file system on HDFS."""
    from kogpt2_chat.adapters.hdfs import HdfsFiles

    _reach_directly(settings)
    return HdfsFiles(settings)


def tables(settings: Settings) -> Tables:
    """Return the Delta tables on HDFS."""
    from kogpt2_chat.adapters.delta import DeltaTables

    return DeltaTables(settings)


def index(settings: Settings, sleep: Callable[[float], object] = time.sleep) -> Index:
    """Return the search indices in Elasticsearch; ``sleep`` waits between two attempts to write."""
    from kogpt2_chat.adapters.elastic import ElasticIndex

    _reach_directly(settings)
    return ElasticIndex(settings, sleep=sleep)


def search_over_http(settings: Settings, timeout_s: float) -> "ElasticOverHttp":
    """Return a client that only searches Elasticsearch, and that needs little memory."""
    from kogpt2_chat.adapters.elastic_http import ElasticOverHttp

    _reach_directly(settings)
    return ElasticOverHttp(settings, timeout_s)


def registry(settings: Settings) -> Registry:
    """Return the model registry in MLflow."""
    from kogpt2_chat.adapters.mlflow import MlflowRegistry

    _reach_directly(settings)
    return MlflowRegistry(settings)


def spark(settings: Settings) -> SparkJobs:
    """Return the Spark launcher, local or for a cluster, on the same Java as the servers."""
    from kogpt2_chat.adapters.spark import SparkSubmit
    from kogpt2_chat.stack.jars import spark_jars
    from kogpt2_chat.stack.java import ensure_java

    _reach_directly(settings)
    return SparkSubmit(settings, jars=spark_jars(settings), java=lambda: ensure_java(lambda _: None).home)


def prepare_servers(settings: Settings) -> None:
    """Create what workers, the indexer and DAGs need on the servers: the topics, and the indices."""
    topics(settings).ensure()
    index(settings).ensure()


def kafka_warning(settings: Settings) -> str | None:
    """Return what an operator has to change on the brokers, or None."""
    from kogpt2_chat.adapters.kafka.offsets import offsets_warning

    return offsets_warning(settings)


def indexer_lag_s(settings: Settings) -> float:
    """Return how many seconds the live indexer is behind."""
    from kogpt2_chat.adapters import indexer_health

    _reach_directly(settings)
    return indexer_health.indexer_lag_s(settings.indexer_url)


def aliases(settings: Settings, alias: str, bots: tuple[str, ...]) -> dict[str, int | None]:
    """Return the version behind an MLflow alias for each bot, read with a short timeout, without MLflow's library."""
    from kogpt2_chat.adapters.mlflow_aliases import alias_by_bot

    _reach_directly(settings)
    return alias_by_bot(settings, alias, bots)


def running_trainings(settings: Settings, since_ms: int) -> frozenset[str]:
    """Return the bots that a training runs for, read with a short timeout, without MLflow's library."""
    from kogpt2_chat.adapters import mlflow_runs

    _reach_directly(settings)
    return mlflow_runs.running_trainings(settings, since_ms)


def airflow(settings: Settings) -> "AirflowRest":
    """Return a client of Airflow's REST API that starts DAG runs and follows them."""
    from kogpt2_chat.adapters.airflow import AirflowRest

    _reach_directly(settings)
    return AirflowRest(settings)


def _reach_directly(settings: Settings) -> None:
    """Bypass any HTTP proxy for the stack's own servers. Client libraries read this from the environment only."""
    os.environ.update(without_proxy(os.environ, (settings.own_host, settings.advertised_host)))
