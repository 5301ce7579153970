"""The settings of the worker's librdkafka consumer, and how its group metadata is read."""

import pytest
from confluent_kafka import Consumer

from kogpt2_chat.adapters.kafka.librdkafka_consumer import consumer_settings, generation_of, new_consumer, to_record
from kogpt2_chat.errors import InvalidInput
from kogpt2_chat.settings import Settings

NOWHERE = "127.0.0.1:1"


def settings(tmp_path, **kafka) -> Settings:
    return Settings(home=tmp_path, kafka={"bootstrap": NOWHERE, **kafka})


def test_the_client_accepts_every_setting(tmp_path):
    """The client rejects unknown names and values."""
    secured = settings(
        tmp_path, security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_username="worker", sasl_password="s"
    )
    for accepted in (settings(tmp_path), secured):
        Consumer(consumer_settings(accepted, 1, "group"))


@pytest.mark.parametrize("session_s", [2, 61, 120, 1800])
def test_the_client_accepts_every_allowed_session_timeout(tmp_path, session_s):
    """The poll interval grows with the session timeout, since the client rejects one that is shorter."""
    given = Settings(home=tmp_path, kafka={"bootstrap": NOWHERE}, serving={"session_timeout_s": session_s})
    new_consumer(given, 1, "group")
    configured = consumer_settings(given, 1, "group")
    assert configured["max.poll.interval.ms"] >= 2 * configured["session.timeout.ms"]


def test_the_client_accepts_the_limits_of_the_timeouts(tmp_path):
    """The shortest values are tested together, and the longest ones together."""
    for request_s, deadline_s in ((1, 0.001), (300, 3600)):
        given = Settings(
            home=tmp_path,
            kafka={"bootstrap": NOWHERE, "request_timeout_s": request_s},
            serving={"answer_deadline_s": deadline_s},
        )
        new_consumer(given, 1, "group")


def test_settings_that_the_client_rejects_are_invalid_input(tmp_path):
    """A restart cannot fix such an error."""
    refused = settings(tmp_path, security_protocol="SSL", ssl_cafile=str(tmp_path / "없는.pem"))
    with pytest.raises(InvalidInput, match="KOGPT2_KAFKA__"):
        new_consumer(refused, 1, "group")


def test_the_password_is_passed_to_the_client_and_not_shown(tmp_path):
    secured = settings(
        tmp_path, security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_username="worker", sasl_password="s3"
    )
    assert consumer_settings(secured, 1, "group")["sasl.password"] == "s3"
    assert "s3" not in repr(secured)


def test_a_consumer_outside_a_group_has_generation_minus_one(tmp_path):
    consumer = Consumer(consumer_settings(settings(tmp_path), 1, "group"))
    assert generation_of(consumer.consumer_group_metadata()) == -1


def test_group_metadata_in_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="pin confluent-kafka"):
        generation_of(b"CGMDv3:\x05\x00\x00\x00")


class Message:
    """A question as the client returns it, with headers that must not be read."""

    def topic(self) -> str:
        return "bot_question"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return "안녕".encode()

    def timestamp(self) -> tuple[int, int]:
        return 1, 1000

    def headers(self) -> None:
        raise AssertionError("a header name that is not UTF-8 crashes the process here")


def test_headers_of_a_question_are_not_read():
    record = to_record(Message())
    assert (record.partition, record.offset, record.value, record.headers) == (3, 7, "안녕".encode(), {})
