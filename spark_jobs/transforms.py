"""DataFrame -> DataFrame: from the lake's tables to the rows of a dataset.

What decides stands in :mod:`kogpt2_chat.domain.dataset` and :mod:`kogpt2_chat.domain.cleaning`; here it is
applied to many rows. A row that is left out is never dropped on the way: it gets a ``reason``, the first
rule that speaks wins, and rules that count rows count only those that are still without one.
"""

# ruff: noqa: TID253 - imported by Spark's own processes only

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from kogpt2_chat.domain.cleaning import clean, phrase_key, reject_reason
from kogpt2_chat.domain.dataset import (
    SOURCES,
    Candidate,
    Pair,
    Rules,
    ineligible_reason,
    place,
    row_hash,
    taught_per_seed,
    weight_of,
)
from spark_jobs import schemas

ArrowRows = Callable[[dict[str, Any]], dict[str, Any]]
TAUGHT_TOPIC = "taught"
_HASHED = [name for name in schemas.DATASET.names if name not in {"bot", "row_hash"}]


def last_feedback(feedback: DataFrame) -> DataFrame:
    """The last word of each player on each turn, by the broker's clock and then by position."""
    newest = Window.partitionBy("player_id", "turn_id").orderBy(
        F.desc("received_at"), F.desc("kafka_partition"), F.desc("kafka_offset")
    )
    return feedback.withColumn("rank", F.row_number().over(newest)).where("rank = 1").drop("rank")


def seed_candidates(seeds: DataFrame) -> DataFrame:
    """Seed pairs in the shape of candidates."""
    return seeds.select(
        "bot",
        "question",
        "answer",
        F.lit("seed").alias("source"),
        F.coalesce("topic", F.lit("")).alias("topic"),
        F.lit("").alias("turn_id"),
        F.lit("").alias("player_id"),
        F.lit(datetime(1970, 1, 1, tzinfo=UTC)).alias("marked_at"),
        F.lit(True).alias("consent_train"),
        F.lit(None).cast("string").alias("fallback"),
        F.lit(0).cast("long").alias("likes"),
        F.lit(0).cast("long").alias("dislikes"),
    )


def turn_candidates(turns: DataFrame, last: DataFrame) -> DataFrame:
    """Every turn, with what players think of its answer."""
    marks = last.groupBy("turn_id").agg(
        F.count_if(F.col("kind") == "up").alias("likes"),
        F.count_if(F.col("kind") != "up").alias("dislikes"),
        F.max("received_at").alias("last_mark"),
    )
    return turns.join(marks, "turn_id", "left").select(
        "bot",
        F.col("text").alias("question"),
        "answer",
        F.lit("praised").alias("source"),
        F.lit(TAUGHT_TOPIC).alias("topic"),
        "turn_id",
        "player_id",
        F.greatest("answered_at", "last_mark").alias("marked_at"),
        "consent_train",
        "fallback",
        F.coalesce("likes", F.lit(0)).alias("likes"),
        F.coalesce("dislikes", F.lit(0)).alias("dislikes"),
    )


def correction_candidates(turns: DataFrame, last: DataFrame) -> DataFrame:
    """Every correction that is its player's last word, with the question of its turn."""
    corrections = last.where("kind = 'correction'").select(
        "turn_id", F.col("player_id").alias("teacher"), F.col("text").alias("better"), "received_at"
    )
    return turns.join(corrections, "turn_id").select(
        "bot",
        F.col("text").alias("question"),
        F.col("better").alias("answer"),
        F.lit("correction").alias("source"),
        F.lit(TAUGHT_TOPIC).alias("topic"),
        "turn_id",
        F.col("teacher").alias("player_id"),
        F.greatest("answered_at", "received_at").alias("marked_at"),
        "consent_train",
        "fallback",
        F.lit(0).cast("long").alias("likes"),
        F.lit(0).cast("long").alias("dislikes"),
    )


def clean_texts(candidates: DataFrame) -> DataFrame:
    """Texts in their trained form, their keys, and what is wrong with their words."""

    def cleaned(row: dict[str, Any]) -> dict[str, Any]:
        question, answer = clean(row["question"] or ""), clean(row["answer"] or "")
        return row | {
            "question": question,
            "answer": answer,
            "question_key": phrase_key(question),
            "answer_key": phrase_key(answer),
            "text_reason": reject_reason(question, answer),
        }

    return _map_rows(candidates.select(schemas.CANDIDATES.names), cleaned, schemas.CLEANED)


def count_agreement(cleaned: DataFrame) -> DataFrame:
    """How many players gave the same correction to the same question."""
    same = Window.partitionBy("bot", "source", "question_key", "answer_key")
    return cleaned.withColumn("agreeing", F.size(F.collect_set("player_id").over(same)).cast("long"))


def examine(agreed: DataFrame, rules: Rules, as_of: datetime) -> DataFrame:
    """The reason why a row may not be learned from: its circumstances first, then its words."""

    def examined(row: dict[str, Any]) -> dict[str, Any]:
        candidate = Candidate(
            source=row["source"],
            marked_at=row["marked_at"],
            consent_train=bool(row["consent_train"]),
            fallback=row["fallback"],
            likes=row["likes"],
            dislikes=row["dislikes"],
            agreeing=row["agreeing"],
        )
        return row | {"reason": ineligible_reason(candidate, rules, as_of) or row["text_reason"]}

    return _map_rows(agreed.select(schemas.AGREED.names), examined, schemas.EXAMINED)


