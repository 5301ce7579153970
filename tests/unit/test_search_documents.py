"""The documents of the search index."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.domain.lake.layout import feedback_row, turn_row
from kogpt2_chat.domain.search.documents import dead_letter_document, feedback_document, feedback_id, turn_document
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    FIELDS_BY_INDEX,
    LAKE_ONLY,
    TURN_INDEX,
)

LOGGED_MS = 1_796_000_000_250
NOW = datetime(2026, 11, 27, 22, 0, tzinfo=UTC)


def turn(**changes: Any) -> Turn:
    answered = datetime.fromtimestamp((LOGGED_MS - 40) / 1000, UTC)
    fields: dict[str, Any] = {
        "turn_id": "bot_question-3-17", "question_id": "q1", "bot": "ChatbotA", "player_id": "p1", "sender": "하늘",
        "text": "안녕, 마루야!", "answer": "안녕하세요. 반가워요.", "received_at": "2026-11-27T21:59:58+00:00",
        "answered_at": answered.isoformat(), "latency_ms": 120, "consent_store": True, "consent_train": True,
        "source": "v1", "worker": "worker-1", "answer_token_ids": (5, 6, 7), "kafka_ms": 4, "queue_ms": 10,
        "decode_ms": 90, "unknown_tokens": 1, "model_version": 2, "decoding": {"stop_reason": "end"},
    }  # fmt: skip
    return Turn(**{**fields, **changes})


def document(**changes: Any) -> dict[str, object]:
    row = turn_row(turn(**changes), partition=2, offset=9, timestamp_ms=LOGGED_MS, ingested_at=NOW)
    return turn_document(row)


def test_a_turn_has_its_columns_and_what_follows_from_them() -> None:
    found = document()
    assert found["outcome"] == "model"
    assert (found["conversation"], found["question_key"]) == ("p1", "안녕마루야")
    assert (found["kafka_ms"], found["queue_ms"], found["decode_ms"], found["return_ms"]) == (4, 10, 90, 40)
    assert (found["question_chars"], found["answer_chars"], found["answer_tokens"]) == (8, 12, 3)
    assert (found["kafka_partition"], found["kafka_offset"], found["unknown_tokens"]) == (2, 9, 1)
    assert "faults" not in found


def test_every_field_is_in_the_mapping_and_is_a_json_value() -> None:
    """The mapping is strict: a document with another field would be refused."""
    nearest = {"likeness": 0.91, "source": "seed", "question": "안녕"}
    found = document(fallback="nearest", session_id="s1", decoding={"nearest": nearest}, extra={"x": 1})
    assert set(found) <= set(FIELDS_BY_INDEX[TURN_INDEX])
    assert json.loads(json.dumps(found)) == found
    assert (found["outcome"], found["conversation"]) == ("nearest", "s1")
    assert (found["nearest_likeness"], found["nearest_source"]) == (0.91, "seed")


def test_the_lake_and_the_indexer_write_the_same_but_for_what_only_the_lake_knows() -> None:
    row = turn_row(turn(), partition=2, offset=9, timestamp_ms=LOGGED_MS, ingested_at=NOW)
    live = turn_document({**row, "ingested_at": None})
    stored = turn_document(row)
    assert {name for name in stored if name not in live} == set(LAKE_ONLY)
    assert {name: value for name, value in stored.items() if name not in LAKE_ONLY} == live


def test_a_row_of_an_earlier_release_has_no_waits() -> None:
    row = turn_row(turn(), partition=2, offset=9, timestamp_ms=LOGGED_MS, ingested_at=NOW)
    old = {**row, **dict.fromkeys(("kafka_ms", "queue_ms", "decode_ms", "unknown_tokens", "logged_at", "minor"))}
    assert not {"kafka_ms", "return_ms", "unknown_tokens"} & turn_document(old).keys()


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"decoding": {"stop_reason": "length"}}, ["cut"]),
        ({"answer": "좋아 좋아 좋아 좋아"}, ["looping"]),
        ({"answer": "안녕 마루야"}, ["copied"]),
        ({"answer": "네"}, ["short"]),
        ({"answer": "네", "fallback": "timeout"}, None),
    ],
)
def test_faults_of_an_answer(changes: dict[str, Any], faults: list[str] | None) -> None:
    assert document(**changes).get("faults") == faults


def test_personal_data_and_names_are_masked() -> None:
    found = document(text="내 이름은 김하늘이야. 010-1234-5678", player_id="010-1234-5678")
    assert "김하늘" not in json.dumps(found, ensure_ascii=False)
    assert "1234" not in json.dumps(found, ensure_ascii=False)


def test_the_last_feedback_of_a_player_on_a_turn_has_the_same_id() -> None:
    def row(kind: str) -> dict[str, object]:
        feedback = Feedback(
            feedback_id=f"f-{kind}", turn_id="bot_question-3-17", player_id="p1", kind=kind,
            sent_at="2026-11-27T22:00:00+00:00", text="더 나은 답",
        )  # fmt: skip
        return feedback_row(feedback, partition=0, offset=1, timestamp_ms=LOGGED_MS, ingested_at=NOW)

    assert feedback_id(row("up")) == feedback_id(row("down")) != feedback_id(row("correction"))
    assert feedback_id(row("up")).startswith("bot_question-3-17:")
    assert "p1" not in feedback_id(row("up"))
    found = feedback_document(row("correction"), document())
    assert (found["bot"], found["model_version"], found["kind"]) == ("ChatbotA", 2, "correction")
    assert (found["kafka_partition"], found["kafka_offset"]) == (0, 1)
    assert set(found) <= set(FIELDS_BY_INDEX[FEEDBACK_INDEX])
    assert "더 나은 답" not in json.dumps(found, ensure_ascii=False)
    assert "bot" not in feedback_document(row("up"), None)


def test_a_dead_letter_has_no_value_no_sender_and_no_error_text() -> None:
    value = json.dumps({"v": 1, "bot": "ChatbotB", "sender": "하늘", "text": "비밀"}).encode()
    headers = {"turn_id": "bot_question-3-17", "reason": "schema", "error": "비밀"}
    found = dead_letter_document(value, headers, LOGGED_MS)
    assert found.pop("at") == datetime.fromtimestamp(LOGGED_MS / 1000, UTC).isoformat()
    assert found == {
        "reason": "schema", "bot": "ChatbotB", "size": len(value), "question_partition": 3, "question_offset": 17,
    }  # fmt: skip
    assert set(found) < set(FIELDS_BY_INDEX[DEAD_LETTER_INDEX])


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[1]", b'{"bot": "\xea\xb9\x80"}', b"[" * 100_000])
def test_a_dead_letter_that_names_no_bot(value: bytes | None) -> None:
    headers = {"turn_id": "nonsense-9" + "9" * 30, "reason": "제 번호는 010-1234-5678"}
    found = dead_letter_document(value, headers, 10**18)
    assert found == {"reason": "other", "size": len(value or b"")}


def test_what_a_client_wrote_into_a_feedback_is_no_text_in_its_document() -> None:
    """Only the gateway keeps to known kinds and ids; other clients may write anything."""
    secret = "제 이름은 김철수입니다 010-1234-5678"
    feedback = Feedback(feedback_id=secret, turn_id=secret, player_id="민수", kind=secret, sent_at="x")
    row = feedback_row(feedback, partition=0, offset=1, timestamp_ms=LOGGED_MS, ingested_at=NOW)
    found = feedback_document(row, None)
    shown = json.dumps([feedback_id(row), found], ensure_ascii=False)
    assert not any(part in shown for part in ("김철수", "1234", "민수"))
    assert found["kind"] == "other"


def test_nothing_in_a_document_gives_away_what_is_masked() -> None:
    """Neither the tokens of a masked answer, nor the known question, nor an id that the client chose."""
    nearest = {"likeness": float("nan"), "source": "seed", "question": "제 이름은 김철수입니다"}
    found = document(
        answer="내 이름은 김철수야", question_id="010-1234-5678", fallback="nearest", decoding={"nearest": nearest}
    )
    shown = json.dumps(found, ensure_ascii=False, allow_nan=False)
    assert "철수" not in shown
    assert "1234" not in shown
    assert "answer_token_ids" not in found
    assert "nearest_likeness" not in found
