"""The indices of the search server and the types of their fields.

The indexer, ``index``, the dashboards, and the files for Kibana and Logstash all use these definitions.
"""

from collections.abc import Mapping
from typing import Final, Literal

from kogpt2_chat.domain.lake.layout import TURNS, ColumnKind

IndexName = Literal["kogpt2-turns", "kogpt2-feedback", "kogpt2-dead-letters", "kogpt2-safety", "kogpt2-indexer"]
Field = Mapping[str, object]
"""A field's mapping in Elasticsearch 7."""

TURN_INDEX: Final[IndexName] = "kogpt2-turns"
FEEDBACK_INDEX: Final[IndexName] = "kogpt2-feedback"
DEAD_LETTER_INDEX: Final[IndexName] = "kogpt2-dead-letters"
SAFETY_INDEX: Final[IndexName] = "kogpt2-safety"
INDEXER_INDEX: Final[IndexName] = "kogpt2-indexer"
LAKE_ONLY: Final = ("ingested_at",)
"""Fields of a turn's document that only the lake knows. The indexer leaves them out."""

MEASURED: Final = ("kafka_ms", "queue_ms", "decode_ms", "return_ms", "unknown_tokens", "logged_at")
"""Fields of a turn's document that rows of the lake lack if an earlier release has ingested them."""

_KEYWORD: Final[Field] = {"type": "keyword", "ignore_above": 1024}
_LONG: Final[Field] = {"type": "long"}
_FLOAT: Final[Field] = {"type": "float"}
_TIME: Final[Field] = {"type": "date"}
_STORED_ONLY: Final[Field] = {"type": "keyword", "index": False, "doc_values": False}
_FIELD_BY_KIND: Final[Mapping[ColumnKind, Field]] = {
    "string": _KEYWORD,
    "long": _LONG,
    "bool": {"type": "boolean"},
    "time": _TIME,
    "longs": {"type": "long", "index": False},
}
# Full-text search covers the texts. Extra data that a client sent is stored but not indexed.
_FIELD_BY_COLUMN: Final[Mapping[str, Field]] = {
    "text": {"type": "text", "analyzer": "standard"},
    "answer": {"type": "text", "analyzer": "standard", "fields": {"exact": _KEYWORD}},
    "decoding": _STORED_ONLY,
    "extra": _STORED_ONLY,
    "date": {"type": "date", "format": "yyyy-MM-dd"},
}
_DERIVED: Final[Mapping[str, Field]] = {
    "outcome": _KEYWORD,
    "conversation": _KEYWORD,
    "question_key": _KEYWORD,
    "answer_key": _KEYWORD,
    "question_chars": _LONG,
    "answer_chars": _LONG,
    "answer_tokens": _LONG,
    "return_ms": _LONG,
    "nearest_likeness": _FLOAT,
    "nearest_source": _KEYWORD,
    "faults": _KEYWORD,
}
FIELDS_BY_INDEX: Final[Mapping[IndexName, Mapping[str, Field]]] = {
    TURN_INDEX: {
        **{name: _FIELD_BY_COLUMN.get(name, _FIELD_BY_KIND[kind]) for name, kind in TURNS.columns.items()},
        **_DERIVED,
    },
    FEEDBACK_INDEX: {
        "feedback_id": _KEYWORD,
        "turn_id": _KEYWORD,
        "kind": _KEYWORD,
        "bot": _KEYWORD,
        "model_version": _LONG,
        "authenticated": {"type": "boolean"},
        "received_at": _TIME,
        "kafka_partition": _LONG,
        "kafka_offset": _LONG,
    },
    DEAD_LETTER_INDEX: {
        "reason": _KEYWORD,
        "bot": _KEYWORD,
        "size": _LONG,
        "question_partition": _LONG,
        "question_offset": _LONG,
        "at": _TIME,
    },
    SAFETY_INDEX: {
        "bot": _KEYWORD,
        "hour": _TIME,
        "log_partition": _LONG,
        "log_offset": _LONG,
        "count": _LONG,
    },
    INDEXER_INDEX: {
        "topic": _KEYWORD,
        "topic_id": _KEYWORD,
        "partition": _LONG,
        "position": _LONG,
        "index_id": _KEYWORD,
        "written_at": _TIME,
    },
}
"""The strict mapping of each index.

A document of ``kogpt2-safety`` counts the vetted answers of a bot in an hour that one partition of
``conversation_log`` holds up to ``log_offset``, so that a record that is read twice is counted once. Its id names the
topic, since the offsets begin again if the topic is created again. A document of ``kogpt2-indexer`` is the position in
a partition; it is void if the index of that topic is no longer the one with ``index_id``.
"""
TIME_FIELD: Final[Mapping[IndexName, str]] = {
    TURN_INDEX: "received_at",
    FEEDBACK_INDEX: "received_at",
    DEAD_LETTER_INDEX: "at",
    SAFETY_INDEX: "hour",
    INDEXER_INDEX: "written_at",
}
"""The field that says when something happened."""
