"""Apply the rules for single rows: clean and examine proposals, assign kept rows to splits, and count all rows.

All functions map DataFrames to DataFrames. The rules are in :mod:`kogpt2_chat.domain.learning.dataset` and
:mod:`kogpt2_chat.domain.learning.cleaning`. Rules that compare rows are in :mod:`spark_jobs.selection`.
"""

# ruff: noqa: TID253 - imported only by Spark's processes

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from kogpt2_chat.domain.learning.cleaning import clean, phrase_key, reject_reason
from kogpt2_chat.domain.learning.dataset import (
    DISPLACED,
    HASHED_COLUMNS,
    SOURCES,
    PairKeys,
    Proposal,
    Rules,
    assign_splits,
    ineligible_reason,
    row_hash,
    weight_of,
)
from spark_jobs import schemas
from spark_jobs.tokens import AnswerTokens

ArrowRows = Callable[[dict[str, Any]], dict[str, Any]]


def clean_texts(proposals: DataFrame, tokens: AnswerTokens | None = None) -> DataFrame:
    """Add the cleaned texts, their keys, and the reason why a text is unusable.

    Args:
        proposals: columns of ``schemas.PROPOSALS``.
        tokens: checks the length of answers in tokens; None without a tokenizer.
    """

    def cleaned(row: dict[str, Any]) -> dict[str, Any]:
        question, answer = clean(row["question"] or ""), clean(row["answer"] or "")
        text_reason = reject_reason(question, answer)
        if text_reason is None and tokens is not None:
            text_reason = tokens.fault(answer)
        return row | {
            "question": question,
            "answer": answer,
            "question_key": phrase_key(question),
            "answer_key": phrase_key(answer),
            "text_reason": text_reason,
        }

    return _map_rows(proposals.select(schemas.PROPOSALS.names), cleaned, schemas.CLEANED)


def examine(cleaned: DataFrame, rules: Rules, as_of: datetime) -> DataFrame:
    """Add the reason why a row may not be learned from, regardless of other rows: metadata first, then texts."""

    def examined(row: dict[str, Any]) -> dict[str, Any]:
        proposal = Proposal(
            source=row["source"],
            marked_at=row["marked_at"],
            consent_train=bool(row["consent_train"]),
            fallback=row["fallback"],
            likes=row["likes"],
            dislikes=row["dislikes"],
            distrusted=bool(row["distrusted"]),
        )
        return row | {"reason": ineligible_reason(proposal, rules, as_of) or row["text_reason"]}

    return _map_rows(cleaned.select(schemas.CLEANED.names), examined, schemas.EXAMINED)


def place_rows(examined: DataFrame, rules: Rules) -> DataFrame:
    """Return the kept rows with weight, cluster, split and hash. One Python process handles all rows of a bot."""

    def placed(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        pairs = [
            PairKeys(question_key=row["question_key"], answer_key=row["answer_key"], taught=row["source"] != "seed")
            for row in rows
        ]
        for row, spot in zip(rows, assign_splits(pairs), strict=True):
            row.update(asdict(spot), weight=weight_of(row["source"], rules))
            row["row_hash"] = row_hash([row[name] for name in HASHED_COLUMNS])
        return pa.Table.from_pylist(rows, schema=to_arrow_schema(schemas.DATASET, timezone="UTC"))

    kept = examined.where("reason is null").drop("reason", "text_reason")
    return kept.groupBy("bot").applyInArrow(placed, schemas.DATASET)


def count_rejects(examined: DataFrame) -> DataFrame:
    """Count the rejected rows by bot and reason."""
    return examined.where("reason is not null").groupBy("bot", "reason").count()


def summarise(dataset: DataFrame) -> DataFrame:
    """Return the counts by split and source, and the content hash, of each bot."""
    splits = [F.count_if(F.col("split") == name).alias(name) for name in ("train", "val", "test")]
    sources = [F.count_if(F.col("source") == name).alias(name) for name in SOURCES]
    hashes = F.array_join(F.sort_array(F.collect_list("row_hash")), "\n")
    return dataset.groupBy("bot").agg(*splits, *sources, F.sha2(hashes, 256).alias("content_hash"))


def count_new_pairs(dataset: DataFrame, previous: DataFrame) -> DataFrame:
    """Count the pairs of each bot that its previous dataset does not contain."""
    return dataset.join(previous, ["bot", "question", "answer"], "left_anti").groupBy("bot").count()


def count_withdrawn_pairs(examined: DataFrame, previous: DataFrame) -> DataFrame:
    """Count the pairs of each bot's previous dataset that have no source any more or may no longer be learned from.

    A pair that was only displaced by another pair or a cap does not count.
    """
    offered = examined.where(F.col("reason").isNull() | F.col("reason").isin(*DISPLACED))
    return previous.join(offered, ["bot", "question", "answer"], "left_anti").groupBy("bot").count()


def count_superseded_seeds(examined: DataFrame) -> DataFrame:
    """Count the seed pairs of each bot that a correction replaced."""
    return examined.where("source = 'seed' and reason = 'superseded'").groupBy("bot").count()


def _map_rows(frame: DataFrame, change: ArrowRows, schema: StructType) -> DataFrame:
    """Apply a function of the domain to each row, in Arrow batches."""

    def changed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arrow = to_arrow_schema(schema, timezone="UTC")
        for batch in batches:
            yield pa.RecordBatch.from_pylist([change(row) for row in batch.to_pylist()], schema=arrow)

    return frame.mapInArrow(changed, schema)
