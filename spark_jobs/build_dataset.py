"""Spark application that builds the datasets of the given bots in a temporary folder. The caller publishes them.

    build_dataset.py ARGUMENTS.json RESULT.json

Arguments: ``bots``, ``seeds`` (rows of bot, question, answer, topic), ``gold`` (rows of bot, key), ``tables`` (path and
table version of ``turns``, ``feedback`` and ``distrust``; the table version is null if the table does not exist),
``previous`` (folder of each bot's newest dataset), ``output`` (folder), ``rules``, ``as_of`` and ``tokenizer`` (JSON
text). The result contains for each bot the content hash, counts, rejects, new and withdrawn pairs, superseded seeds and
faults. The rows are in ``OUTPUT/bot=BOT/split=SPLIT``.
"""

# ruff: noqa: TID253 - imported only by Spark's processes

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql.types import StructType

from kogpt2_chat.domain.learning.dataset import SOURCES, SPLITS, Rules
from spark_jobs import schemas, transforms, validation
from spark_jobs.proposals import Sources, distrusted_subjects, find_proposals
from spark_jobs.selection import select
from spark_jobs.tokens import AnswerTokens
from spark_jobs.turn_ids import separate_repeated_ids


def main(arguments_path: str, result_path: str) -> None:
    """Read the arguments, build the datasets and write the result."""
    arguments = json.loads(Path(arguments_path).read_text(encoding="utf-8"))
    spark = SparkSession.builder.appName("build_dataset").getOrCreate()
    try:
        result = run(spark, arguments)
    finally:
        spark.stop()
    partial = Path(result_path).with_suffix(".part")
    partial.write_text(json.dumps({"result": result}, ensure_ascii=False), encoding="utf-8")
    partial.rename(result_path)


def run(spark: SparkSession, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Build the datasets of all bots in one pass.

    Args:
        spark: a session with Delta Lake.
        arguments: see the module's docstring.

    Returns:
        For each bot, the values that the caller writes into its manifest.
    """
    rules, bots = Rules(**arguments["rules"]), arguments["bots"]
    tables = arguments["tables"]
    turns, feedback = separate_repeated_ids(
        _table(spark, tables["turns"], schemas.TURNS), _table(spark, tables["feedback"], schemas.FEEDBACK)
    )
    sources = Sources(
        seeds=spark.createDataFrame([tuple(row) for row in arguments["seeds"]], schemas.SEEDS),
        gold=spark.createDataFrame([tuple(row) for row in arguments["gold"]], schemas.GOLD),
        turns=turns,
        feedback=feedback,
        distrust=_table(spark, tables["distrust"], schemas.DISTRUST),
    )
    as_of = datetime.fromisoformat(arguments["as_of"])
    tokens = AnswerTokens(arguments["tokenizer"], rules.max_answer_tokens)

    examined = examine(sources, bots, rules, as_of, tokens).cache()
    dataset = transforms.place_rows(examined, rules).cache()
    rows = dataset.drop("row_hash").repartition("bot", "split")
    rows.write.mode("overwrite").partitionBy("bot", "split").parquet(arguments["output"])
    previous = _previous(spark, arguments["previous"])
    distrusted = {
        row["kind"]: row["count"] for row in distrusted_subjects(sources.distrust).groupBy("kind").count().collect()
    }
    return _report(
        bots, examined, dataset, previous, {"players": distrusted.get("player", 0), "turns": distrusted.get("turn", 0)}
    )


def examine(
    sources: Sources, bots: Sequence[str], rules: Rules, as_of: datetime, tokens: AnswerTokens | None = None
) -> DataFrame:
    """Return every proposal with the reason why it is rejected, if any.

    Args:
        sources: seed pairs and the lake's tables.
        bots: bots to build datasets for.
        rules: the parameters of the rules.
        as_of: time against which ages are computed.
        tokens: checks the length of answers in tokens; None without a tokenizer.

    Returns:
        Columns of ``schemas.EXAMINED``.
    """
    proposals = find_proposals(sources, bots, rules)
    examined = transforms.examine(transforms.clean_texts(proposals, tokens), rules, as_of)
    return select(examined, sources.gold, rules)


def _report(
    bots: Sequence[str], examined: DataFrame, dataset: DataFrame, previous: DataFrame, distrusted: Mapping[str, int]
) -> dict[str, Any]:
    summary = {row["bot"]: row.asDict() for row in transforms.summarise(dataset).collect()}
    new_pairs = _by_bot(transforms.count_new_pairs(dataset, previous))
    withdrawn = _by_bot(transforms.count_withdrawn_pairs(examined, previous))
    superseded = _by_bot(transforms.count_superseded_seeds(examined))
    rejects = transforms.count_rejects(examined).collect()
    faults = validation.find_faults(dataset).collect()
    return {
        bot: {
            "content_hash": summary.get(bot, {}).get("content_hash", ""),
            "counts": {name: summary.get(bot, {}).get(name, 0) for name in SPLITS},
            "sources": {name: summary.get(bot, {}).get(name, 0) for name in SOURCES},
            "rejects": {row["reason"]: row["count"] for row in rejects if row["bot"] == bot},
            "new_pairs": new_pairs.get(bot, 0),
            "withdrawn_pairs": withdrawn.get(bot, 0),
            "seeds_superseded": superseded.get(bot, 0),
            "distrusted": dict(distrusted),
            "faults": [row["fault"] for row in faults if row["bot"] == bot]
            if bot in summary
            else ["all pairs were rejected, so the dataset is empty"],
        }
        for bot in bots
    }


def _by_bot(counts: DataFrame) -> dict[str, int]:
    return {row["bot"]: row["count"] for row in counts.collect()}


def _table(spark: SparkSession, table: Mapping[str, Any], schema: StructType) -> DataFrame:
    """Read a table version of a Delta table, with the needed columns only.

    The frame is empty if the table does not exist yet. A column that an earlier release did not write is null.
    """
    if table["table_version"] is None:
        return spark.createDataFrame([], schema)
    frame = spark.read.format("delta").option("versionAsOf", table["table_version"]).load(table["path"])
    return _fit(frame, schema)


def _fit(frame: DataFrame, schema: StructType) -> DataFrame:
    known = set(frame.columns)
    columns = [(F.col(field.name) if field.name in known else F.lit(None), field) for field in schema.fields]
    return frame.select([column.cast(field.dataType).alias(field.name) for column, field in columns])


def _previous(spark: SparkSession, folder_by_bot: Mapping[str, str]) -> DataFrame:
    """Read question and answer from each bot's newest dataset."""
    schema = StructType([field for field in schemas.DATASET.fields if field.name in {"question", "answer"}])
    frames = [
        spark.read.schema(schema)
        .parquet(*(f"{folder}/{split}.parquet" for split in SPLITS))
        .select(F.lit(bot).alias("bot"), "question", "answer")
        for bot, folder in folder_by_bot.items()
    ]
    empty = spark.createDataFrame([], StructType([schemas.DATASET["bot"], *schema.fields]))
    return reduce(DataFrame.unionByName, frames, empty)


if __name__ == "__main__":
    main(*sys.argv[1:])
