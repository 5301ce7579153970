"""Spark application: the datasets of all given bots, written aside for the caller to publish.

    build_dataset.py ARGUMENTS.json RESULT.json

Arguments: ``bots``, ``seeds`` (rows bot, question, answer, topic), ``gold`` (rows bot, key), ``tables`` (path
and version of ``turns`` and ``feedback``; version null where there is no table), ``previous`` (folder of each
bot's newest dataset), ``output`` (folder), ``rules``, ``as_of``. The result names for each bot its content
hash, counts, rejects, new pairs and faults. The rows lie in ``OUTPUT/bot=BOT/split=SPLIT``.
"""

# ruff: noqa: TID253 - imported by Spark's own processes only

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows
from pyspark.sql.types import StructType

from kogpt2_chat.domain.dataset import SOURCES, SPLITS, Rules
from spark_jobs import schemas, transforms, validation
from spark_jobs.turn_ids import tell_apart


def main(arguments_path: str, result_path: str) -> None:
    """Read the arguments, build, write the result."""
    arguments = json.loads(Path(arguments_path).read_text(encoding="utf-8"))
    spark = SparkSession.builder.appName("build_dataset").getOrCreate()
    try:
        result = run(spark, arguments)
    finally:
        spark.stop()
    aside = Path(result_path).with_suffix(".part")
    aside.write_text(json.dumps({"result": result}, ensure_ascii=False), encoding="utf-8")
    aside.rename(result_path)


def run(spark: SparkSession, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Build the datasets of all bots in one pass.

    Args:
        spark: a session with Delta.
        arguments: see the module's docstring.

    Returns:
        For each bot what the caller writes into its manifest.
    """
    rules, bots = Rules(**arguments["rules"]), arguments["bots"]
    turns = _table(spark, arguments["tables"]["turns"], schemas.TURNS).where(F.col("bot").isin(bots))
    turns, feedback = tell_apart(turns, _table(spark, arguments["tables"]["feedback"], schemas.FEEDBACK))
    seeds = spark.createDataFrame([tuple(row) for row in arguments["seeds"]], schemas.SEEDS)
    gold = spark.createDataFrame([tuple(row) for row in arguments["gold"]], schemas.GOLD)
    as_of = datetime.fromisoformat(arguments["as_of"])

    examined = examine(seeds, gold, turns, feedback, rules, as_of).cache()
    dataset = transforms.place_rows(examined, rules).cache()
    rows = dataset.drop("row_hash").repartition("bot", "split")
    rows.write.mode("overwrite").partitionBy("bot", "split").parquet(arguments["output"])
    previous = _previous(spark, arguments["previous"])
    return _report(bots, examined, dataset, previous)


def examine(
    seeds: DataFrame, gold: DataFrame, turns: DataFrame, feedback: DataFrame, rules: Rules, as_of: datetime
) -> DataFrame:
    """Every candidate with the reason why it is left out, if any.

    Args:
        seeds: seed pairs.
        gold: keys of the frozen gold set.
        turns: the lake's turns.
        feedback: the lake's feedback.
        rules: the numbers.
        as_of: the time that ages are counted from.

    Returns:
        Columns of ``schemas.EXAMINED``.
    """
    last = transforms.last_feedback(feedback)
    candidates = (
        transforms.seed_candidates(seeds)
        .unionByName(transforms.turn_candidates(turns, last))
        .unionByName(transforms.correction_candidates(turns, last))
    )
    agreed = transforms.count_agreement(transforms.clean_texts(candidates))
    examined = transforms.examine(agreed, rules, as_of)
    marked = transforms.mark_superseded(transforms.mark_duplicates(examined))
    return transforms.cap_taught(transforms.mark_gold(marked, gold), rules)


def _report(bots: Sequence[str], examined: DataFrame, dataset: DataFrame, previous: DataFrame) -> dict[str, Any]:
    summary = {row["bot"]: row.asDict() for row in transforms.summarise(dataset).collect()}
    new_pairs = {row["bot"]: row["count"] for row in transforms.count_new_pairs(dataset, previous).collect()}
    rejects = transforms.count_rejects(examined).collect()
    faults = validation.find_faults(dataset).collect()
    return {
        bot: {
            "content_hash": summary.get(bot, {}).get("content_hash", ""),
            "counts": {name: summary.get(bot, {}).get(name, 0) for name in SPLITS},
            "sources": {name: summary.get(bot, {}).get(name, 0) for name in SOURCES},
            "rejects": {row["reason"]: row["count"] for row in rejects if row["bot"] == bot},
            "new_pairs": new_pairs.get(bot, 0),
            "faults": [row["fault"] for row in faults if row["bot"] == bot]
            if bot in summary
            else ["no row is left: every pair was rejected"],
        }
        for bot in bots
    }


def _table(spark: SparkSession, table: Mapping[str, Any], schema: StructType) -> DataFrame:
    """A version of a Delta table, the needed columns only.

    Empty where there is no table yet; a column that an earlier release did not have is null.
    """
    if table["version"] is None:
        return spark.createDataFrame([], schema)
    frame = spark.read.format("delta").option("versionAsOf", table["version"]).load(table["path"])
    return _fit(frame, schema)


def _fit(frame: DataFrame, schema: StructType) -> DataFrame:
    known = set(frame.columns)
    columns = [(F.col(field.name) if field.name in known else F.lit(None), field) for field in schema.fields]
    return frame.select([column.cast(field.dataType).alias(field.name) for column, field in columns])


def _previous(spark: SparkSession, folder_by_bot: Mapping[str, str]) -> DataFrame:
    """Question and answer of each bot's newest dataset."""
    schema = StructType([field for field in schemas.DATASET.fields if field.name in {"question", "answer"}])
    frames = [
        spark.read.schema(schema)
        .parquet(*(f"{folder}/{split}.parquet" for split in SPLITS))
        .select(F.lit(bot).alias("bot"), "question", "answer")
        for bot, folder in folder_by_bot.items()
    ]
    nothing = spark.createDataFrame([], StructType([schemas.DATASET["bot"], *schema.fields]))
    return reduce(DataFrame.unionByName, frames, nothing)


if __name__ == "__main__":
    main(*sys.argv[1:])
