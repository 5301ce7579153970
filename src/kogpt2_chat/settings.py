"""Every setting of the platform in one tree: ``KOGPT2_SECTION__FIELD`` or a ``.env`` file.

Reading settings has no side effects: it creates no folder and contacts no server. All faults are reported together.
"""

import os
import sys
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kogpt2_chat.domain.servers.addresses import HIGHEST_PORT
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.section_types import LocalPath
from kogpt2_chat.sections import (
    CHECKOUT,
    EVERY_ADDRESS,
    LOOPBACK,
    Learning,
    Model,
    Ports,
    Rollout,
    Safety,
    Serving,
    Spark,
    Stack,
    Training,
)
from kogpt2_chat.server_sections import Airflow, Elastic, Hdfs, Indexer, Kafka, Mlflow
from kogpt2_chat.variables import Given, leaves_of, read_variables, shown, variable
from kogpt2_chat.world_sections import Ops, World

__all__ = [
    "CHECKOUT", "Airflow", "Elastic", "Hdfs", "Indexer", "Kafka", "Learning", "Mlflow", "Model", "Ops", "Ports",
    "Rollout", "Safety", "Serving", "Settings", "Spark", "Stack", "Training", "World", "load_settings",
]  # fmt: skip


class Settings(BaseModel):
    """The whole settings tree, with the addresses derived from hosts and ports.

    Created without arguments, it has the defaults. :func:`load_settings` reads the environment.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    home: LocalPath = Field(CHECKOUT / "var", description="folder for this stack's state: data, logs, PIDs, models")
    cache: LocalPath | None = Field(
        None, description="folder for jars and base models, shared by all checkouts; unset: the user's cache folder"
    )
    ports: Ports = Ports()
    stack: Stack = Stack()
    kafka: Kafka = Kafka()
    hdfs: Hdfs = Hdfs()
    elastic: Elastic = Elastic()
    indexer: Indexer = Indexer()
    mlflow: Mlflow = Mlflow()
    airflow: Airflow = Airflow()
    spark: Spark = Spark()
    model: Model = Model()
    training: Training = Training()
    learning: Learning = Learning()
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    safety: Safety = Safety()
    world: World = World()
    ops: Ops = Ops()

    @cached_property
    def own_host(self) -> str:
        """Host at which programs on this machine reach the stack's servers."""
        return LOOPBACK if self.stack.host == EVERY_ADDRESS else self.stack.host

    @cached_property
    def advertised_host(self) -> str:
        """Host at which programs on other machines reach the stack's servers."""
        return self.stack.advertised_host or self.own_host

    def local(self, port: int) -> str:
        """Return ``host:port`` of one of the stack's servers for programs on this machine."""
        return f"{self.own_host}:{self.ports.at(port)}"

    def bound(self, port: int) -> str:
        """Return ``host:port`` on which one of the stack's servers listens."""
        return f"{self.stack.host}:{self.ports.at(port)}"

    def advertised(self, port: int) -> str:
        """Return ``host:port`` of one of the stack's servers for programs on other machines."""
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
    def gateway_urls(self) -> tuple[str, ...]:
        """``http://host:port`` of each of the world's gateways."""
        ports = range(self.ports.gateway, self.ports.gateway + max(1, self.stack.gateways))
        return self.world.addresses or tuple(f"http://{self.local(port)}" for port in ports)

    @cached_property
    def world_url(self) -> str:
        """``http://host:port`` at which players enter the world."""
        return self.gateway_urls[0]

    @cached_property
    def indexer_url(self) -> str:
        """``http://host:port`` of the indexer's health page."""
        return self.ops.indexer_url or f"http://{self.local(self.ports.indexer)}"

    @cached_property
    def operators_url(self) -> str:
        """Address of the operators' pages."""
        return f"{self.world_url}/ops"

    @cached_property
    def spark_master(self) -> str:
        """Master URL to which jobs are submitted."""
        if self.spark.master:
            return self.spark.master
        standalone = self.stack.spark == "standalone"
        return f"spark://{self.local(self.ports.spark_master)}" if standalone else "local[2]"

    @cached_property
    def cache_dir(self) -> Path:
        """Folder outside the checkout for files that all checkouts share.

        For root it is under /var/cache, because Elasticsearch's unprivileged user cannot read root's home folder.
        """
        if self.cache is not None:
            return self.cache
        if os.geteuid() == 0:
            return Path("/var/cache/kogpt2-chat")
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kogpt2-chat"


