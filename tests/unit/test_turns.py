"""Turns and feedback as JSON: strict types, and compatibility between releases."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kogpt2_chat.domain.chat.turns import NOTICE_BY_FALLBACK, Feedback, Turn, answer_source
from kogpt2_chat.domain.lake.layout import feedback_row
from kogpt2_chat.domain.learning.explanation import fallback_changes
from kogpt2_chat.errors import InvalidMessage

TURN = Turn(
    turn_id="bot_question-0-1",
    question_id="q",
    bot="ChatbotA",
    player_id="legacy:하늘",
    sender="하늘",
    text="안녕?",
    answer="안녕하세요!",
    answer_token_ids=(3, 5),
    received_at="2026-11-24T10:00:00+09:00",
    answered_at="2026-11-24T10:00:00.012+09:00",
    latency_ms=12,
    consent_store=True,
    consent_train=False,
    source="legacy",
    worker="worker-1",
    decoding={"strategy": "greedy"},
)


@given(
    st.text(),
    st.dictionaries(
        st.text(max_size=5), st.integers() | st.none() | st.lists(st.text(max_size=3), max_size=2), max_size=3
    ),
)
def test_a_turn_is_read_back_as_it_was_written(text, extra):
    """Any text and any extra fields survive the round trip."""
    turn = Turn.from_json(TURN.to_json())
    assert turn == TURN
    other = Turn(**{**{name: getattr(TURN, name) for name in Turn.__slots__}, "text": text, "extra": extra})
    assert Turn.from_json(other.to_json()) == other


def test_fields_of_later_releases_are_kept_in_extra():
    """So no field is lost when an older release stores the turn."""
    body = {**json.loads(TURN.to_json()), "mood": "기쁨", "extra": {"x": 1}}
    assert Turn.from_json(json.dumps(body)).extra == {"x": 1, "mood": "기쁨"}


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"v": None}, {"text": 3}, {"latency_ms": 1.5}, {"consent_store": 1}, {"source": 1}, {"fallback": 2},
     {"answer_token_ids": ["a"]}, {"decoding": []}, {"extra": []}, {"epoch": "1"}],
    ids=str,
)  # fmt: skip
def test_a_wrong_type_is_a_schema_error(change):
    """Values of another type are not converted."""
    with pytest.raises(InvalidMessage) as caught:
        Turn.from_json(json.dumps({**json.loads(TURN.to_json()), **change}))
    assert caught.value.reason == "schema"


def test_values_of_later_releases_are_accepted():
    """A new fallback, kind or source must not quarantine turns and feedback during a rolling deployment."""
    turn = Turn.from_json(json.dumps({**json.loads(TURN.to_json()), "source": "v2", "fallback": "asleep"}))
    assert (turn.source, turn.fallback) == ("v2", "asleep")
    assert Turn.from_json(turn.to_json()) == turn
    assert answer_source(turn.fallback, 3) == "not the model: asleep"
    assert answer_source("muted", 3) == "fixed notice: muted"
    (change,) = fallback_changes(turn)
    assert (change.rule, change.after) == ("fallback", turn.answer)
    body = {"v": 1, "feedback_id": "f", "turn_id": "t", "player_id": "p", "kind": "laugh", "sent_at": "x", "mood": 1}
    feedback = Feedback.from_json(json.dumps(body))
    assert (feedback.kind, feedback.extra) == ("laugh", {"mood": 1})


@pytest.mark.parametrize("value", [b"", b"[]", b"nul", b"\xff", b"[" * 100_000], ids=lambda value: repr(value[:5]))
def test_a_value_that_is_not_an_object_is_an_invalid_message(value):
    """So is JSON that is nested too deeply for the parser."""
    for read in (Turn.from_json, Feedback.from_json):
        with pytest.raises(InvalidMessage):
            read(value)


def test_a_correction_needs_a_text():
    """It is the better answer. Other kinds need no text."""
    feedback = Feedback(
        feedback_id="f",
        turn_id="t",
        player_id="p",
        kind="correction",
        sent_at="2026-11-24T10:00:00+09:00",
        text="잘 자요",
    )
    assert Feedback.from_json(feedback.to_json()) == feedback
    for text in (None, "", "  "):
        with pytest.raises(InvalidMessage, match="correction"):
            Feedback.from_json(json.dumps({**json.loads(feedback.to_json()), "text": text}))
    thumb = Feedback.from_json(
        json.dumps(
            {"v": 1, "feedback_id": "f", "turn_id": "t", "player_id": "p", "kind": "up", "sent_at": "x", "via": "world"}
        )
    )
    assert (thumb.text, thumb.extra) == (None, {"via": "world"})


def test_every_notice_is_korean():
    """A player never gets an empty or an English text."""
    assert all(any("가" <= char <= "힣" for char in notice) for notice in NOTICE_BY_FALLBACK.values())
    assert NOTICE_BY_FALLBACK["timeout"] == "잠시 후 다시 말해 주세요."


CORRECTION = Feedback(
    feedback_id="f1",
    turn_id="bot_question-0-1",
    player_id="하늘",
    kind="correction",
    sent_at="2026-11-26T10:00:00+09:00",
    text="토요일이에요.",
    extra={"client": "unity"},
)


@pytest.mark.parametrize("consent", [True, False, None])
def test_the_consent_of_a_correction_reaches_the_lake(consent: bool | None) -> None:
    """It is stored in `extra`, where earlier releases store unknown fields, and left out if the client did not send it."""
    feedback = replace(CORRECTION, consent_train=consent)
    read = Feedback.from_json(feedback.to_json())
    assert read.consent_train is consent
    row = feedback_row(read, partition=0, offset=1, timestamp_ms=0, ingested_at=datetime(2026, 11, 26, tzinfo=UTC))
    expected = {} if consent is None else {"consent_train": consent}
    assert json.loads(str(row["extra"])) == {"client": "unity"} | expected


@pytest.mark.parametrize("odd", ["NaN", "-Infinity", "1e999", '{"deep":[NaN]}'])
def test_refused_consent_survives_next_to_numbers_that_are_not_json(odd: str) -> None:
    """Python accepts such numbers, but Spark reads the whole text as null. The refusal would be lost."""
    body = {**json.loads(CORRECTION.to_json()), "consent_train": False}
    body.pop("extra", None)
    sent = json.dumps(body, ensure_ascii=False)[:-1] + f', "extra": {{"a": {odd}}}}}'
    row = feedback_row(
        Feedback.from_json(sent), partition=0, offset=1, timestamp_ms=0, ingested_at=datetime(2026, 11, 26, tzinfo=UTC)
    )
    extra = json.loads(str(row["extra"]), parse_constant=pytest.fail)
    assert extra["consent_train"] is False
