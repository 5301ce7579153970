"""Signed feedback and that of minors: client, record, ingest and replay."""

import json
from pathlib import Path
from typing import Any

import pytest

from kogpt2_chat.client.feedback import Opinion, feedback_record, send_feedback
from kogpt2_chat.domain.chat.signing import SigningKeys
from kogpt2_chat.domain.chat.topics import FEEDBACK_TOPIC
from kogpt2_chat.domain.chat.turns import Feedback
from kogpt2_chat.jobs.ingest import ingest
from kogpt2_chat.ports import Outgoing
from kogpt2_chat.settings import Settings, World
from kogpt2_chat.testing.delta import InMemoryTables
from kogpt2_chat.testing.kafka import Broker, InMemoryTopics

KEY = "k" * 32
KEYS = SigningKeys((KEY,))
BETTER = Opinion(
    turn_id="bot_question-0-1", player_id="w-7fQ2", kind="correction", text="토요일이에요.", consent_train=True
)
MINORS = Opinion(
    turn_id="bot_question-0-1", player_id="w-9aB1", kind="correction", text="일요일이에요.", consent_train=True, minor=True
)  # fmt: skip


def value_of(opinion: Opinion, keys: SigningKeys = KEYS) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(feedback_record(opinion, keys).value or b"")
    return found


def ingested(tmp_path: Path, *values: dict[str, Any], keys: tuple[str, ...] = (KEY,)) -> list[dict[str, Any]]:
    """Return the rows that ingest stores for these records."""
    topics, tables = InMemoryTopics(Broker()), InMemoryTables()
    topics.ensure()
    topics.send([Outgoing(topic=FEEDBACK_TOPIC, key=b"t", value=json.dumps(value).encode()) for value in values])
    settings = Settings(home=tmp_path, world=World(keys=keys))
    ingest(topics=topics, tables=tables, settings=settings)
    return sorted((dict(row) for row in tables.read("feedback")), key=lambda row: row["kafka_offset"])


def test_ingest_marks_authenticated_feedback(tmp_path: Path) -> None:
    """Unsigned, forged and changed feedback is stored too, without the mark."""
    signed = value_of(BETTER)
    rows = ingested(
        tmp_path,
        signed,
        value_of(BETTER, SigningKeys()),
        value_of(BETTER, SigningKeys(("z" * 32,))),
        {**signed, "player_id": "w-other"},
        {**signed, "auth": "odd"},
        {**value_of(BETTER, SigningKeys()), "authenticated": True},
    )
    assert [row["authenticated"] for row in rows] == [True, False, False, False, False, False]
    assert all("auth" not in json.loads(row["extra"]) for row in rows)
    assert json.loads(rows[-1]["extra"]) == {"authenticated": True, "consent_train": True}


def test_without_keys_nothing_is_authenticated(tmp_path: Path) -> None:
    """A home without the file has none."""
    assert [row["authenticated"] for row in ingested(tmp_path, value_of(BETTER), keys=())] == [False]


def test_a_minors_feedback_is_not_for_training(tmp_path: Path) -> None:
    """The refusal and the reason for it are in ``extra``, where earlier releases and Spark look for the consent."""
    (row,) = ingested(tmp_path, value_of(MINORS))
    assert json.loads(row["extra"]) == {"consent_train": False, "minor": True}
    assert row["authenticated"] is True


@pytest.mark.parametrize(
    ("minor", "is_minor"), [(True, True), ("yes", True), (0, True), (False, False), (None, False)], ids=repr
)
def test_an_odd_value_means_a_minor(minor: object, is_minor: bool) -> None:
    """The record is not quarantined."""
    value = json.dumps({**value_of(BETTER), "minor": minor})
    feedback = Feedback.from_json(value)
    assert (feedback.minor, feedback.consent_train) == (is_minor, not is_minor)


def test_unsigned_feedback_is_written_as_before() -> None:
    """The last release sees no new field from clients that do not use one."""
    value = value_of(BETTER, SigningKeys())
    assert set(value) == {
        "v", "feedback_id", "turn_id", "player_id", "kind", "text", "sent_at", "consent_train", "extra"
    }  # fmt: skip
    assert Feedback.from_json(json.dumps(value)).to_body() == value


def test_a_minors_feedback_is_read_back_as_it_was_written() -> None:
    """The consent becomes false on the way."""
    feedback = Feedback.from_json(json.dumps(value_of(MINORS)), KEYS)
    assert (feedback.minor, feedback.authenticated, feedback.consent_train) == (True, True, False)
    assert Feedback.from_json(feedback.to_json()).minor


def test_all_opinions_are_signed() -> None:
    """A gateway sends many at once."""
    topics = InMemoryTopics(broker := Broker())
    topics.ensure()
    assert send_feedback(opinions=[BETTER, MINORS], topics=topics, keys=KEYS) == 2
    assert all(KEYS.verify(json.loads(record.value or b"")) for record in broker.all(FEEDBACK_TOPIC))