def load_settings() -> Settings:
    """Read the environment and ``.env``. A setting of an earlier release causes a warning on standard error.

    Raises:
        InvalidInput: one or more settings are wrong; the message lists all of them.
    """
    given = read_variables(Settings, os.environ)
    for sentence in given.warnings:
        _warn_once(sentence)
    settings = _checked(given)
    for names, sentence in _conflicts(settings):
        if given.is_whole and not given.wrong & names:
            given.faults.append(sentence)
    if given.faults:
        raise InvalidInput("these settings are wrong:\n" + "\n".join(f"  {fault}" for fault in given.faults))
    return settings


def _checked(given: Given) -> Settings:
    """Validate the values. Wrong ones are recorded as faults and replaced with their defaults."""
    try:
        return Settings(**given.tree)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    for fault in faults:
        given.add_fault(variable(_path(fault)), _fault(given, fault))
        given.put(_path(fault), None)
    return Settings(**given.tree)


def _conflicts(settings: Settings) -> Iterator[tuple[frozenset[str], str]]:
    """Yield the variables of each contradiction between settings, with a sentence about it."""
    offset, kafka, serving, model = settings.ports.offset, settings.kafka, settings.serving, settings.model
    for name, port in _highest_ports(settings):
        if port + offset > HIGHEST_PORT:
            yield _conflict(name, "KOGPT2_PORTS__OFFSET", f"port {port} + {offset} is above {HIGHEST_PORT}: lower")
    if kafka.security_protocol.startswith("SASL") != bool(kafka.sasl_mechanism):
        relation = "does not use" if kafka.sasl_mechanism else "needs"
        sentence = f"{kafka.security_protocol} {relation}"
        yield _conflict("KOGPT2_KAFKA__SECURITY_PROTOCOL", "KOGPT2_KAFKA__SASL_MECHANISM", sentence)
    if serving.watchdog_s <= _CALLS_AFTER_A_LOSS * kafka.request_timeout_s:
        # A worker may wait this long for the broker; a shorter watchdog would end it as stuck.
        least = f"{_CALLS_AFTER_A_LOSS} x the {kafka.request_timeout_s:g} of"
        sentence = f"found {serving.watchdog_s:g}, expected more than {least}"
        yield _conflict("KOGPT2_SERVING__WATCHDOG_S", "KOGPT2_KAFKA__REQUEST_TIMEOUT_S", sentence)
    if model.small_width % model.small_heads:
        sentence = f"found {model.small_width}, expected a multiple of the {model.small_heads} of"
        yield _conflict("KOGPT2_MODEL__SMALL_WIDTH", "KOGPT2_MODEL__SMALL_HEADS", sentence)


def _conflict(one: str, other: str, sentence: str) -> tuple[frozenset[str], str]:
    return frozenset({one, other}), f"{one}: {sentence} {other}"


def _highest_ports(settings: Settings) -> Iterator[tuple[str, int]]:
    """Yield each port's variable and its highest value before the offset. Workers and gateways count up."""
    more = {
        "worker_metrics": max(settings.stack.workers, settings.serving.ordinal, 1) - 1,
        "gateway": max(settings.stack.gateways, settings.world.ordinal, 1) - 1,
    }
    for name, port in settings.ports.model_dump(exclude={"offset"}).items():
        highest = max(port) if isinstance(port, tuple) else port
        yield variable(("ports", name)), highest + more.get(name, 0)


def _path(fault: Any) -> tuple[str, ...]:
    """Return a fault's section and field, without the location inside the value."""
    path = tuple(map(str, fault["loc"]))
    return path[:1] if path[0] in Settings.model_fields and variable(path[:1]) in _LEAVES else path[:2]


def _fault(given: Given, fault: Any) -> str:
    path = _path(fault)
    name = variable(path)
    within = ".".join(str(part) for part in fault["loc"][len(path) :] if part != "[key]")
    leaf = _LEAVES.get(name)
    found = "" if leaf is None or leaf.is_secret else f"found {shown(fault['input'])} "
    source = given.source_by_name.get(name, "the environment")
    location = f"{name} at {within}" if within else name
    return f"{location}: {fault['msg'].removeprefix('Value error, ')} ({found}in {source})"


@cache
def _warn_once(sentence: str) -> None:
    """Print a warning once per process, because commands read their settings several times."""
    print(f"kogpt2-chat: {sentence}", file=sys.stderr, flush=True)  # noqa: T201


_LEAVES: Final = leaves_of(Settings)
_CALLS_AFTER_A_LOSS: Final = 3
"""Number of sequential broker calls that a worker makes when it recovers."""
