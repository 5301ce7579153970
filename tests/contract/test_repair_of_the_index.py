"""The repair of the search index on real servers: Delta tables in a local folder, and Elasticsearch."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kogpt2_chat.adapters.delta import DeltaTables
from kogpt2_chat.adapters.elastic import ElasticIndex
from kogpt2_chat.domain.chat.turns import Feedback, Turn
from kogpt2_chat.domain.lake.layout import feedback_row, turn_row
from kogpt2_chat.domain.search.documents import feedback_document, feedback_id, turn_document
from kogpt2_chat.domain.search.fields import FEEDBACK_INDEX, FIELDS_BY_INDEX, TURN_INDEX
from kogpt2_chat.jobs.index import index
from kogpt2_chat.settings import Hdfs, Settings

NOW = datetime(2026, 11, 24, 3, 30, 0, 123456, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)


def turn(number: int) -> dict[str, object]:
    """Return a row with a value in every column that a document has."""
    found = Turn(
        turn_id=f"bot_question-0-{number}", question_id=f"q{number}", bot=f"Chatbot{'ABC'[number % 3]}", player_id="p",
        sender="하늘", session_id="s", text=f"안녕 {number} 😀", answer="어서 와요!", answer_token_ids=(5, number),
        prompt_tokens=3, model_version=2, epoch=4, received_at=NOW.isoformat(), answered_at=NOW.isoformat(),
        sent_at=NOW.isoformat(), latency_ms=12, consent_store=True, consent_train=True, source="v1", worker="worker-1",
        decoding={"nearest": {"likeness": 0.1 + number / 7, "source": "seed"}}, kafka_ms=1, queue_ms=2, decode_ms=3,
        unknown_tokens=0, extra={"메모": "\u2028<b>"},
    )  # fmt: skip
    return turn_row(found, partition=0, offset=number, timestamp_ms=MS + 7, ingested_at=NOW)


def rating(number: int) -> dict[str, object]:
    feedback = Feedback(
        feedback_id=f"f{number}", turn_id=f"bot_question-0-{number}", player_id="하늘", kind="up", sent_at=""
    )
    return feedback_row(feedback, partition=0, offset=number, timestamp_ms=MS, ingested_at=NOW)


@pytest.fixture
def tables(tmp_path: Path) -> DeltaTables:
    hdfs = Hdfs().model_copy(update={"uri": "file://", "root": str(tmp_path), "retries": 1})
    return DeltaTables(Settings().model_copy(update={"hdfs": hdfs}))


@pytest.fixture
def real(stack_settings: Settings) -> Iterator[ElasticIndex]:
    prefix = f"repair-{uuid.uuid4().hex}-"
    yield ElasticIndex(stack_settings, prefix=prefix)
    client = ElasticIndex(stack_settings)._client.options(ignore_status=404)
    for name in FIELDS_BY_INDEX:
        client.indices.delete(index=f"{prefix}{name}", ignore_unavailable=True)
        client.indices.delete_index_template(name=f"{prefix}{name}")


def test_what_was_lost_or_changed_is_repaired_and_nothing_else_is_sent(tables: DeltaTables, real: ElasticIndex) -> None:
    """Every value comes back from both servers as it was written: otherwise, each run would send everything again."""
    tables.append("turns", [turn(number) for number in range(1000)], {"turns/conversation_log/0": 1000})
    tables.append("feedback", [rating(number) for number in range(10)], {"feedback/feedback/0": 10})
    filled = index(tables=tables, index=real)
    assert (filled.sent, filled.refused, filled.documents, filled.feedback.documents) == (1000, 0, 1000, 10)

    tables.append("turns", [turn(1000)], {"turns/conversation_log/0": 1001})
    one = index(tables=tables, index=real)
    assert (one.turns, one.sent, one.removed, one.feedback.sent, one.documents) == (1001, 1, 0, 0, 1001)

    index_id = real.index_id(TURN_INDEX)
    real.remove(TURN_INDEX, [f"bot_question-0-{number}" for number in (3, 4, 700)])
    real.put(TURN_INDEX, [(f"ghost-{number}", {"bot": "ChatbotA", "ingested_at": NOW}) for number in range(600)])
    real.put(TURN_INDEX, [("bot_question-0-5", turn_document(turn(5)) | {"answer": "다른 답"})])
    real.put(FEEDBACK_INDEX, [(feedback_id(rating(7)), feedback_document(rating(7), None) | {"kind": "down"})])
    repaired = index(tables=tables, index=real, rebuild=True)
    assert (repaired.sent, repaired.removed, repaired.documents, repaired.feedback.sent) == (4, 600, 1001, 1)
    assert real.index_id(TURN_INDEX) == index_id
    for number in (3, 5, 1000):
        assert real.find(TURN_INDEX, f"bot_question-0-{number}") == turn_document(turn(number))
    again = index(tables=tables, index=real)
    assert (again.sent, again.removed, again.feedback.sent, again.feedback.removed) == (0, 0, 0, 0)