def mark_duplicates(examined: DataFrame) -> DataFrame:
    """Of rows with the same question and answer one stays: seed before correction before praise, then the oldest."""
    preference = F.array_position(F.lit(list(SOURCES)), F.col("source"))
    first = _kept_by("bot", "question_key", "answer_key").orderBy(preference, "marked_at", "turn_id", "player_id")
    return _mark(examined, "duplicate", lambda: F.row_number().over(first) > 1)


def mark_superseded(examined: DataFrame) -> DataFrame:
    """A corrected question has one answer, its newest correction: two answers to one question teach neither."""
    same = _kept_by("bot", "question_key")
    mark = F.struct("marked_at", "turn_id", "player_id", "answer_key")
    newest = F.max(F.when(F.col("source") == "correction", mark)).over(same)
    return _mark(
        examined,
        "superseded",
        lambda: newest.isNotNull() & ((F.col("source") != "correction") | (mark != newest)),
    )


def mark_gold(examined: DataFrame, gold: DataFrame) -> DataFrame:
    """Rows that share a question or an answer with the frozen gold set would teach the test."""
    keys = F.broadcast(gold.select("bot", "key").distinct())
    by_question = keys.select("bot", F.col("key").alias("question_key"), F.lit(True).alias("asked"))
    by_answer = keys.select("bot", F.col("key").alias("answer_key"), F.lit(True).alias("answered"))
    joined = examined.join(by_question, ["bot", "question_key"], "left").join(by_answer, ["bot", "answer_key"], "left")
    marked = _mark(joined, "gold", lambda: F.col("asked") | F.col("answered"))
    return marked.select(schemas.EXAMINED.names)


def cap_taught(examined: DataFrame, rules: Rules) -> DataFrame:
    """Caps of taught rows: a player's, a phrase's, and the share that is left beside the seeds; the newest stay."""
    taught = F.col("source") != "seed"

    def rank(*columns: str | Column) -> Column:
        newest = _kept_by("bot", taught, *columns).orderBy(F.desc("marked_at"), "turn_id", "player_id")
        return F.row_number().over(newest)

    capped = _mark(examined, "player_cap", lambda: taught & (rank("player_id") > rules.rows_per_player))
    capped = _mark(capped, "phrase_cap", lambda: taught & (rank("answer_key") > rules.rows_per_phrase))
    per_seed = taught_per_seed(rules)
    if math.isinf(per_seed):
        return capped
    seeds = F.count_if(~taught).over(_kept_by("bot"))
    return _mark(capped, "seed_share", lambda: taught & (rank() > F.floor(seeds * per_seed)))


def place_rows(examined: DataFrame, rules: Rules) -> DataFrame:
    """Kept rows with weight, cluster, split and hash. One bot's rows are placed together, in one Python process."""

    def placed(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        pairs = [
            Pair(question_key=row["question_key"], answer_key=row["answer_key"], taught=row["source"] != "seed")
            for row in rows
        ]
        for row, spot in zip(rows, place(pairs), strict=True):
            row.update(asdict(spot), weight=weight_of(row["source"], rules))
            row["row_hash"] = row_hash([row[name] for name in _HASHED])
        return pa.Table.from_pylist(rows, schema=to_arrow_schema(schemas.DATASET, timezone="UTC"))

    kept = examined.where("reason is null").drop("reason", "text_reason")
    return kept.groupBy("bot").applyInArrow(placed, schemas.DATASET)


def count_rejects(examined: DataFrame) -> DataFrame:
    """Rows left out, by bot and reason."""
    return examined.where("reason is not null").groupBy("bot", "reason").count()


def summarise(dataset: DataFrame) -> DataFrame:
    """Counts by split and source, and the content hash, of each bot."""
    splits = [F.count_if(F.col("split") == name).alias(name) for name in ("train", "val", "test")]
    sources = [F.count_if(F.col("source") == name).alias(name) for name in SOURCES]
    hashes = F.array_join(F.sort_array(F.collect_list("row_hash")), "\n")
    return dataset.groupBy("bot").agg(*splits, *sources, F.sha2(hashes, 256).alias("content_hash"))


def count_new_pairs(dataset: DataFrame, previous: DataFrame) -> DataFrame:
    """Pairs of each bot that its previous dataset does not hold."""
    return dataset.join(previous, ["bot", "question", "answer"], "left_anti").groupBy("bot").count()


def _map_rows(frame: DataFrame, change: ArrowRows, schema: StructType) -> DataFrame:
    """Row by row through a function of the domain, in Arrow batches."""

    def changed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arrow = to_arrow_schema(schema, timezone="UTC")
        for batch in batches:
            yield pa.RecordBatch.from_pylist([change(row) for row in batch.to_pylist()], schema=arrow)

    return frame.mapInArrow(changed, schema)


def _kept_by(*columns: str | Column) -> WindowSpec:
    """Groups in which rows that already have a reason are apart."""
    return Window.partitionBy(*columns, F.col("reason").isNull())


def _mark(frame: DataFrame, reason: str, condition: Callable[[], Column]) -> DataFrame:
    """Give a reason to rows that have none and meet the condition."""
    hit = F.col("reason").isNull() & condition()
    return frame.withColumn("reason", F.when(hit, F.lit(reason)).otherwise(F.col("reason")))
