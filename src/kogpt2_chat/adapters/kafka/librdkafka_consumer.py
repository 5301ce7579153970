"""What the worker's exchange needs of librdkafka, Kafka's client in C, to read questions with it.

Everything else speaks to Kafka through :mod:`kogpt2_chat.adapters.kafka.topics`; why this does not, ADR 0009 says.
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

_NAME_BY_OTHER: Final = {
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
"""kafka-python's names of what both clients have to know."""
_FETCH_BYTES: Final = 256 * 1024
"""Of one partition at once; a larger record still comes, alone."""
_AHEAD: Final = 200
"""Questions of a partition that the client fetches ahead."""
_WORST_BATCHES: Final = 3
_MEMBER_MARK: Final = b"CGMDv2:"
_GENERATION: Final = struct.Struct("=i")
_CLOSE_TIMEOUT_S: Final = 2.0
_LEAKED: Final[list[Any]] = []

logging.getLogger("librdkafka").addHandler(logging.NullHandler())  # what matters of it comes back as an error


def new_consumer(settings: Settings, slot: int, group: str) -> Any:
    """A worker's consumer, in no group yet.

    Raises:
        InvalidInput: librdkafka refuses its settings.
    """
    try:
        return Consumer(consumer_settings(settings, slot, group))
    except KafkaException as error:
        raise InvalidInput(
            f"Kafka's client refuses the settings KOGPT2_KAFKA__* and KOGPT2_SERVING__*: {error.args[0].str()}"
        ) from error


def consumer_settings(settings: Settings, slot: int, group: str) -> dict[str, Any]:
    """Of a worker's consumer: a static member of its group that commits nothing by itself."""
    serving = settings.serving
    session_ms = int(serving.session_timeout_s * 1000)
    return {
        **_connection(settings),
        "group.id": group,
        "group.instance.id": f"worker-{slot}",
        # Only then does it wait for stable offsets when it asks for the committed ones.
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": session_ms // 5,
        "max.poll.interval.ms": _max_poll_interval_ms(settings),
        "fetch.max.bytes": MAX_FETCH_BYTES,
        "max.partition.fetch.bytes": _FETCH_BYTES,
        "queued.min.messages": _AHEAD,
    }


def _max_poll_interval_ms(settings: Settings) -> int:
    """How long the group waits for a worker that has stopped polling: more than its worst batches take."""
    serving = settings.serving
    # librdkafka refuses less than a session; twice that, or a worker at rest would be taken for one that is stuck.
    return int(max(serving.answer_deadline_s * _WORST_BATCHES, 2 * serving.session_timeout_s, 60) * 1000)


def generation_of(member: bytes) -> int:
    """The group's generation in a consumer's own account of its membership; -1 for a consumer that is in no group.

    Raises:
        ValueError: librdkafka writes it in another form than this one knows.
    """
    if not member.startswith(_MEMBER_MARK):
        raise ValueError(f"group metadata begins with {member[:8]!r}, expected {_MEMBER_MARK!r}: pin confluent-kafka")
    return int(_GENERATION.unpack_from(member, len(_MEMBER_MARK))[0])


def to_record(message: Any) -> Record:
    """A question in the platform's own words, without headers.

    None of them means anything in a question, and whoever asks may write any: a name that is no UTF-8 ends the process
    that looks at it, in the client's own code (confluent-kafka 2.16.1).
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
    """Close a consumer once no change of its partitions is under way; one that finds no rest ends with the process.

    Else closing or dropping it waits for ever for a thread of the client that has ended, with the interpreter's lock
    in its hand (confluent-kafka 2.16.1).
    """
    deadline = time.monotonic() + _CLOSE_TIMEOUT_S
    with suppress(KafkaException):  # one that was ousted says so once more
        consumer.pause(consumer.assignment())
    while consumer.poll(_CLOSE_TIMEOUT_S / 20) is not None:
        if time.monotonic() > deadline:
            _LEAKED.append(consumer)
            return
    consumer.close()


def _connection(settings: Settings) -> dict[str, Any]:
    """What every client of this project is told of the broker, in this client's words."""
    shared = connection(settings)
    return {
        **{name: shared[other] for other, name in _NAME_BY_OTHER.items() if other in shared},
        "allow.auto.create.topics": False,
        "logger": logging.getLogger("librdkafka"),
    }
