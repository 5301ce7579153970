"""Sections of the settings tree for the servers that this platform is a client of. Each field says what it means."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from kogpt2_chat.domain.servers.addresses import is_address
from kogpt2_chat.section_types import (
    Brokers,
    HttpAddress,
    HttpAddressWithPort,
    LocalFile,
    NameNode,
    Positive,
    Seconds,
    Section,
    ServerSection,
)


class Kafka(Section):
    """Connection to the Kafka brokers."""

    bootstrap: Brokers = Field("", description="host:port; empty: the local stack's broker")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: LocalFile = ""
    # Limits of the clients: librdkafka rejects more than 300 s, kafka-python less than its fetch wait time.
    request_timeout_s: float = Field(10.0, ge=1, le=300)
    replication_factor: int = Field(1, ge=1, le=32_767)
    ingest_batch: Positive = Field(20_000, description="maximum number of records in one ingest commit")


class Hdfs(ServerSection):
    """Connection to HDFS, the lake's file system."""

    login_fields = ("webhdfs", "webhdfs_username", "webhdfs_password")

    uri: NameNode = Field("", description="hdfs://host:port; empty: the local stack's NameNode")
    webhdfs: HttpAddress = Field("", description="http://host:port; empty: the local stack's NameNode")
    webhdfs_username: str = Field(
        "", description="user name for a gateway in front of WebHDFS (HttpFS, Knox); empty: none"
    )
    webhdfs_password: SecretStr = SecretStr("")
    user: str = Field("kogpt2", description="owner of the files")
    root: str = Field(
        "/Chatbot",
        # WebHDFS and the Delta library escape other characters differently, so one could not find the other's files.
        pattern=r"^(/[A-Za-z0-9._,-]+)+/?$",
        description="root folder of all files; ASCII letters, digits and ._,- only",
    )
    timeout_s: Seconds = 30.0
    retries: Positive = 5


class Elastic(ServerSection):
    """Connection to Elasticsearch, the search index."""

    url: HttpAddressWithPort = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    timeout_s: Seconds = 30.0
    batch_mb: float = Field(5.0, gt=0, le=90, description="maximum size of the documents in one bulk request, in MiB")


class Indexer(Section):
    """The live indexer, which fills Elasticsearch from Kafka."""

    feedback_wait_s: Seconds = Field(
        30.0,
        description="how long a feedback waits until its turn is indexed; then it is indexed without bot and version",
    )


class Mlflow(ServerSection):
    """Connection to MLflow, the model registry."""

    login_fields = ("tracking_uri", "username", "password")

    tracking_uri: HttpAddress = Field("", description="http://host:port; empty: the local stack's server")
    username: str = Field("", description="user name; empty: none")
    password: SecretStr = SecretStr("")
    experiment: str = "kogpt2-chat"
    timeout_s: Seconds = 120.0


class Airflow(ServerSection):
    """Connection to Airflow's REST API, and alerts about DAG runs that fail or are late."""

    url: HttpAddress = ""
    username: str = "admin"
    password: SecretStr = Field(SecretStr(""), description="empty: the local stack's password")
    alert_webhook: SecretStr = Field(
        SecretStr(""),
        description='URL that gets a POST of {"text": ...} if a run fails or is late; empty: alerts only in the log',
    )
    retrain_deadline_hours: float = Field(
        12.0, gt=0, le=24, description="a run of `retrain_bots` that takes longer raises an alert"
    )

    @field_validator("alert_webhook")
    @classmethod
    def _is_http(cls, address: SecretStr) -> SecretStr:
        if address.get_secret_value() and not is_address(address.get_secret_value(), ("http", "https")):
            raise ValueError("expected an address like https://host/path")
        return address
