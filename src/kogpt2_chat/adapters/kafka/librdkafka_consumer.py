"""The librdkafka consumer (confluent-kafka) that the worker reads questions with.

Everything else uses kafka-python; ADR 0009 explains why this module does not.
"""

import logging
import struct
import time
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException

from kogpt2_chat.adapters.kafka.topics import MAX_FETCH_BYTES, connection
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.ports import Record
from kogpt2_chat.settings import Settings

_LIBRDKAFKA_NAMES: Final = {
    "bootstrap_servers": "bootstrap.servers",
    "security_protocol": "security.protocol",
    "request_timeout_ms": "socket.timeout.ms",
    "retry_backoff_ms": "retry.backoff.ms",
    "reconnect_backoff_max_ms": "reconnect.backoff.max.ms",
    "ssl_cafile": "ssl.ca.location",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
}
"""librdkafka's name of each shared connection setting, by kafka-python's name."""
_PARTITION_FETCH_BYTES: Final = 256 * 1024
"""Maximum bytes per partition in one fetch; a larger record is still delivered, alone."""
_PREFETCH: Final = 200
"""``queued.min.messages``: questions per partition that the client tries to keep fetched in advance."""
_MAX_POLL_DEADLINES: Final = 3
"""Minimum of ``max.poll.interval.ms``, in answer deadlines."""
_METADATA_PREFIX: Final = b"CGMDv2:"
_GENERATION: Final = struct.Struct("=i")
_CLOSE_TIMEOUT_S: Final = 2.0
_LEAKED: Final[list[Any]] = []

logging.getLogger("librdkafka").addHandler(logging.NullHandler())  # errors that matter are returned by poll


def new_consumer(settings: Settings, ordinal: int, group: str) -> Any:
    """Return a consumer for a worker, without a subscription.

    Raises:
        InvalidInput: librdkafka rejects the settings.
    """
    try:
        return Consumer(consumer_settings(settings, ordinal, group))
    except KafkaException as error:
        raise InvalidInput(
            f"Kafka's client rejects the settings KOGPT2_KAFKA__* and KOGPT2_SERVING__*: {error.args[0].str()}"
        ) from error


def consumer_settings(settings: Settings, ordinal: int, group: str) -> dict[str, Any]:
    """Return the settings of a worker's consumer: a static group member without automatic commits."""
    serving = settings.serving
    session_ms = int(serving.session_timeout_s * 1000)
    return {
        **_connection(settings),
        "group.id": group,
        "group.instance.id": f"worker-{ordinal}",
        # This makes the client request stable offsets when it fetches the committed ones.
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": session_ms // 5,
        "max.poll.interval.ms": _max_poll_interval_ms(settings),
        "fetch.max.bytes": MAX_FETCH_BYTES,
        "max.partition.fetch.bytes": _PARTITION_FETCH_BYTES,
        "queued.min.messages": _PREFETCH,
    }


def _max_poll_interval_ms(settings: Settings) -> int:
    """Return how long a worker may go without polling before it loses its partitions: longer than any batch takes."""
    serving = settings.serving
    # librdkafka rejects less than a session timeout. Twice that prevents an idle worker from being considered stuck.
    return int(max(serving.answer_deadline_s * _MAX_POLL_DEADLINES, 2 * serving.session_timeout_s, 60) * 1000)


def generation_of(member: bytes) -> int:
    """Return the group generation from a consumer's serialised group metadata; -1 if it is not in a group.

    Raises:
        ValueError: librdkafka uses an unknown serialisation format.
    """
    if not member.startswith(_METADATA_PREFIX):
        raise ValueError(
            f"group metadata begins with {member[:8]!r}, expected {_METADATA_PREFIX!r}: pin confluent-kafka"
        )
    return int(_GENERATION.unpack_from(member, len(_METADATA_PREFIX))[0])


def to_record(message: Any) -> Record:
    """Convert a question to a :class:`Record`, without its headers.

    Headers of a question have no meaning, and any client can write them. Reading a header name that is not UTF-8
    crashes the process inside the client library (confluent-kafka 2.16.1).
    """
    return Record(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        timestamp_ms=message.timestamp()[1],
    )


def close_quietly(consumer: Any) -> None:
    """Poll until the consumer has nothing left to report, then close it; leak it if that takes over 2 s.

    Closing or garbage-collecting a consumer during a rebalance can wait forever for a client thread that has already
    ended, while it holds the GIL (confluent-kafka 2.16.1). A leaked consumer ends with the process.
    """
    deadline = time.monotonic() + _CLOSE_TIMEOUT_S
    with suppress(KafkaException):  # a fenced consumer raises its fencing error again
        consumer.pause(consumer.assignment())
    while consumer.poll(_CLOSE_TIMEOUT_S / 20) is not None:
        if time.monotonic() > deadline:
            _LEAKED.append(consumer)
            return
    consumer.close()


def _connection(settings: Settings) -> dict[str, Any]:
    """Return the connection settings that all clients share, under librdkafka's names."""
    shared = connection(settings)
    return {
        **{name: shared[other] for other, name in _LIBRDKAFKA_NAMES.items() if other in shared},
        "allow.auto.create.topics": False,
        "logger": logging.getLogger("librdkafka"),
    }
