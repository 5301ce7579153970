"""The sections of the settings tree that say how the servers are reached, and with which login."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from kogpt2_chat.domain.servers.addresses import is_address
from kogpt2_chat.section_types import (
    Brokers,
    HttpAddress,
    HttpAddressWithPort,
    LocalFile,
    Memory,
    NameNode,
    Positive,
    Seconds,
    Section,
    Server,
    SparkMaster,
)


class Kafka(Section):
    """How to reach the broker, and what a worker may wait for."""

    bootstrap: Brokers = Field("", description="host:port; empty: the local stack's broker")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: LocalFile = ""
    # Both clients refuse other bounds: librdkafka more than 300 s, kafka-python less than its wait for a fetch.
    request_timeout_s: float = Field(10.0, ge=1, le=300)
    replication_factor: int = Field(1, ge=1, le=32_767)
    ingest_batch: Positive = Field(20_000, description="most records of one ingest commit")


class Hdfs(Server):
    """The lake's file system."""

    login_fields = ("webhdfs", "webhdfs_username", "webhdfs_password")

    uri: NameNode = Field("", description="hdfs://host:port; empty: the local stack's NameNode")
    webhdfs: HttpAddress = Field("", description="http://host:port; empty: the local stack's NameNode")
    webhdfs_username: str = Field("", description="login of a gateway before WebHDFS (HttpFS, Knox); empty: none")
    webhdfs_password: SecretStr = SecretStr("")
    user: str = Field("kogpt2", description="whose the files are")
    root: str = Field(
        "/Chatbot",
        # WebHDFS and the Delta library escape anything else differently: one would not find what the other wrote.
        pattern=r"^(/[A-Za-z0-9._,-]+)+/?$",
        description="folder of everything below; ASCII letters, digits and ._,- only",
    )
    timeout_s: Seconds = 30.0
    retries: Positive = 5


class Elastic(Server):
    """The search index of turns."""

    url: HttpAddressWithPort = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    timeout_s: Seconds = 30.0


class Mlflow(Server):
    """The model registry."""

    login_fields = ("tracking_uri", "username", "password")

    tracking_uri: HttpAddress = Field("", description="http://host:port; empty: the local stack's server")
    username: str = Field("", description="login; empty: none")
    password: SecretStr = SecretStr("")
    experiment: str = "kogpt2-chat"
    timeout_s: Seconds = 120.0


class Airflow(Server):
    """Where to trigger DAG runs, and who hears of those that fail."""

    url: HttpAddress = ""
    username: str = "admin"
    password: SecretStr = Field(SecretStr(""), description="empty: the local stack's own")
    alert_webhook: SecretStr = Field(
        SecretStr(""), description='gets a POST of {"text": ...} when a run fails or is late; empty: the log only'
    )
    retrain_deadline_hours: float = Field(12.0, gt=0, le=24, description="a retraining that takes longer is told")

    @field_validator("alert_webhook")
    @classmethod
    def _is_http(cls, address: SecretStr) -> SecretStr:
        if address.get_secret_value() and not is_address(address.get_secret_value(), ("http", "https")):
            raise ValueError("expected an address like https://host/path")
        return address


class Spark(Section):
    """Where Spark jobs run."""

    master: SparkMaster = Field("", description="empty: local[2], or the stack's standalone master")
    driver_memory: Memory = Field("1g", description="as a JVM takes it: a whole number with k, m, g or t")
    shuffle_partitions: Positive = 4
    timeout_s: Seconds = 1800.0
