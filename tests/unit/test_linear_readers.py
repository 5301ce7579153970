"""Readers of external text take time linear in its length, so that a hostile record cannot block them."""

import json
from datetime import UTC, datetime

import pytest

from kogpt2_chat.domain.chat.dead_letters import ReplayHistory, read_letter, skip_reason
from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.domain.chat.wire import legacy_text
from kogpt2_chat.domain.lake.layout import feedback_row, turn_row
from kogpt2_chat.domain.lake.quarantine import quarantine_row
from kogpt2_chat.domain.learning.cleaning import clean, phrase_key
from tests.growth import growth

NOW = datetime(2026, 11, 24, tzinfo=UTC)
POSITION = {"partition": 0, "offset": 0, "ingested_at": NOW}


def feedback(text: str) -> object:
    body = {
        "v": 1,
        "feedback_id": "f",
        "turn_id": "t",
        "player_id": text,
        "kind": "correction",
        "text": text,
        "sent_at": "x",
        "m": text,
    }
    return feedback_row(Feedback.from_json(json.dumps(body)), timestamp_ms=0, **POSITION)


def turn(text: str) -> object:
    body = dict.fromkeys(
        ("turn_id", "question_id", "bot", "player_id", "sender", "text", "answer", "worker", "mood"), text
    )
    times = dict.fromkeys(("received_at", "answered_at"), NOW.isoformat())
    consent = {"consent_store": True, "consent_train": True}
    return turn_row(
        Turn.from_json(json.dumps({**body, **times, **consent, "source": "v1", "latency_ms": 0, "v": 1})),
        timestamp_ms=0,
        **POSITION,
    )


def quarantined(text: str) -> object:
    return quarantine_row("feedback", "schema", text.encode(), **POSITION)


def dead_letter(text: str) -> object:
    headers = {"turn_id": "bot_question-0-0", "reason": "crash_loop"}
    letter = read_letter(None, legacy_text("n", "ChatbotA", text).encode(), headers, timestamp_ms=0)
    assert letter is not None
    return skip_reason(letter, ReplayHistory(), NOW)


def corpus_row(text: str) -> object:
    return clean(text), phrase_key(text)


@pytest.mark.parametrize("reader", [feedback, turn, quarantined, dead_letter, corpus_row])
@pytest.mark.parametrize("piece", ["\u0300\u0316", "\u0f73", "가", "01", "legacy:", "\u200b"])
def test_reading_takes_time_linear_in_the_text(reader, piece):
    """Twenty times the text takes about twenty times the work, not four hundred times."""
    assert growth(reader, piece) < 100


def test_a_time_without_an_offset_is_in_seoul_time():
    """Clients in Korea write local times."""
    received = Feedback(feedback_id="f", turn_id="t", player_id="하늘\u200b", kind="up", sent_at="2026-11-24T10:00:00")
    row = feedback_row(received, timestamp_ms=0, **POSITION)
    assert row["sent_at"] == datetime(2026, 11, 24, 1, tzinfo=UTC)
    assert row["player_id"] == "하늘"
