"""Explicit schemas of the frames that the transforms take and return."""

# ruff: noqa: TID253 - imported only by Spark's processes

from typing import Final

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

SEEDS: Final = StructType(
    [
        StructField("bot", StringType()),
        StructField("question", StringType()),
        StructField("answer", StringType()),
        StructField("topic", StringType()),
    ]
)

GOLD: Final = StructType(
    [
        StructField("bot", StringType()),
        StructField("key", StringType()),
    ]
)

# Only the columns of the lake's tables that a dataset needs.
TURNS: Final = StructType(
    [
        StructField("turn_id", StringType()),
        StructField("bot", StringType()),
        StructField("player_id", StringType()),
        StructField("text", StringType()),
        StructField("answer", StringType()),
        StructField("fallback", StringType()),
        StructField("answered_at", TimestampType()),
        StructField("consent_train", BooleanType()),
        StructField("minor", BooleanType()),
        StructField("extra", StringType()),
    ]
)

FEEDBACK: Final = StructType(
    [
        StructField("turn_id", StringType()),
        StructField("player_id", StringType()),
        StructField("kind", StringType()),
        StructField("text", StringType()),
        StructField("received_at", TimestampType()),
        StructField("kafka_partition", LongType()),
        StructField("kafka_offset", LongType()),
        StructField("extra", StringType()),
    ]
)

# ``kind`` is player or turn, ``action`` is distrust or trust. The last entry of a subject counts.
DISTRUST: Final = StructType(
    [
        StructField("kind", StringType()),
        StructField("subject", StringType()),
        StructField("action", StringType()),
        StructField("at", TimestampType()),
        StructField("entry_id", StringType()),
    ]
)

# A pair that may become a training example, with everything that the rules use.
PROPOSALS: Final = StructType(
    [
        StructField("bot", StringType()),
        StructField("question", StringType()),
        StructField("answer", StringType()),
        StructField("source", StringType()),
        StructField("topic", StringType()),
        StructField("turn_id", StringType()),
        StructField("player_id", StringType()),
        StructField("marked_at", TimestampType()),
        StructField("consent_train", BooleanType()),
        StructField("fallback", StringType()),
        StructField("likes", LongType()),
        StructField("dislikes", LongType()),
        StructField("praisers", ArrayType(StringType())),
        StructField("distrusted", BooleanType()),
    ]
)

CLEANED: Final = StructType(
    [
        *PROPOSALS.fields,
        StructField("question_key", StringType()),
        StructField("answer_key", StringType()),
        StructField("text_reason", StringType()),
    ]
)

# ``reason``: why a row is rejected; null for a row that is kept.
EXAMINED: Final = StructType([*CLEANED.fields, StructField("reason", StringType())])

DATASET: Final = StructType(
    [
        StructField("bot", StringType()),
        StructField("question", StringType()),
        StructField("answer", StringType()),
        StructField("source", StringType()),
        StructField("topic", StringType()),
        StructField("weight", IntegerType()),
        StructField("turn_id", StringType()),
        StructField("player_id", StringType()),
        StructField("cluster", StringType()),
        StructField("split", StringType()),
        StructField("row_hash", StringType()),
    ]
)

FAULTS: Final = StructType(
    [
        StructField("bot", StringType()),
        StructField("fault", StringType()),
    ]
)
